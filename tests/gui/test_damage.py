"""A damaged object in the open project: it is named and left out, the others go on, and it comes back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import Qt

from annotator.io.project.store import ProjectStore
from tests.gui.shell import Desk

CTRL = Qt.KeyboardModifier.ControlModifier


def labelled(desk: Desk) -> Path:
    desk.open()
    for place in (40, 100):
        desk.accept_at(place, 60)
    desk.close()
    return desk.folder / "pictures.annot"


def spoil(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE annotation SET rle = CAST(replace(CAST(rle AS TEXT), '0', '1') AS BLOB) WHERE id = 1",
        "UPDATE annotation SET rle = 7 WHERE id = 1",
        "UPDATE annotation SET image_width = 'wide' WHERE id = 1",
    ],
)
def test_a_damaged_object_is_named_and_comes_back(desk, sql):
    path = labelled(desk)
    spoil(path, sql)
    desk.open(folder=desk.folder)
    bar = desk.window.area.error_bar
    desk.until(lambda: "object 1 is left out" in bar.text)
    desk.click(70, 20)
    desk.wait_mask(70, 20)
    desk.key(Qt.Key.Key_Return)
    assert desk.session.annotations[-1].id == 3, "the others go on"
    desk.until(lambda: "object 1 is left out" in bar.text)
    bar.button.click()
    desk.until(lambda: "Brought back from the history: object 1." in desk.window.status.message.text())
    assert [row.id for row in desk.session.annotations] == [1, 2, 3]
    assert desk.session.store.damage == {}
    desk.close()
    with ProjectStore.open(path, read_only=True) as store:
        assert store.annotations(1)[0].mask().contains(40, 60)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE annotation SET rle = CAST(replace(CAST(rle AS TEXT), '0', '1') AS BLOB) WHERE id = 1", "is damaged"),
        ("UPDATE annotation SET rle = 7 WHERE id = 1", "is damaged"),
        ("UPDATE annotation SET image_width = 161 WHERE id = 1", "is damaged"),
        ("DELETE FROM annotation WHERE id = 1", "is gone"),
    ],
)
def test_what_was_being_changed_in_a_damaged_object_is_a_new_one(desk, sql, why):
    """The clicks are not lost with the object that they were made on."""
    desk.open()
    for place in (40, 100):
        desk.accept_at(place, 60)
    desk.program.commands.refine_object(1)
    desk.click(44, 60)
    desk.wait_mask(44, 60)
    desk.close()
    spoil(desk.folder / "pictures.annot", sql)
    desk.open(folder=desk.folder)
    desk.wait_mask(44, 60)
    told = f"The current object is back. Object 1 {why}, so what was changed in it is a new object now."
    assert desk.window.status.message.text() == told
    desk.key(Qt.Key.Key_Return)
    desk.until(lambda: desk.refine.can_leave())
    made = desk.session.annotations[-1]
    assert made.id == 3
    assert made.mask().contains(44, 60)


def test_what_was_being_changed_on_an_image_of_another_size_is_a_new_object(desk):
    desk.open()
    desk.accept_at(40, 60)
    desk.program.commands.refine_object(1)
    desk.click(44, 60)
    desk.wait_mask(44, 60)
    desk.close()
    Image.new("RGB", (200, 100)).save(desk.folder / "0.png")
    desk.open(folder=desk.folder)
    desk.wait_mask(44, 60)
    assert "Object 1 belongs to another size of the image" in desk.window.status.message.text()
    assert desk.refine.state.origin_id is None


def test_a_damaged_object_without_a_history_is_told_and_can_be_deleted(desk):
    path = labelled(desk)
    spoil(path, "UPDATE annotation SET rle = CAST(replace(CAST(rle AS TEXT), '0', '1') AS BLOB) WHERE id = 1")
    spoil(path, "DELETE FROM edit")
    desk.open(folder=desk.folder)
    bar = desk.window.area.error_bar
    desk.until(lambda: "object 1 is left out" in bar.text)
    desk.program.commands.refine_object(1)
    assert not desk.refine.state.is_active
    bar.button.click()
    desk.until(lambda: "no earlier state" in bar.text)
    desk.window.objects.select_ids(frozenset({1}))
    desk.program.commands.delete_selected()
    assert [row.id for row in desk.session.annotations] == [2]


def test_a_class_of_a_bad_colour_and_an_image_that_climbs_out(desk):
    path = labelled(desk)
    spoil(path, "UPDATE category SET colour = '#zz'")
    spoil(path, "UPDATE image SET path = '../x.png' WHERE id = 2")
    desk.open(folder=desk.folder)
    bar = desk.window.area.error_bar
    desk.until(lambda: "class 1 was mended" in bar.text)
    assert desk.session.category.colour.startswith("#")
    desk.key(Qt.Key.Key_D)
    desk.until(lambda: "leaves the image folder" in bar.text)
    desk.key(Qt.Key.Key_D)
    desk.wait_image(2)
    desk.accept_at(40, 40)
