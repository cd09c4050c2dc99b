"""Images that were moved are told when a project opens, and re-linked from the window."""

from __future__ import annotations

import shutil

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from annotator.ui.dialogs.work_dialog import WorkDialog

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


def labelled_and_moved(desk):
    """The first image has an object; the project is closed, and its file renamed."""
    desk.open()
    desk.accept_at(60, 60)
    project = desk.session.store.path
    desk.program.files.open_path(desk.make_other_folder())
    desk.until(lambda: desk.session.store is not None and desk.session.store.path != project and desk.shown_row() == 0)
    shutil.move(desk.folder / "0.png", desk.folder / "renamed.png")
    desk.program.files.open_path(project)
    desk.until(lambda: desk.session.store is not None and desk.session.store.path == project)


def find(desk) -> WorkDialog:
    bar = desk.window.area.error_bar
    desk.until(lambda: bar.button.text() == "Find…")
    assert "1 labelled image is not in place any more" in bar.text
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    dialog = desk.window.findChild(WorkDialog)
    desk.until(lambda: not dialog.is_running)
    return dialog


def test_a_renamed_image_is_found_and_relinked(desk) -> None:
    labelled_and_moved(desk)
    dialog = find(desk)
    assert "0.png -> renamed.png (same content)" in dialog.report.toPlainText()
    (button,) = [b for b in dialog.findChildren(QPushButton) if b.text() == "Re-link 1"]
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    desk.until(lambda: [i.path for i in desk.session.images] == ["renamed.png", "1.png", "2.png"])
    desk.until(lambda: desk.shown_row() == 0 and len(desk.session.annotations) == 1)
    desk.until(lambda: "not in place" not in desk.window.area.error_bar.text)
    assert desk.session.store.undo_name == "re-link 1 image"
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.until(lambda: [i.path for i in desk.session.images] == ["0.png", "1.png", "2.png", "renamed.png"])
    desk.until(lambda: desk.session.image is not None)
    desk.key(Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    desk.until(lambda: [i.path for i in desk.session.images] == ["renamed.png", "1.png", "2.png"])


def test_the_search_changes_nothing_by_itself(desk) -> None:
    labelled_and_moved(desk)
    dialog = find(desk)
    dialog.close()
    assert [i.path for i in desk.session.store.images()] == ["0.png", "1.png", "2.png", "renamed.png"]


def test_a_project_in_order_says_nothing(desk) -> None:
    desk.open()
    desk.accept_at(60, 60)
    assert desk.session.absent == 0
    assert desk.window.area.error_bar.text == ""
