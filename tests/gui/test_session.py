"""The open project: moving, changing, stepping back, failing disks. Real project files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.errors import ProjectError, ProjectReadOnlyError
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Status, accept_edit
from annotator.io.project.identifiers import LEFT_OUT, SALT_KEY, UIDS_KEY, keeps_uids
from annotator.io.project.opened import open_project
from annotator.io.project.store import ProjectStore
from annotator.ui.project.session import ProjectSession


def make_folder(root: Path, *, images: int = 3) -> Path:
    folder = root / "pictures"
    folder.mkdir()
    for number in range(images):
        Image.fromarray(np.full((40, 60, 3), 40 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


def accept(session: ProjectSession, *, left: int = 5, category_id: int = 0) -> Annotation:
    full = np.zeros((40, 60), bool)
    full[5:15, left : left + 10] = True
    image = session.image
    assert image is not None
    assert session.store is not None
    empty = Annotation(
        session.store.new_id("annotation"), image.id, category_id or session.category.id, 0, 0, 0, 0, 0, b"", 60, 40
    )
    annotation = empty.with_mask(Mask.from_full(full))
    session.apply(accept_edit(annotation, image))
    return annotation


@pytest.fixture
def session(qapp, tmp_path):
    session = ProjectSession()
    session.failures, session.lines = [], []
    session.failed.connect(lambda error, retry: session.failures.append((str(error), retry)))
    session.reported.connect(session.lines.append)
    session.open_path(make_folder(tmp_path))
    yield session
    session.close()


def test_opening_shows_the_first_image_and_a_class(session):
    assert [image.path for image in session.images] == ["0.png", "1.png", "2.png"]
    assert session.image.path == "0.png"
    assert session.category.name == "object"


def test_taking_a_project_writes_nothing_into_it(session, tmp_path, monkeypatch):
    """What it has to note was written where it was opened, beside the window."""
    other = tmp_path / "other"
    other.mkdir()
    opened = open_project(make_folder(other), keeps_uids=True)
    for key in (UIDS_KEY, SALT_KEY):
        assert opened.store.meta_get(key)
    writes = []
    plain = opened.store.write_beside
    monkeypatch.setattr(opened.store, "write_beside", lambda work: (writes.append(work), plain(work)))
    session.keeps_uids = True
    session.adopt(opened).close()
    assert session.store is opened.store
    assert keeps_uids(session.store)
    assert not writes


def test_what_cannot_be_noted_beside_the_window_is_told_in_it(session, tmp_path, monkeypatch):
    plain = ProjectStore.meta_set

    def full(store, key, value):
        if key == UIDS_KEY:
            raise ProjectError("The disk is full.", "Make room.")
        plain(store, key, value)

    other = tmp_path / "other"
    other.mkdir()
    with monkeypatch.context() as broken:
        broken.setattr(ProjectStore, "meta_set", full)
        opened = open_project(make_folder(other), keeps_uids=False)
        session.adopt(opened).close()
    assert session.failures
    session.failures[0][1]()
    assert session.store.meta_get(UIDS_KEY) == LEFT_OUT


def test_position_and_class_are_remembered(session, tmp_path):
    session.classes.add("cell")
    session.step(+1)
    session.close()
    again = ProjectSession()
    again.open_path(tmp_path / "pictures")
    assert again.image.path == "1.png"
    assert again.category.name == "cell"
    again.close()


def test_ends_are_told_not_crossed(session):
    session.step(-1)
    assert session.image.path == "0.png"
    session.step(+2)
    session.step(+1)
    assert session.image.path == "2.png"
    assert session.lines == ["This is the first image.", "This is the last image."]


def test_a_long_step_stops_at_the_last_image_that_the_filter_shows(session):
    session.step(+10)
    assert session.image.path == "2.png"
    session.step(+10)
    assert session.lines == ["This is the last image."]
    session.image_filter = replace(session.image_filter, part="1")
    session.step(-10)
    assert session.image.path == "1.png", "0.png is not shown"


def test_opening_the_same_folder_again_stays_writable(session, tmp_path):
    session.open_path(tmp_path / "pictures")
    assert session.is_writable


def test_a_failed_opening_keeps_the_open_project(session, tmp_path):
    with pytest.raises(ProjectError):
        session.open_path(tmp_path / "nothing here")
    assert session.image.path == "0.png"
    accept(session)
    assert len(session.annotations) == 1


def test_undo_jumps_to_the_image_it_changes(session):
    accept(session)
    session.step(+2)
    assert session.annotations == ()
    session.undo()
    assert session.image.path == "0.png"
    assert session.annotations == ()
    assert session.image.status is Status.UNSEEN
    session.step(+1)
    session.redo()
    assert session.image.path == "0.png"
    assert len(session.annotations) == 1


def test_delete_and_reclass(session):
    first, second = accept(session), accept(session, left=30)
    new = session.classes.add("other")
    session.reclass({first.id, second.id}, new)
    assert {a.category_id for a in session.annotations} == {new}
    session.delete({first.id})
    assert [a.id for a in session.annotations] == [second.id]
    session.undo()
    assert len(session.annotations) == 2


def test_empty_takes_objects_and_one_undo_brings_them_back(session):
    accept(session)
    told = []
    session.reported.connect(told.append)
    session.mark_empty()
    assert told == ["Marked empty: 1 object deleted, undo brings it back."]
    assert session.annotations == ()
    assert session.image.status is Status.EMPTY
    session.undo()
    assert len(session.annotations) == 1
    assert session.image.status is Status.IN_PROGRESS


def test_done_and_next(session):
    session.done_and_next()
    assert session.images[0].status is Status.DONE
    assert session.image.path == "1.png"
    session.go_to(session.images[2].id)
    session.next_unfinished()
    assert session.image.path == "1.png"


def test_done_keeps_an_empty_image_empty(session):
    session.mark_empty()
    session.done_and_next()
    assert session.images[0].status is Status.EMPTY


def test_classes(session):
    cell = session.classes.add("cell")
    assert session.category.id == cell
    assert session.category.key == 2
    assert session.classes.add("CELL") == 0
    session.classes.change(cell, name="nucleus")
    assert session.categories[cell].name == "nucleus"
    session.classes.change(cell, name="object")
    assert session.categories[cell].name == "nucleus"
    session.classes.change(cell, colour="#123456")
    assert session.categories[cell].colour == "#123456"
    accept(session)
    session.classes.delete(cell)
    assert cell in session.categories
    session.undo()
    session.classes.delete(cell)
    assert cell not in session.categories
    assert session.category.name == "object"
    assert session.classes.by_key(1).name == "object"


def test_a_failing_disk_is_told_and_can_be_tried_again(session, monkeypatch):
    annotation = accept(session)
    real = ProjectStore.apply

    def full_disk(self, edit, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    monkeypatch.setattr(ProjectStore, "apply", full_disk)
    session.delete({annotation.id})
    assert [a.id for a in session.annotations] == [annotation.id]
    text, retry = session.failures[-1]
    assert text == "The disk is full. Make room."
    monkeypatch.setattr(ProjectStore, "apply", real)
    retry()
    assert session.annotations == ()


def test_a_second_opener_gets_read_only(session, tmp_path):
    other = ProjectSession()
    failures = []
    other.failed.connect(lambda error, retry: failures.append((str(error), retry)))
    other.open_path(tmp_path / "pictures")
    assert not other.is_writable
    other.mark_empty()
    assert "read-only" in failures[-1][0]
    assert failures[-1][1] is None
    assert session.is_writable
    other.close()


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write everywhere")
def test_a_read_only_folder_asks_for_a_place(qapp, tmp_path):
    folder = make_folder(tmp_path)
    folder.chmod(0o555)
    session = ProjectSession()
    with pytest.raises(ProjectReadOnlyError):
        session.open_path(folder)
    session.open_path(folder, project_path=tmp_path / "elsewhere.annot")
    assert session.is_writable
    session.close()
    folder.chmod(0o755)
