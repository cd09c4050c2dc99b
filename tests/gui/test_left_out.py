"""What a folder holds and the project does not take is said in the window; a long name gets another place offered."""

from __future__ import annotations

import os

import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, names that are not text")


def test_the_window_says_what_it_leaves_out_and_why(desk) -> None:
    folder = desk.make_folder()
    (folder / "loop").symlink_to(folder)
    (folder / "old.heic").write_bytes(b"x")
    desk.open(folder=folder)
    bar = desk.window.area.error_bar
    desk.until(lambda: "Left out of this folder" in bar.text)
    assert "loop is a link to a folder and not followed" in bar.text
    assert "old.heic is of a kind that cannot be read here (.heic)" in bar.text
    other = desk.make_other_folder()
    desk.program.files.open_path(other)
    desk.until(lambda: desk.session.store.image_root == other)
    assert bar.text == "", "it was about the other folder"
    desk.program.files.open_path(folder)
    desk.until(lambda: "Left out of this folder" in desk.window.status.message.text())
    assert bar.text == "", "the bar has said it once"


def test_a_folder_of_nothing_readable_names_what_is_there(desk) -> None:
    folder = desk.root / "phone"
    folder.mkdir()
    for number in range(2):
        (folder / f"IMG_{number}.HEIC").write_bytes(b"x")
    desk.build()
    desk.program.files.open_path(folder)
    bar = desk.window.area.error_bar
    desk.until(lambda: "There are no images" in bar.text)
    assert "each of 2 files (" in bar.text


def test_a_long_folder_gets_another_place(desk, monkeypatch) -> None:
    folder = desk.root / ("n" * 250)
    folder.mkdir()
    Image.new("RGB", (160, 120)).save(folder / "0.png")
    place = desk.root / "place.annot"
    suggested = []

    def choose(_parent, _title, suggestion, *_args, **_options):
        suggested.append(suggestion)
        return str(place), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    desk.build()
    desk.program.files.open_path(folder)
    bar = desk.window.area.error_bar
    desk.until(lambda: "too long for a project file" in bar.text)
    assert bar.button.text() == "Choose a place…"
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    assert desk.session.store.path == place
    assert len(os.path.basename(suggested[0])) <= 210
