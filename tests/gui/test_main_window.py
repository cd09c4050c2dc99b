"""The whole window, driven by real mouse and key events, with a fake engine and a real project file."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from annotator.domain.project import Status
from annotator.io.project.store import ProjectStore
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.dialogs.work_dialog import WorkDialog

K = Qt.Key
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


def test_facts_in_the_status_bar_stand_still_while_the_cursor_moves(desk):
    desk.open()
    desk.accept_at(60, 60)
    status, places = desk.window.status, set()
    for x, y in ((1, 1), (150, 100), (20, 7), (-5, -5)):
        QTest.mouseMove(desk.window.canvas.viewport(), desk._at(x, y))
        desk.qtbot.wait(5)
        places.add((status.engine.x(), status.decode.x(), status.zoom.x()))
    assert len(places) == 1


def test_typing_a_class_name_triggers_no_tool(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.window.classes.edit_name(1)
    editor = desk.window.classes.view.findChild(QLineEdit)
    QTest.keyClicks(editor, "dax 12z")
    QTest.keyClick(editor, K.Key_Backspace)
    QTest.keyClick(editor, K.Key_Return)
    desk.until(lambda: desk.session.category.name.endswith("dax 12"))
    assert desk.session.image.path == "0.png"
    assert len(desk.session.annotations) == 1
    assert desk.session.image.status is Status.IN_PROGRESS


def test_a_read_only_project_shows_and_changes_nothing(desk):
    folder = desk.make_folder()
    with ProjectStore.open_folder(folder):
        desk.open(folder=folder)
        assert "read-only" in desk.window.area.error_bar.text
        desk.click(60, 60)
        desk.key(K.Key_Return)
        desk.key(K.Key_X)
        assert not desk.refine.state.is_active
        assert desk.session.image.status is Status.UNSEEN
        assert not desk.window.actions_by_id["tool_click"].isEnabled()
        desk.key(K.Key_D)
        desk.wait_image(1)


def test_a_damaged_image_is_told_and_skipped(desk):
    folder = desk.make_folder()
    (folder / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    desk.open(folder=folder)
    desk.key(K.Key_D)
    desk.until(lambda: desk.window.area.error_bar.text != "")
    assert "1.png" in desk.window.area.error_bar.text
    desk.click(60, 60)
    assert not desk.refine.state.is_active
    QTest.mouseClick(desk.window.area.error_bar.button, Qt.MouseButton.LeftButton)
    desk.wait_image(2)
    desk.accept_at(60, 60)


def test_a_loaded_neighbour_is_shown_at_once(desk):
    desk.open()
    desk.until(lambda: desk.loader.cached(desk.session.images[1].id) is not None)
    QTest.keyClick(desk.window.canvas, K.Key_D)  # nothing else is handled meanwhile: no answer of a thread arrives
    assert desk.shown_row() == 1


def test_panels_hide_by_key_and_are_remembered(desk):
    desk.open()
    desk.key(K.Key_O)
    desk.key(K.Key_M)
    assert desk.window.hidden_panels() == ["objects", "images"]
    desk.window.resize(1200, 700)
    folder = desk.folder
    desk.close()
    desk.open(folder=folder)
    assert desk.window.hidden_panels() == ["objects", "images"]
    # The off-screen display is 800 pixels wide, and a window is brought back inside its display.
    assert desk.window.height() == 700
    desk.key(K.Key_O)
    assert desk.window.hidden_panels() == ["images"]


def test_the_hint_goes_after_the_first_accept(desk):
    desk.open()
    assert desk.window.area.hint.isVisible()
    desk.accept_at(60, 60)
    assert desk.window.area.hint.isHidden()
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert desk.window.area.hint.isHidden()
    folder = desk.folder
    desk.close()
    desk.open(folder=folder, first_row=1)
    assert desk.window.area.hint.isHidden()


def test_an_empty_window_has_two_buttons(desk, monkeypatch, tmp_path):
    desk.build()
    area = desk.window.area
    assert area.stack.currentWidget() is area.empty
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_a, **_k: tmp_path)
    QTest.mouseClick(area.empty.samples_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.shown_row() == 0)
    assert len(desk.session.images) >= 10


def test_a_folder_can_be_dropped(desk):
    desk.build()
    folder = desk.make_folder()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder / "1.png"))])
    rest = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    target = desk.window.area.empty
    place = target.mapTo(desk.window, QPoint(50, 50))
    entered = QDragEnterEvent(place, *rest)
    QApplication.sendEvent(desk.window, entered)
    assert entered.isAccepted()
    event = QDropEvent(QPointF(place), *rest)
    QApplication.sendEvent(desk.window, event)
    desk.until(lambda: desk.shown_row() == 0)


def test_clicks_before_the_model_is_loaded_are_answered(desk):
    desk.engine.hold_load()
    desk.open(wait_ready=False)
    assert "torch" not in desk.window.status.engine.text()
    desk.click(60, 60)
    assert len(desk.refine.state.prompts.points) == 1
    desk.until(desk.window.area.busy.isVisible)
    desk.engine.let_load()
    desk.wait_mask(60, 60)
    assert "fake" in desk.window.status.engine.text()


def test_a_model_that_cannot_be_loaded_is_told(desk):
    desk.engine.load_error = "The model fake is missing."
    desk.open(wait_ready=False)
    desk.until(lambda: "The model fake is missing." in desk.window.area.error_bar.text)


def test_a_slow_opening_does_not_hide_for_good_that_the_model_is_missing(desk):
    desk.engine.load_error = "The model fake is missing."
    desk.build()
    bar = desk.window.area.error_bar
    desk.until(lambda: "The model fake is missing." in bar.text)
    switch = desk.program.files._switch
    switch.open(desk.make_folder())
    switch._tell_slow()
    assert bar.text.startswith("Looking through pictures…")
    desk.until(lambda: desk.shown_row() == 0)
    assert "The model fake is missing." in bar.text


def test_settings_are_applied_at_once(desk):
    desk.open()
    dialog = desk.program.files.show_settings()
    dialog.editors["theme"].setCurrentText("light")
    assert desk.window.theme.tokens.name == "light"
    dialog.editors["keymap"].setCurrentText("isat")
    dialog.close()
    assert desk.window.theme.tokens.name == "light"
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_E)
    assert len(desk.session.annotations) == 1


def test_import_and_export_through_the_menu(desk, tmp_path):
    desk.open()
    desk.accept_at(60, 60)
    desk.program.files.export()
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    dialog = desk.window.findChild(ExportDialog)
    with desk.qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    exported = desk.folder / "pictures-coco.json"
    assert exported.is_file()
    dialog.close()
    desk.key(K.Key_A, CTRL)
    desk.key(K.Key_Delete)
    assert desk.session.annotations == ()
    desk.program.files.import_path(exported)
    work = desk.window.findChild(WorkDialog)
    desk.until(lambda: not work.is_running)
    work.close()
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    assert desk.session.is_writable


def test_closing_ends_the_threads(desk):
    desk.open()
    desk.engine.hold()
    desk.click(60, 60)
    desk.engine.let_go()
    client = desk.client
    desk.close()
    assert not client.is_running


def test_the_window_opens_without_torch():
    code = """
import sys
from PySide6.QtWidgets import QApplication
from annotator.ui import app
from annotator.io.settings import Settings
from pathlib import Path
import tempfile
application = app.make_application()
settings = Settings.load(Path(tempfile.mkdtemp()) / "settings.toml")
program = app.build_program(settings, app.default_factory("", config=None, device=None, settings=settings))
program.window.show()
heavy = {"torch", "sam2", "torchvision", "scipy", "skimage", "pydicom", "requests"} & set(sys.modules)
print("HEAVY", sorted(heavy))
import os
os._exit(1 if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_title_names_the_image_and_its_folder(desk):
    desk.open()
    desk.until(lambda: desk.window.windowTitle() == "0.png – pictures – Annotator")
    desk.key(K.Key_D)
    desk.until(lambda: desk.window.windowTitle() == "1.png – pictures – Annotator")
    assert desk.window.docks["images"].detail.text().startswith("2 / 3")
