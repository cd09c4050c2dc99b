"""The action rows, keymaps and their conflicts, and the gate that keeps text fields safe."""

from __future__ import annotations

import inspect
from operator import attrgetter

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QListWidget, QMainWindow, QPlainTextEdit, QSpinBox, QVBoxLayout, QWidget

from annotator.domain.drafts.state import RefineState
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.files.resources import resource_path
from annotator.io.formats.registry import export_formats, import_formats
from annotator.ui.shell import window_state
from annotator.ui.shell.action_rows import ACTIONS, MENUS, TOOL_STRIP
from annotator.ui.shell.actions import ActionSet, with_mnemonics
from annotator.ui.shell.keymap import KeyGate, Keymap, presets
from annotator.ui.shell.panel_specs import PANELS
from annotator.ui.shell.window_state import Document, Hand, WindowState

K = Qt.Key
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


def test_every_action_has_its_row_once():
    names = [row.id for row in ACTIONS]
    assert len(names) == len(set(names))
    assert {row.menu for row in ACTIONS} <= set(MENUS)
    assert len(set(TOOL_STRIP) - {""}) == sum(bool(row.strip) for row in ACTIONS)
    for row in ACTIONS:
        assert row.tip
        assert row.icon or not row.strip
        if row.icon:
            assert resource_path(f"icons/{row.icon}.svg").is_file()


def test_what_reads_and_writes_many_formats_is_not_called_by_one_of_them():
    rows = {row.id: row for row in ACTIONS}
    for name, formats in (("import", import_formats()), ("export", export_formats())):
        assert len(formats) > 1
        assert not any(spec.title.split()[0] in rows[name].title for spec in formats)
        assert "and others" in rows[name].tip


def test_every_row_leads_to_something_that_takes_what_it_is_given(desk):
    desk.build()
    program = desk.program
    for row in ACTIONS:
        given = (*row.args, True) if row.is_switch or row.is_held else row.args
        handler = attrgetter(row.run)(program)
        if inspect.isbuiltin(handler):  # one of Qt's
            assert given == ()
        else:
            inspect.signature(handler).bind(*given)


def test_every_panel_has_a_dock_and_a_key_that_shows_or_hides_it(desk):
    desk.open()
    for spec in PANELS:
        dock, stroke = desk.window.docks[spec.id], QKeySequence(spec.keys[0])[0]
        for is_there in (spec.is_open, not spec.is_open, spec.is_open):
            assert dock.isVisible() is is_there
            assert desk.window.hidden_panels() == ([spec.id] if spec.is_open and not is_there else [])
            assert desk.window.opened_panels() == ([spec.id] if is_there and not spec.is_open else [])
            desk.key(stroke.key(), stroke.keyboardModifiers())
        desk.key(stroke.key(), stroke.keyboardModifiers())


def test_every_menu_opens_by_a_letter_of_its_own(desk):
    desk.open()
    texts = [action.text() for action in desk.window.menuBar().actions()]
    letters = [text[text.index("&") + 1].lower() for text in texts]
    assert len(set(letters)) == len(letters) >= 8
    assert with_mnemonics(["Mask", "Model", "Ma"]) == ["&Mask", "M&odel", "M&a"]
    assert with_mnemonics(["A", "a"]) == ["&A", "a"]


def test_more_is_enabled_the_more_there_is():
    """Nothing but what is always possible without a project, and all of it with everything in hand."""
    work = RefineState(prompts=Prompts(points=(PointPrompt(1, 1, True),)), can_undo=True, can_redo=True)
    some = [row for row in ACTIONS if not row.enabled(WindowState())]
    assert {"accept", "export", "undo", "tool_click", "delete"} <= {row.id for row in some}
    full = WindowState(Document(True, True, True, True, True), work, Hand(True, True, True))
    assert [row.id for row in ACTIONS if not row.enabled(full)] == [
        *("next_candidate", "previous_candidate", "accept_proposals", "stop_carrying")
    ]
    read_only = WindowState(Document(True, True), RefineState(), Hand(has_selection=True))
    assert not window_state.selecting(read_only)
    assert window_state.cancellable(read_only)


def test_presets_name_only_known_actions():
    names = {row.id for row in ACTIONS}
    assert set(presets()) == {"annotator", "x-anylabeling", "isat"}
    for keymap in presets().values():
        assert set(keymap.bindings) <= names


@pytest.mark.parametrize("name", ["annotator", "x-anylabeling", "isat"])
def test_presets_have_no_conflicts(name):
    assert presets()[name].conflicts() == []


def test_conflicts_are_found():
    keymap = Keymap("mine", {"accept": ("D", "Nonsense+Q"), "next_image": ("D",), "fit": ("5",), "undo": ("Ctrl+Z",)})
    text = "\n".join(keymap.conflicts())
    assert "D is wanted by accept, next_image" in text
    assert "5 is wanted by (class by its number), fit" in text
    assert "Nonsense" in text
    assert "undo" not in text


class Bench:
    """A small window with a canvas stand-in, text widgets and an ActionSet that records."""

    def __init__(self, qtbot) -> None:
        self.window = QMainWindow()
        self.log: list[str] = []
        self.held: list[tuple[str, bool]] = []
        body = QWidget()
        self.window.setCentralWidget(body)
        box = QVBoxLayout(body)
        self.canvas, self.line, self.text = QWidget(), QLineEdit(), QPlainTextEdit()
        self.spin, self.list = QSpinBox(), QListWidget()
        self.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for widget in (self.canvas, self.line, self.text, self.spin, self.list):
            box.addWidget(widget)
        self.list.addItems(["one", "two"])
        for row in range(2):
            item = self.list.item(row)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        keymap = presets()["annotator"]
        self.actions = ActionSet(keymap, lambda row, _is_on: self.log.append(row.id), self.window)
        for action in self.actions.actions.values():
            action.setEnabled(True)
        self.gate = KeyGate(
            self.window,
            is_canvas=lambda widget: widget is self.canvas,
            on_held=lambda name, down: self.held.append((name, down)),
        )
        self.gate.set_held(self.actions.held_keys())
        qtbot.addWidget(self.window)
        self.window.show()
        self.window.activateWindow()
        qtbot.waitActive(self.window).__enter__()
        qtbot.waitUntil(self.window.isActiveWindow)

    def press(self, widget, key, modifier=Qt.KeyboardModifier.NoModifier) -> list[str]:
        widget.setFocus()
        assert widget.hasFocus() or widget.focusWidget() is not None
        self.log.clear()
        QTest.keyClick(widget, key, modifier)
        return list(self.log)


@pytest.fixture
def bench(qtbot):
    return Bench(qtbot)


CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.mark.parametrize(
    ("key", "modifier", "expected"),
    [
        (K.Key_Return, Qt.KeyboardModifier.NoModifier, "accept"),
        (K.Key_Enter, Qt.KeyboardModifier.KeypadModifier, "accept"),
        (K.Key_Escape, Qt.KeyboardModifier.NoModifier, "cancel"),
        (K.Key_Backspace, Qt.KeyboardModifier.NoModifier, "remove_last"),
        (K.Key_Z, Qt.KeyboardModifier.NoModifier, "remove_last"),
        (K.Key_Z, CTRL, "undo"),
        (K.Key_Z, CTRL | SHIFT, "redo"),
        (K.Key_Y, CTRL, "redo"),
        (K.Key_Tab, Qt.KeyboardModifier.NoModifier, "next_candidate"),
        (K.Key_Backtab, SHIFT, "previous_candidate"),
        (K.Key_D, Qt.KeyboardModifier.NoModifier, "next_image"),
        (K.Key_PageDown, Qt.KeyboardModifier.NoModifier, "next_image"),
        (K.Key_A, Qt.KeyboardModifier.NoModifier, "previous_image"),
        (K.Key_PageUp, Qt.KeyboardModifier.NoModifier, "previous_image"),
        (K.Key_Return, CTRL, "done_next"),
        (K.Key_X, Qt.KeyboardModifier.NoModifier, "mark_empty"),
        (K.Key_V, Qt.KeyboardModifier.NoModifier, "hide_masks"),
        (K.Key_F, Qt.KeyboardModifier.NoModifier, "fit"),
        (K.Key_T, Qt.KeyboardModifier.NoModifier, "toggle_sign"),
        (K.Key_Delete, Qt.KeyboardModifier.NoModifier, "delete"),
        (K.Key_Question, SHIFT, "keys"),
        (K.Key_Plus, SHIFT, "zoom_in"),
        (K.Key_Minus, Qt.KeyboardModifier.NoModifier, "zoom_out"),
        (K.Key_C, Qt.KeyboardModifier.NoModifier, "find_class"),
        (K.Key_E, CTRL, "export"),
        (K.Key_Comma, CTRL, "settings"),
        (K.Key_F11, Qt.KeyboardModifier.NoModifier, "full_screen"),
    ],
)
def test_keys_on_the_canvas(bench, key, modifier, expected):
    assert bench.press(bench.canvas, key, modifier) == [expected]
    assert bench.canvas.hasFocus()


@pytest.mark.parametrize("name", ["line", "text", "spin"])
def test_bare_keys_are_inert_in_text_fields(bench, name):
    widget = getattr(bench, name)
    for key in (K.Key_D, K.Key_A, K.Key_X, K.Key_V, K.Key_Z, K.Key_1, K.Key_Backspace, K.Key_Delete, K.Key_H):
        assert bench.press(widget, key) == []
    for key in (K.Key_Return, K.Key_Enter, K.Key_Escape, K.Key_PageDown, K.Key_Plus, K.Key_Minus):
        assert bench.press(widget, key) == []
    assert bench.press(widget, K.Key_Return, CTRL) == []
    assert bench.press(widget, K.Key_Question, SHIFT) == []
    assert bench.held == []
    if name != "spin":
        assert bench.press(widget, K.Key_Z, CTRL) == []
    # What is no typing still works from there.
    assert bench.press(widget, K.Key_O, CTRL) == ["open_folder"]
    assert bench.press(widget, K.Key_F11) == ["full_screen"]


def test_typed_text_arrives(bench):
    bench.line.setFocus()
    QTest.keyClicks(bench.line, "dax vz 123?")
    assert bench.line.text() == "dax vz 123?"
    assert bench.log == []


def test_keys_are_inert_in_item_editors(bench, qtbot):
    bench.list.setFocus()
    bench.list.editItem(bench.list.item(0))
    editor = bench.list.findChild(QLineEdit)
    assert editor is not None
    assert editor.hasFocus()
    QTest.keyClicks(editor, "dax")
    QTest.keyClick(editor, K.Key_Return)
    assert bench.log == []
    qtbot.waitUntil(lambda: bench.list.item(0).text() == "dax")
    assert bench.log == []


def test_tab_walks_between_panels_but_not_away_from_the_canvas(bench):
    bench.actions["next_candidate"].setEnabled(False)
    assert bench.press(bench.canvas, K.Key_Tab) == []
    assert bench.canvas.hasFocus()
    bench.actions["next_candidate"].setEnabled(True)
    assert bench.press(bench.list, K.Key_Tab) == []
    assert not bench.list.hasFocus()


def test_loop_keys_work_while_a_list_has_the_focus(bench):
    assert bench.press(bench.list, K.Key_D) == ["next_image"]
    assert bench.press(bench.list, K.Key_Delete) == ["delete"]


def test_peek_is_held(bench):
    bench.canvas.setFocus()
    QTest.keyPress(bench.canvas, K.Key_H)
    QTest.keyRelease(bench.canvas, K.Key_H)
    assert bench.held == [("peek", True), ("peek", False)]


def test_disabled_actions_do_nothing(bench):
    bench.actions.enable(WindowState())
    assert bench.press(bench.canvas, K.Key_Return) == []
    assert bench.press(bench.canvas, K.Key_D) == []
    assert bench.press(bench.canvas, K.Key_O, CTRL) == ["open_folder"]


def test_tooltips_teach_the_key(bench):
    assert "Enter" in bench.actions["accept"].toolTip()
    assert "Ctrl+E" in bench.actions["export"].toolTip()


def test_another_keymap_takes_over(bench):
    bench.actions.set_keymap(presets()["x-anylabeling"])
    assert bench.press(bench.canvas, K.Key_F) == ["accept"]
    assert bench.press(bench.canvas, K.Key_R) == ["tool_box"]
