"""Similar objects in the window: found, walked through by keys, given a class; and those unlike their class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Edit, RowChange
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import JobState

K, M = Qt.Key, Qt.KeyboardModifier
COLOURS = ((200, 50, 40), (40, 60, 200))
PLACES = [(x, y) for y in (6, 36) for x in (6, 36, 66)]


@pytest.fixture
def labelled(desk, tmp_path, monkeypatch):
    """The desk with four images of red and blue squares, in two classes; the first red one is called blue."""
    monkeypatch.setattr("annotator.io.project.looks.cache_dir", lambda: tmp_path / "cache")
    folder = tmp_path / "squares"
    folder.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(110, 130, (60, 96, 3)).astype(np.uint8)
        for at, (x, y) in enumerate(PLACES):
            pixels[y : y + 14 + at % 2, x : x + 14] = COLOURS[at % 2]
        Image.fromarray(pixels).save(folder / f"{number}.png")
    with ProjectStore.open_folder(folder) as store:
        red = store.categories()[0]
        blue = replace(red, id=red.id + 1, name="blue", key=2)
        changes = [RowChange(None, blue)]
        for image in store.images():
            for at, (x, y) in enumerate(PLACES):
                mask = Mask(np.ones((14 + at % 2, 14), np.bool_), x, y, 96, 60)
                kind = blue.id if at % 2 or (image.path == "0.png" and at == 0) else red.id
                size = {"area": mask.area, "image_width": 96, "image_height": 60}
                box = (x, y, 14, 14 + at % 2)
                row = Annotation(store.new_id("annotation"), image.id, kind, *box, rle=mask.rle(), **size)
                changes.append(RowChange(None, row))
        store.apply(Edit("add", tuple(changes)))
    desk.open(folder=folder)
    return desk


def panel(desk):
    return desk.window.panels["similar"]


def is_there(desk):
    return desk.program.controls.similar._work is None and bool(panel(desk).model.rows)


def first(desk):
    return min(one.id for one in desk.session.annotations)


def colour_of(desk, annotation_id):
    row = desk.session.store.annotation(annotation_id)
    return PLACES.index((row.x, row.y)) % 2


def find(desk):
    desk.window.objects.select_ids(frozenset({first(desk)}))
    desk.key(K.Key_S, M.ControlModifier | M.AltModifier)
    desk.until(lambda: is_there(desk))


def test_the_most_alike_are_shown_with_pictures_and_enter_goes_there(labelled):
    find(labelled)
    rows = panel(labelled).model.rows
    assert len(rows) == 23
    assert {colour_of(labelled, row.annotation_id) for row in rows[:11]} == {0}
    assert "23 objects like object" in panel(labelled).stands.text()
    labelled.until(lambda: len(panel(labelled).model._pictures) == 23)
    [job] = [one for one in labelled.window.jobs.jobs if one.title == "Look at objects"]
    assert job.standing.state is JobState.DONE
    other = next(row for row in rows if row.image_id != labelled.session.image.id)
    panel(labelled).view.setCurrentIndex(panel(labelled).model.index(rows.index(other)))
    panel(labelled).view.activated.emit(panel(labelled).view.currentIndex())
    labelled.until(lambda: labelled.window.objects.selected_ids() == frozenset({other.annotation_id}))
    assert labelled.session.image.id == other.image_id


def test_keys_walk_through_what_is_unlike_its_class_and_a_digit_mends_it(labelled):
    labelled.key(K.Key_U, M.ControlModifier | M.AltModifier)
    labelled.until(lambda: is_there(labelled))
    [row] = panel(labelled).model.rows
    assert row.annotation_id == first(labelled)
    assert row.text.endswith("?")
    labelled.key(K.Key_L, M.AltModifier)
    assert "That was the last one." in labelled.window.status.message.text()
    panel(labelled).view.setFocus()
    panel(labelled).view.selectAll()
    panel(labelled).digit.emit(1)
    assert labelled.session.store.annotation(row.annotation_id).category_id == labelled.session.classes.by_key(1).id
    labelled.key(K.Key_Z, M.ControlModifier)
    assert labelled.session.store.annotation(row.annotation_id).category_id == labelled.session.classes.by_key(2).id


def test_without_a_selection_it_says_what_to_do_and_a_change_is_looked_at_again(labelled):
    labelled.program.controls.similar.find()
    assert "Select an object" in labelled.window.status.message.text()
    find(labelled)
    labelled.session.delete({max(one.id for one in labelled.session.annotations)})
    find(labelled)
    labelled.until(lambda: len(panel(labelled).model.rows) == 22)


def test_images_that_are_nearly_the_same_are_listed_in_pairs_and_gone_to(desk, tmp_path, monkeypatch):
    monkeypatch.setattr("annotator.io.project.looks.cache_dir", lambda: tmp_path / "cache")
    folder = tmp_path / "copies"
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (8, 12, 3)).astype(np.uint8)
        Image.fromarray(noise).resize((96, 64)).save(folder / f"{number}.png")
    Image.open(folder / "1.png").resize((60, 40)).save(folder / "one-smaller.png")
    desk.open(folder=folder)
    QTest.mouseClick(panel(desk).copies_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: is_there(desk))
    rows = panel(desk).model.rows
    assert [row.text for row in rows] == ["1: 1.png", "1: one-smaller.png"]
    assert rows[0].tip == "1.png, the same picture as one-smaller.png"
    assert "1 pair of images" in panel(desk).stands.text()
    desk.until(lambda: len(panel(desk).model._pictures) == 2)
    panel(desk).view.setFocus()
    desk.key(K.Key_L, M.AltModifier)
    desk.until(lambda: desk.session.image.name == "one-smaller.png" and desk.program.controls.similar._wanted is None)
