"""Places that were open: the menu that leads back to them, and what the next start opens."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest

from annotator.io import settings as settings_module
from annotator.io.settings import Settings

pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


def menu_of(desk):
    file_menu = desk.window.menus["File"]
    file_menu.aboutToShow.emit()
    return next(action for action in file_menu.actions() if action.text() == "Open &recent").menu()


def newest(desk) -> str:
    return next(iter(action.toolTip() for action in menu_of(desk).actions()), "")


def kept(desk) -> Settings:
    """As the next start reads them."""
    return Settings.load(desk.root / "settings.toml")


def test_the_menu_leads_back_and_can_be_cleared(desk):
    desk.build()
    assert not menu_of(desk).isEnabled()
    desk.make_folder(images=2)
    other = desk.root / "R&D"
    desk.folder.rename(other)
    desk.make_folder(images=3)
    files = desk.program.files
    for folder in (other, desk.folder):
        files.open_path(folder)
        desk.until(lambda folder=folder: newest(desk) == str(folder))
    first, second = menu_of(desk).actions()[:2]
    assert first.text().startswith("&1  ")
    assert first.text().endswith("pictures")
    assert second.text().endswith("R&&D")
    second.trigger()
    desk.until(lambda: newest(desk) == str(other))
    assert desk.session.store.image_root == other
    desk.until(lambda: kept(desk).get("last_folder") == str(other))
    menu_of(desk).actions()[-1].trigger()
    assert not menu_of(desk).isEnabled()
    assert kept(desk).get("recent_folders") == []


def test_a_project_kept_elsewhere_is_the_one_that_opens_next(desk):
    place = desk.root / "projects" / "mine.annot"
    place.parent.mkdir()
    desk.build()
    files = desk.program.files
    files.open_path(desk.make_folder(), project_path=place)
    desk.until(lambda: desk.session.store is not None)
    desk.until(lambda: desk.shown_row() == 0)
    desk.window.canvas.setFocus()
    desk.key(Qt.Key.Key_X)
    desk.until(lambda: desk.session.image.status.value == "empty")
    desk.until(lambda: kept(desk).get("last_folder") == str(place))
    assert files._recent.start_folder == str(place.parent)
    files.open_path(Path(kept(desk).get("last_folder")))
    desk.until(lambda: desk.session.store is not None and desk.session.store.path == place)
    desk.until(lambda: desk.session.image is not None)
    assert desk.session.image.status.value == "empty"
    assert not list(desk.folder.glob("*.annot"))


def test_lists_settings_and_picture_have_an_event_each(desk):
    """All at once they held a window of a hundred thousand images for 40 ms."""
    desk.build()
    happened = []

    def note(what):
        happened.append(what)
        QTimer.singleShot(0, desk.window, lambda: happened.append(f"after {what}"))

    switch = desk.program.files._switch
    desk.session.opened.connect(lambda: note("lists"))
    desk.session.image_changed.connect(lambda image: note("picture") if image is not None else None)
    switch.opened.connect(lambda _path: note("settings"))
    desk.program.files.open_path(desk.make_folder())
    desk.until(lambda: "after picture" in happened)
    assert happened[:4] == ["lists", "after lists", "settings", "after settings"]


def test_the_place_is_written_beside_the_window_and_before_it_ends(desk, monkeypatch):
    """Reading and writing the settings file took a frame of the first picture."""
    gate, writers, write = threading.Event(), [], settings_module.write_atomic

    def held(path, data, **options):
        gate.wait(30)
        writers.append(threading.current_thread())
        write(path, data, **options)

    desk.build()
    with monkeypatch.context() as patch:
        patch.setattr(settings_module, "write_atomic", held)
        desk.program.files.open_path(desk.make_folder())
        desk.until(lambda: desk.shown_row() == 0)
        assert kept(desk).get("last_folder") == "", "the picture is there, and the file is not"
        threading.Timer(0.05, gate.set).start()
        desk.close()
    assert kept(desk).get("last_folder") == str(desk.folder)
    assert writers[0] is not threading.main_thread()


def test_a_place_that_cannot_be_written_is_told(desk, monkeypatch):
    desk.build()

    def full(_path, _data, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(settings_module, "write_atomic", full)
        desk.program.files.open_path(desk.make_folder())
        desk.until(lambda: "No space" in desk.window.status.message.text())


def test_lists_of_many_images_are_made_without_a_collection(desk, monkeypatch):
    """One that comes then walks through all of them, in the event that fills the film strip."""
    monkeypatch.setattr("annotator.domain.collecting.MANY", 2)
    desk.build()
    may_collect, frozen = [], []
    desk.session.opened.connect(lambda: (may_collect.append(gc.isenabled()), frozen.append(gc.get_freeze_count())))
    desk.program.files.open_path(desk.make_folder())
    desk.until(lambda: desk.shown_row() == 0)
    assert may_collect == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen[0]


def test_a_project_that_is_closed_at_once_is_not_told_as_open(desk):
    desk.build()
    told, over = [], []

    def close():
        if desk.session.store is not None:
            desk.session.close()
            QTimer.singleShot(0, desk.window, lambda: over.append(1))

    desk.program.files._switch.opened.connect(told.append)
    desk.session.opened.connect(lambda: QTimer.singleShot(0, desk.window, close))
    desk.program.files.open_path(desk.make_folder())
    desk.until(lambda: bool(over))
    assert told == []


def test_a_place_that_went_away_is_told(desk):
    desk.open()
    gone = desk.root / "gone"
    desk.program.settings.remember_folder(str(gone))
    menu_of(desk).actions()[0].trigger()
    bar = desk.window.area.error_bar
    desk.until(bar.isVisible)
    assert "gone" in bar.text
    assert desk.session.store.image_root == desk.folder, "what was open stays open"


def test_a_folder_of_the_same_name_gets_a_project_of_its_own(desk, monkeypatch):
    """Where folders cannot be written, their projects lie together: "images" of one patient is not that of another."""
    documents = desk.root / "documents"
    documents.mkdir()
    monkeypatch.setattr("platformdirs.user_documents_path", lambda: documents)
    asked = []
    monkeypatch.setattr(
        "annotator.ui.project.files.QFileDialog.getSaveFileName",
        lambda _parent, _title, suggestion, _kinds, **_options: (asked.append(suggestion), ("", ""))[1],
    )
    patient = desk.root
    desk.root = patient / "second"
    desk.root.mkdir()
    second = desk.make_folder()
    desk.root = patient
    place, first = documents / "pictures.annot", desk.make_folder()
    desk.build()
    desk.program.files.open_path(first, project_path=place)
    desk.until(lambda: desk.shown_row() == 0)
    desk.program.files.open_path(second, project_path=place)
    bar = desk.window.area.error_bar
    desk.until(bar.isVisible)
    assert "belongs to the folder" in bar.text
    assert bar.button.text() == "Choose a place…"
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    desk.until(lambda: bool(asked))
    assert asked == [str(documents / "pictures-2.annot")]
    assert desk.session.store.image_root == first, "what was open stays open"


def test_an_image_whose_file_was_replaced_is_told(desk):
    desk.open()
    desk.accept_at(60, 60)
    pixels = np.random.default_rng(7).integers(0, 255, (120, 160, 3), np.uint8)
    Image.fromarray(pixels).save(desk.folder / "0.png")
    desk.program.files.open_path(desk.folder)
    bar = desk.window.area.error_bar
    desk.until(bar.isVisible)
    assert "0.png is another file" in bar.text
