"""The film strip: searched, filtered, and gone through."""

from __future__ import annotations

import sqlite3

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.project import Status, status_edit
from annotator.io.images import trouble
from annotator.io.project.store import ProjectStore
from annotator.ui.panels.list_models import ROW_ROLE

K = Qt.Key
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


def test_the_film_strip_is_searched_and_filtered(desk):
    desk.open(images=6)
    film, field, choice = desk.window.film, desk.window.film.filter.field, desk.window.film.filter.choice

    def shown():
        return [film.model.index(row).data(ROW_ROLE).id - 1 for row in range(film.model.rowCount())]

    field.setFocus()
    QTest.keyClicks(field, "4")
    assert shown() == [0, 4], "the open image stays in sight"
    assert "2 shown" in desk.window.docks["images"].detail.text()
    QTest.mouseClick(
        film.view.viewport(), Qt.MouseButton.LeftButton, pos=film.view.visualRect(film.model.index(1)).center()
    )
    desk.wait_image(4)
    assert shown() == [4]
    field.setFocus()
    QTest.keyClick(field, K.Key_Escape)
    assert field.text() == ""
    assert shown() == [*range(6)]
    # A status that changes changes what is shown.
    choice.setFocus()
    QTest.keyClick(choice, K.Key_Down)
    assert choice.currentText() == "Unseen"
    desk.window.canvas.setFocus()
    desk.key(K.Key_X)
    assert shown() == [*range(6)], "it is open"
    desk.key(K.Key_D)
    desk.wait_image(5)
    assert shown() == [0, 1, 2, 3, 5]
    desk.program.files.open_path(desk.make_other_folder())
    desk.until(lambda: desk.session.store.image_root.name == "other")
    assert choice.currentIndex() == 0
    assert film.model.rowCount() == len(desk.session.images)


def test_next_and_previous_keep_to_the_images_that_are_shown(desk):
    desk.open(images=6)
    film, status = desk.window.film, desk.window.status.message
    film.filter.choice.setCurrentText("Unseen")
    desk.until(lambda: "keep to the images that are shown" in status.text())
    desk.session.apply(status_edit(desk.session.images[1], Status.DONE))
    desk.session.apply(status_edit(desk.session.images[5], Status.DONE))
    desk.window.canvas.setFocus()
    desk.key(K.Key_D)
    desk.wait_image(2)
    desk.key(K.Key_Return, Qt.KeyboardModifier.ControlModifier)
    desk.wait_image(3)
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.key(K.Key_D, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    desk.wait_image(3)
    desk.key(K.Key_D)
    desk.wait_image(4)
    desk.key(K.Key_D)
    desk.until(lambda: status.text() == "This is the last image that the film strip's filter shows.")
    # A hidden strip filters nothing.
    desk.window.show_panel("images", False)
    desk.key(K.Key_D)
    desk.wait_image(5)


def test_the_film_strip_shows_images_with_a_draft(desk):
    desk.open(images=4)
    film = desk.window.film
    desk.click(40, 40)
    desk.wait_mask(40, 40)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.until(lambda: desk.session.drafts.counts == {1: 1})
    film.filter.choice.setCurrentText("With draft")
    assert [film.model.index(row).data(ROW_ROLE).id for row in range(film.model.rowCount())] == [1, 2], "2 is open"
    desk.key(K.Key_D)
    desk.until(lambda: "last image that" in desk.window.status.message.text())
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert film.model.rowCount() == 1
    desk.wait_mask(40, 40)
    desk.key(K.Key_Return)
    desk.until(lambda: not desk.session.drafts.counts)
    assert film.model.rowCount() == 1, "it is open"


def test_a_thumbnail_that_is_missing_says_why(desk):
    folder = desk.make_folder(images=4)
    (folder / "1.png").write_bytes(b"no picture")
    trouble.remember(str(folder / "2.png"), "thumbnail", trouble.CRASHED)
    with ProjectStore.open_folder(folder) as store:
        path = store.path
    with sqlite3.connect(path) as project:
        project.execute("UPDATE image SET path = '../3.png' WHERE id = 4")
    project.close()
    desk.open(folder=folder)
    model = desk.window.film.model

    def tip(row):
        return model.index(row).data(Qt.ItemDataRole.ToolTipRole)

    desk.until(lambda: "\n" in tip(1))
    desk.until(lambda: "ended the process that reads images" in tip(2))
    assert "\n" not in tip(0)
    desk.until(lambda: "leaves the image folder" in tip(3))
