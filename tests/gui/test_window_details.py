"""What the window says and where: messages that end with their image, numbers, the hint, the strips, the free edge."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QAccessible, QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QLabel, QMainWindow, QToolButton
from shiboken6 import isValid

from annotator.domain.errors import UserError
from annotator.io.project.store import ProjectStore
from annotator.ui.app import named_place
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.look.numbers import grouped
from annotator.ui.panels.delegates import short_name
from annotator.ui.shell.action_rows import TOOL_STRIP
from annotator.ui.shell.area import FLOOR_PX
from annotator.ui.shell.status import StatusLine
from annotator.ui.shell.tool_strip import ToolStrip

K = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


# --- messages ---------------------------------------------------------------------------------------------------------


def test_what_was_told_of_an_image_goes_with_it(desk):
    desk.open()
    message = desk.window.status.message
    desk.key(K.Key_X)
    assert "Marked empty" in message.text()
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert message.text() == ""
    desk.key(K.Key_Z, CTRL)
    desk.wait_image(0)
    assert "Undone" in message.text(), "told of the image that the step back shows"


def test_the_note_of_how_an_image_was_read_does_not_stay_with_the_next(desk):
    folder = desk.root / "kinds"
    folder.mkdir()
    deep = np.random.default_rng(0).integers(0, 4000, (60, 80)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "0-deep.png")
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "1-plain.png")
    desk.open(folder=folder, first_row=0)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert "0-deep.png" in desk.window.status.message.text()
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert "0-deep.png" not in desk.window.status.message.text()


def test_only_lines_of_the_topic_are_withdrawn(qtbot):
    status = StatusLine()
    qtbot.addWidget(status)
    status.tell("Loading…", stays=True)
    status.withdraw("image")
    assert status.message.text() == "Loading…"
    status.tell("about it", topic="image")
    status.withdraw("image")
    assert status.message.text() == ""


def test_saving_by_habit_says_that_all_is_saved(desk):
    desk.open()
    desk.accept_at(60, 60)
    desk.key(K.Key_S, CTRL)
    assert desk.window.status.message.text() == "Everything accepted is saved in pictures.annot."
    desk.engine.hold()
    desk.click(100, 60)
    desk.key(K.Key_Return)
    desk.key(K.Key_S, CTRL)
    assert "still to come" in desk.window.status.message.text()
    desk.engine.let_go()
    desk.until(lambda: len(desk.session.annotations) == 2)


def test_the_status_bar_says_when_the_engine_looked_closer(desk, monkeypatch):
    desk.open()
    decode = type(desk.engine.segmenter).decode
    closer = [True]

    def zoomed(self, *args, **options):
        return replace(decode(self, *args, **options), looked_closer=closer[0])

    monkeypatch.setattr(type(desk.engine.segmenter), "decode", zoomed)
    fact = desk.window.status.decode
    desk.accept_at(60, 60)
    assert re.fullmatch(r"click \d+ ms · zoom", fact.text())
    assert "enlarged piece" in fact.toolTip()
    closer[0] = False
    desk.accept_at(100, 60)
    assert re.fullmatch(r"click \d+ ms", fact.text())
    assert "enlarged piece" not in fact.toolTip()


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_thousands_are_written_one_way_everywhere(desk):
    assert (grouped(164837), grouped(999), grouped(1234567)) == ("164\u202f837", "999", "1\u202f234\u202f567")
    desk.open()
    desk.engine.segmenter.radius_px = 40.0
    area = desk.accept_at(80, 60).area
    assert area > 1000
    index = desk.window.objects.model.index(0)
    texts = [desk.window.status.message.text()]
    texts += [index.data(int(role)) for role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.DisplayRole)]
    assert all(grouped(area) in text and f"{area:,}" not in text for text in texts), texts


# --- hint and edges ---------------------------------------------------------------------------------------------------


def test_the_hint_goes_with_the_first_click_and_does_not_come_back(desk):
    desk.open()
    hint = desk.window.area.hint
    assert hint.isVisible()
    assert "drag a box" in hint._label.text(), "the plain drag is a gesture that nobody finds by himself"
    desk.click(60, 60)
    assert hint.isHidden()
    desk.wait_mask(60, 60)
    desk.key(K.Key_Escape)
    assert hint.isHidden()
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert hint.isHidden()
    folder = desk.folder
    desk.close()
    desk.open(folder=folder, first_row=1)
    assert desk.window.area.hint.isVisible(), "nothing was accepted yet: the next start shows it again"


def test_a_fitted_image_is_clear_of_what_floats_on_the_canvas(desk):
    folder = desk.root / "tall"
    folder.mkdir()
    Image.fromarray(np.zeros((200, 120, 3), np.uint8)).save(folder / "0.png")
    desk.open(folder=folder)
    desk.click(60, 190)
    desk.wait_mask(60, 190)
    canvas, area = desk.window.canvas, desk.window.area
    desk.until(area.candidates.isVisible)
    lower_edge = canvas.image_to_view(0, 200).y()
    assert area.candidates.y() >= lower_edge
    assert area.chip.y() >= lower_edge
    assert canvas.image_to_view(0, 0).y() >= 0
    desk.window.canvas.zoom_by(1.5)
    desk.key(K.Key_F)
    assert abs(canvas.image_to_view(0, 200).y() - lower_edge) <= 1


def test_an_image_is_in_the_middle_of_what_the_bars_leave(desk):
    folder = desk.root / "wide"
    folder.mkdir()
    Image.fromarray(np.zeros((60, 600, 3), np.uint8)).save(folder / "0.png")
    desk.open(folder=folder)
    canvas = desk.window.canvas
    assert abs(canvas.image_to_view(300, 30).y() - (canvas.viewport().height() - FLOOR_PX) / 2) <= 1
    assert canvas.viewport().height() - canvas.image_to_view(0, 60).y() > FLOOR_PX


def test_a_low_window_with_a_question_leaves_the_strip_beside_the_image(desk):
    """853 x 480 is what a screen of 1280 x 720 has at 150 %."""
    desk.open()
    desk.window.resize(853, 480)
    desk.click(80, 60)
    desk.wait_mask(80, 60)
    desk.key(K.Key_Return, CTRL)
    area, canvas = desk.window.area, desk.window.canvas
    desk.until(lambda: area.question.isVisible() and area.candidates.isVisible())
    desk.until(lambda: area.candidates.y() >= canvas.image_to_view(0, 120).y())
    assert canvas.image_to_view(0, 0).y() >= 0
    assert canvas.zoom > 0.3


def test_the_switch_of_the_doubt_layer_is_no_frame_in_a_frame(desk):
    desk.open()
    desk.click(80, 60)
    desk.wait_mask(80, 60)
    legend = desk.window.area.doubt
    desk.until(legend.isVisible)
    shot = legend.grab().toImage()
    row = [shot.pixel(x, shot.height() // 2) for x in range(legend.button.x() + 4)]
    assert len(set(row)) == 2, "the edge of the card, and its ground"


def test_the_images_panel_says_the_whole_name(desk):
    folder, name = desk.root / "long", f"{'a' * 60} {'b' * 60}.png"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "below" / name)
    desk.open(folder=folder)
    desk.window.resize(2560, 1440)
    line = desk.window.docks["images"]
    desk.until(lambda: line.subject.shown_text == f"below/{name}")
    assert line.subject.toolTip() == ""
    desk.window.resize(853, 480)
    desk.until(lambda: line.subject.shown_text != f"below/{name}")
    assert (line.subject.shown_text[:5], line.subject.shown_text[-4:]) == ("below", ".png")
    assert line.subject.toolTip() == f"below/{name}"
    for part in (line.subject, line.detail):
        assert line.rect().contains(part.geometry()), part


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("building_facades_20230329_204432.jpg", "bu", "32"),
        ("1.2.840.113619.2.55.3.604688119", "1.", "119"),
        ("scan.2026-11-29T22:05:13", "sc", "13"),
    ],
)
def test_a_name_that_does_not_fit_its_tile_keeps_what_tells_it_apart(desk, name, start, end):
    metrics = desk.build() or desk.window.fontMetrics()
    short = short_name(name, metrics, 60)
    assert metrics.horizontalAdvance(short) <= 60
    assert (short[: len(start)], short[-len(end) :]) == (start, end)
    assert short_name("a.jpg", metrics, 60) == "a.jpg"


def test_the_candidates_go_up_when_they_would_cover_the_object(desk):
    desk.open()
    area = desk.window.area
    desk.click(80, 60)
    desk.wait_mask(80, 60)
    desk.until(area.candidates.isVisible)
    low = area.candidates.y()
    assert low > area.stack.height() / 2
    area.make_way_for(QRectF(0, area.stack.height() - 150, area.stack.width(), 150))
    assert area.candidates.y() < area.stack.height() / 2
    area.make_way_for(QRectF(0, 0, area.stack.width(), area.stack.height()))
    assert area.candidates.y() == low, "no place is free: it stays where it is looked for"


def test_the_candidates_move_for_an_object_that_is_low_in_a_zoomed_view(desk):
    desk.open()
    canvas, strip = desk.window.canvas, desk.window.area.candidates
    canvas.zoom_by(3.0)
    view = canvas.viewport().rect()
    place = canvas.view_to_image(QPointF(view.center().x(), view.bottom() - 12))
    assert canvas.contains_image_point(place.x(), place.y())
    desk.click(place.x(), place.y())
    desk.wait_mask(place.x(), place.y())
    desk.until(strip.isVisible)
    assert strip.y() < desk.window.area.stack.height() / 2


# --- tool strip -------------------------------------------------------------------------------------------------------


def test_cancel_is_enabled_when_there_is_something_to_cancel(desk):
    desk.open()
    cancel = desk.window.actions_by_id["cancel"]
    assert not cancel.isEnabled()
    desk.click(60, 60)
    assert cancel.isEnabled()
    desk.wait_mask(60, 60)
    desk.key(K.Key_Return)
    assert not cancel.isEnabled()
    desk.window.objects.select_ids(frozenset(a.id for a in desk.session.annotations))
    assert cancel.isEnabled()
    desk.key(K.Key_Escape)
    assert not cancel.isEnabled()
    assert desk.window.objects.selected_ids() == frozenset()


def test_escape_drops_a_drag_that_is_the_only_thing_begun(desk):
    desk.open()
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, desk._at(20, 20))
    QTest.mouseMove(viewport, desk._at(90, 70))
    assert desk.window.actions_by_id["cancel"].isEnabled()
    desk.key(K.Key_Escape)
    assert not desk.window.actions_by_id["cancel"].isEnabled()
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, desk._at(90, 70))
    assert not desk.refine.state.is_active


def test_every_tool_shows_its_leading_key(desk):
    desk.build()
    keymap = desk.window.actions_by_id.keymap
    for name in filter(None, TOOL_STRIP):
        assert desk.window.strip.button(name).text() == keymap.label(name)
    assert desk.window.strip.button("redo").text() == "Ctrl+Shift+Z"


def crossing_buttons(strip):
    """Pairs of tools that lie over each other."""
    places = [strip.button(name).geometry() for name in filter(None, TOOL_STRIP)]
    return [(a, b) for number, a in enumerate(places) for b in places[:number] if a.intersects(b)]


def test_a_low_window_shows_every_tool(desk):
    desk.build()
    window, strip = desk.window, desk.window.strip
    last = [name for name in TOOL_STRIP if name][-1]
    edges = [height for least in strip.thresholds_px for height in (least - 1, least)]
    for height in (window.minimumHeight(), *edges, 760, 1000, window.minimumHeight()):
        window.resize(1000, height)
        desk.until(lambda height=height: window.height() == height)
        desk.qtbot.wait(30)
        overflow = strip.findChild(QToolButton, "qt_toolbar_ext_button")
        assert overflow is None or overflow.isHidden(), height
        button = window.strip.button(last)
        assert button.isVisible()
        assert button.geometry().bottom() <= strip.height()
        text_px = button.fontMetrics().height() if height >= strip.thresholds_px[1] else 0
        is_with_key = button.toolButtonStyle() is Qt.ToolButtonStyle.ToolButtonTextUnderIcon
        assert is_with_key == bool(text_px)
        assert button.height() >= button.iconSize().height() + text_px + 6, "neither icon nor key is cut"
        desk.until(lambda: not crossing_buttons(strip))


def test_a_strip_of_more_tools_needs_a_higher_window(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    actions = {str(number): QAction(str(number), window) for number in range(20)}
    few, many = (ToolStrip([*list(actions)[:count], "", "0"], actions, window) for count in (14, 15))
    assert [a - b for a, b in zip(many.thresholds_px, few.thresholds_px, strict=True)] == [51 + 2, 40, 34, 34, 28]
    for strip in (few, many):
        strip.fit(few.thresholds_px[0])
    assert few.button("0").height() > many.button("0").height()


def test_the_tool_strip_stands_still_when_the_theme_is_changed(desk):
    desk.build()
    window = desk.window
    window.resize(1000, 900)
    desk.qtbot.wait(50)
    names = [name for name in TOOL_STRIP if name]
    before = [window.strip.button(name).geometry() for name in names]
    for theme in ("light", "dark"):
        window.theme.apply(theme)
        desk.qtbot.wait(50)
        assert [window.strip.button(name).geometry() for name in names] == before


# --- files that cannot be opened --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"this is no database", b"SQLite format 3\x00" + bytes(4000)])
def test_a_corrupt_project_is_told_with_a_way_on(desk, monkeypatch, content):
    folder = desk.make_folder()
    with ProjectStore.open_folder(folder) as store:
        good = store.path
    bad = desk.root / "bad.annot"
    bad.write_bytes(content)
    desk.build()
    desk.program.files.open_path(bad)
    bar = desk.window.area.error_bar
    desk.until(lambda: "bad.annot" in bar.text)
    assert desk.window.isVisible()
    assert desk.window.area.stack.currentWidget() is desk.window.area.empty
    assert bar.button.text() == "Open another…"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args, **_options: (str(good), ""))
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.shown_row() == 0)
    assert bar.text == ""
    assert bad.read_bytes() == content


def test_what_the_command_line_may_name(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "set.annot").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    assert named_place(str(tmp_path / "a.png")) == tmp_path, "an image stands for its folder"
    for name in ("set.annot", "notes.txt", "."):
        assert named_place(str(tmp_path / name)) == tmp_path / name
    with pytest.raises(UserError, match="no folder or project"):
        named_place(str(tmp_path / "absent.png"))
    monkeypatch.chdir(tmp_path.parent)
    assert named_place(tmp_path.name) == tmp_path, "remembered for starts from elsewhere"


def test_sheets_have_a_heading_of_their_own(desk):
    desk.open()
    files = desk.program.files
    for dialog in (files.show_keys(), files.show_settings(), files.show_about()):
        titles = [label for label in dialog.findChildren(QLabel) if label.objectName() == "title"]
        assert len(titles) == 1
        assert titles[0].text().split()[0] in dialog.windowTitle()
        dialog.close()


# --- full screen ------------------------------------------------------------------------------------------------------


def test_a_maximised_window_is_maximised_again_after_full_screen(desk):
    desk.open()
    desk.window.showMaximized()
    desk.until(desk.window.isMaximized)
    action = desk.window.actions_by_id["full_screen"]
    desk.key(K.Key_F11)
    desk.until(desk.window.isFullScreen)
    assert action.isChecked()
    desk.key(K.Key_F11)
    desk.until(lambda: not desk.window.isFullScreen())
    assert desk.window.isMaximized()
    assert not action.isChecked()


def test_a_window_that_was_left_in_full_screen_leaves_it_by_one_key(desk):
    desk.open()
    desk.key(K.Key_F11)
    desk.until(desk.window.isFullScreen)
    folder = desk.folder
    desk.close()
    desk.open(folder=folder)
    assert desk.window.isFullScreen()
    assert desk.window.actions_by_id["full_screen"].isChecked()
    desk.key(K.Key_F11)
    desk.until(lambda: not desk.window.isFullScreen())


# --- what stays in its place ------------------------------------------------------------------------------------------


def object_place(desk):
    """Where the candidates lie, in view pixels."""
    frame, view = desk.program.views._candidates_frame, desk.window.canvas.image_to_view
    return QRectF(view(frame.left(), frame.top()), view(frame.right(), frame.bottom()))


def test_the_candidates_keep_clear_of_the_object_when_it_is_moved_or_enlarged(desk):
    desk.open()
    canvas, strip = desk.window.canvas, desk.window.area.candidates
    desk.click(80, 60)
    desk.wait_mask(80, 60)
    desk.until(strip.isVisible)
    low = strip.y()
    canvas.pan_by(0, strip.geometry().center().y() - object_place(desk).center().y())
    assert strip.y() < low
    assert not QRectF(strip.geometry()).intersects(object_place(desk))
    canvas.fit()
    assert strip.y() == low
    at = canvas.image_to_view(80, 20)
    canvas.zoom_by(1.6, at)
    assert not QRectF(strip.geometry()).intersects(object_place(desk))


def test_a_long_message_leaves_the_numbers_where_they_are(desk):
    desk.open()
    desk.window.resize(880, 600)
    desk.accept_at(60, 60)
    status = desk.window.status
    text = "The object in work waits for its mask, " * 8
    status.tell(text)
    facts = (status.engine, status.encode, status.decode, status.zoom)
    desk.until(lambda: all(fact.isVisible() and fact.width() >= fact.sizeHint().width() for fact in facts))
    assert all(fact.geometry().right() <= status.width() for fact in facts)
    assert status.message.text() == text
    assert status.message.toolTip() == text
    status.tell("Done.")
    assert status.message.toolTip() == ""


def test_the_busy_line_rests_when_there_is_no_model(desk):
    desk.engine.load_error = "The model file is damaged."
    desk.open(wait_ready=False)
    desk.until(lambda: "damaged" in desk.window.area.error_bar.text)
    assert desk.window.area.busy.isHidden()
    desk.click(60, 60)
    assert desk.window.area.busy.isHidden()
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert desk.window.area.busy.isHidden()


def test_the_canvas_has_a_name_for_screen_readers(desk):
    desk.build()
    interface = QAccessible.queryAccessibleInterface(desk.window.canvas)
    assert interface.text(QAccessible.Text.Name) == "Image and its objects"


def test_the_tool_comes_back_after_a_read_only_project(desk):
    desk.open()
    desk.key(K.Key_B)
    assert desk.window.canvas.tool == "box"
    other = desk.make_other_folder()
    with ProjectStore.open_folder(other, author="a colleague"):
        desk.program.files.open_path(other)
        desk.until(lambda: not desk.session.is_writable and desk.shown_row() == 0)
        assert desk.window.canvas.tool == "select"
        desk.program.files.open_path(desk.folder)
        desk.until(lambda: desk.session.is_writable and desk.shown_row() == 0)
    assert desk.window.canvas.tool == "box"
    assert desk.window.actions_by_id["tool_box"].isChecked()


def test_an_import_that_failed_can_be_tried_again(desk):
    desk.open()
    source = desk.root / "objects.json"
    source.write_text("{ no json")
    desk.program.files.import_path(source)
    desk.until(lambda: desk.window.findChild(WorkDialog) is not None)
    dialog = desk.window.findChild(WorkDialog)
    desk.until(lambda: not dialog.is_running)
    assert dialog.start_button.isVisible()
    assert dialog.start_button.text() == "Try again"
    size = {"width": 160, "height": 120}
    source.write_text(json.dumps({"images": [{"id": 1, "file_name": "0.png", **size}], "annotations": []}))
    QTest.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: not dialog.is_running)
    assert dialog.start_button.isHidden(), dialog.report.toPlainText()
    dialog.close()
    desk.until(lambda: desk.session.store is not None)


def test_what_a_window_listens_to_goes_with_it(desk, qapp) -> None:
    """Or every window of a process would stay, with its images, and the next one would be slower to close."""
    desk.open()
    parts = (desk.session, desk.client, desk.loader, desk.refine, desk.program.thumbnails)
    desk.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not any(map(isValid, parts))
