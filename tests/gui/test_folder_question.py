"""A project that wants images from outside of its own folder: the window asks first, in a bar that keys can reach."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.io.images.reading import load_image, load_thumbnail
from annotator.io.project import agreed
from annotator.io.project.store import ProjectStore

K = Qt.Key
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


@pytest.fixture
def strangers(desk, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Came in a folder of its own, and names another one that is the person's."""
    monkeypatch.setattr(agreed, "_here", set())
    folder = desk.make_folder()
    came = desk.root / "came"
    came.mkdir()
    with ProjectStore.open_folder(folder):
        pass
    project = came / "theirs.annot"
    shutil.move(folder / "pictures.annot", project)
    with ProjectStore.open(project) as store:
        store.meta_set("image_root", "../pictures")
        store.meta_set("image_root_absolute", "")
    return project


def open_it(desk, project: Path) -> None:
    desk.build()
    desk.program.files.open_path(project)
    desk.until(lambda: "wants to read images" in bar(desk).text)


def bar(desk):
    return desk.window.area.error_bar


def test_nothing_is_read_until_it_is_allowed(desk, strangers, monkeypatch):
    asked = []
    monkeypatch.setattr("annotator.ui.threads.loading.load_image", lambda path, **_: asked.append(path))
    monkeypatch.setattr("annotator.ui.threads.loading.load_thumbnail", lambda path, **_: asked.append(path))
    open_it(desk, strangers)
    assert str(desk.folder) in bar(desk).text
    assert (bar(desk).button.text(), bar(desk).not_now_button.text()) == ("Allow", "Not now")
    desk.until(lambda: desk.session.image is not None and desk.window.film.view.model().rowCount() == 3)
    desk.window.film.view.grab()
    assert asked == []
    monkeypatch.setattr("annotator.ui.threads.loading.load_image", load_image)
    monkeypatch.setattr("annotator.ui.threads.loading.load_thumbnail", load_thumbnail)
    desk.window.canvas.setFocus()
    desk.key(K.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    assert desk.window.focusWidget() is bar(desk).button
    desk.key(K.Key_Tab)
    assert desk.window.focusWidget() is bar(desk).not_now_button
    desk.key(K.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    assert desk.window.focusWidget() is bar(desk).button
    desk.key(K.Key_Space)
    desk.until(lambda: desk.shown_row() == 0)
    assert not bar(desk).text
    assert agreed.list_path().exists()


def test_not_now_leaves_the_project_open_and_asks_when_an_image_is_wanted(desk, strangers):
    open_it(desk, strangers)
    desk.until(lambda: desk.session.image is not None)
    bar(desk).not_now_button.setFocus()
    QTest.keyClick(bar(desk).not_now_button, K.Key_Space)
    assert not bar(desk).text
    assert desk.session.store is not None
    assert desk.shown_row() == -1
    desk.window.canvas.setFocus()
    desk.key(K.Key_D)
    assert "wants to read images" in bar(desk).text
    assert desk.session.images.index(desk.session.image) == 1


def test_another_message_has_no_such_button(desk, strangers):
    open_it(desk, strangers)
    bar(desk).not_now_button.click()
    desk.window.notices.warn("Something else.", about="file")
    assert not bar(desk).not_now_button.isVisible()


def test_a_project_of_the_persons_own_asks_nothing(desk):
    folder = desk.make_folder()
    place = desk.root / "projects" / "mine.annot"
    place.parent.mkdir()
    desk.build()
    desk.program.files.open_path(folder, project_path=place)
    desk.until(lambda: desk.shown_row() == 0)
    assert not bar(desk).text
    desk.session.close()
    desk.program.files.open_path(place)
    desk.until(lambda: desk.shown_row() == 0)
    assert not bar(desk).text
