"""Edits of many objects are written beside the window, which goes on; whatever is written meanwhile comes after."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from annotator.domain.errors import ProjectError
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Change, Edit, RowChange, Status, delete_edit
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import JobState
from annotator.ui.project import large_edits
from annotator.ui.project.large_edits import FEW_OBJECTS
from annotator.ui.project.session import ProjectSession
from tests.gui.test_session import make_folder

COUNT = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


@pytest.fixture
def session(qapp, folder: Path) -> Iterator[ProjectSession]:
    session = ProjectSession()
    session.open_path(folder)
    yield session
    session.close()


def objects(session: ProjectSession, count: int) -> tuple[Annotation, ...]:
    """New ones, of which four hundred and more take more than two kilobytes in an edit."""
    assert session.image is not None
    assert session.store is not None
    found = []
    for at in range(count):
        bits = np.zeros((40, 60), np.bool_)
        bits[at % 30 : at % 30 + 5, at % 50 : at % 50 + 7] = True
        empty = Annotation(
            session.store.new_id("annotation"), session.image.id, session.category.id, 0, 0, 0, 0, 0, b"", 60, 40
        )
        found.append(empty.with_mask(Mask.from_full(bits)))
    return tuple(found)


def added(rows: tuple[Annotation, ...]) -> Edit:
    return Edit("accept objects", tuple(RowChange(None, row) for row in rows))


class Gate:
    """What a store's method is about to write waits until it is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.is_open, self.threads = threading.Event(), []
        real = getattr(ProjectStore, name)

        def held(store, *args, **kwargs):
            self.threads.append(threading.current_thread())
            assert self.is_open.wait(20)
            return real(store, *args, **kwargs)

        monkeypatch.setattr(ProjectStore, name, held)


def test_the_window_goes_on_while_many_objects_are_written(session, qtbot, monkeypatch):
    gate = Gate(monkeypatch, "perform")
    told, changes, turned = [], [], []
    session.changed.connect(changes.append)
    rows = objects(session, COUNT)
    session.large.apply("Accept", lambda: added(rows), COUNT, lambda: told.append("done"))
    QTimer.singleShot(0, lambda: turned.append(True))
    qtbot.waitUntil(lambda: bool(turned))  # events are answered
    assert session.large.is_busy
    assert (told, session.annotations) == ([], ())
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.large.is_busy)
    assert told == ["done"]
    assert session.annotations == rows
    assert threading.main_thread() not in gate.threads
    assert [len(change.annotation_ids) for change in changes] == [COUNT]


def test_one_step_takes_all_of_them_back_and_brings_them_again(session, qtbot, monkeypatch):
    rows = objects(session, COUNT)
    session.large.apply("Accept", lambda: added(rows), COUNT)
    session.large.settle()
    monkeypatch.setattr(large_edits, "LARGE_BYTES", 2048)
    gate = Gate(monkeypatch, "perform")
    session.undo()
    QApplication.processEvents()
    assert session.large.is_busy
    assert session.annotations == rows
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.large.is_busy)
    assert session.annotations == ()
    assert session.store.annotations(session.image.id) == []
    session.redo()
    qtbot.waitUntil(lambda: not session.large.is_busy)
    assert session.annotations == rows == tuple(session.store.annotations(session.image.id))
    assert threading.main_thread() not in gate.threads


def test_a_step_that_gives_drafts_back_is_done_before_the_next_event(session, monkeypatch):
    monkeypatch.setattr(large_edits, "LARGE_BYTES", 1)
    rows = objects(session, COUNT)
    session.store.apply(added(rows))
    session.store.save_drafts({session.image.id: {"points": [[3.0, 4.0, 1]]}})
    session.store.apply(replace(delete_edit(rows), drafts_of=(session.image.id,)))
    assert session.store.draft(session.image.id) is None
    session.undo()
    assert not session.large.is_busy
    assert session.store.draft(session.image.id) == {"points": [[3.0, 4.0, 1]]}
    session.redo()
    assert not session.large.is_busy
    assert session.store.draft(session.image.id) is None
    assert session.store.annotations(session.image.id) == []


def test_what_is_done_meanwhile_comes_after_it_and_the_end_waits(session, folder):
    many, one = objects(session, COUNT), objects(session, 1)
    session.large.apply("Accept", lambda: added(many), COUNT)
    assert session.attempt(lambda: session.apply(added(one)))
    assert session.annotations == (*many, *one)
    session.undo()
    assert session.annotations == many
    session.delete(row.id for row in many)
    session.remember("note", "kept")
    assert session.annotations == ()
    assert session.store.meta_get("note") == "kept"
    session.undo()
    session.close()
    session.open_path(folder)
    assert session.annotations == many


def test_every_id_is_given_out_once_while_another_thread_writes(session):
    rows = objects(session, COUNT)
    session.large.apply("Accept", lambda: added(rows), COUNT)
    more = [session.store.new_id("annotation") for _ in range(500)]
    session.large.settle()
    more += [session.store.new_id("annotation") for _ in range(500)]
    assert len({*more, *(row.id for row in rows)}) == COUNT + 1000


def test_a_failure_is_told_and_can_be_tried_again(session, qtbot, monkeypatch):
    rows, failures = objects(session, FEW_OBJECTS + 1), []
    session.failed.connect(lambda error, again: failures.append((str(error), again)))
    real = ProjectStore.perform

    def full(*_args, **_kwargs):
        raise ProjectError("The disk is full.", "Make room.")

    monkeypatch.setattr(ProjectStore, "perform", full)
    session.large.apply("Accept", lambda: added(rows), len(rows))
    qtbot.waitUntil(lambda: bool(failures))
    assert "The disk is full" in failures[0][0]
    assert session.annotations == ()
    monkeypatch.setattr(ProjectStore, "perform", real)
    failures[0][1]()
    assert session.annotations == rows


class Halt:
    """What is written waits at its first report, with some of its rows in the file and nothing of it promised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open, self.is_there = threading.Event(), threading.Event()
        self.told: list[tuple[int, int]] = []
        real = ProjectStore.perform

        def halting(store, what, *, progress, **more):
            def halt(done: int, total: int) -> None:
                self.told.append((done, total))
                self.is_there.set()
                assert self.is_open.wait(20)
                progress(done, total)

            return real(store, what, progress=halt, **more)

        monkeypatch.setattr(ProjectStore, "perform", halting)


def everything(session: ProjectSession) -> tuple[object, ...]:
    """What the project and the window have."""
    store = session.store
    rows = store.annotations(session.image.id)
    return rows, session.annotations, store.undo_name, store.redo_name, store.edit_mark(), store.category_counts()


@pytest.mark.parametrize("what", ["accept", "undo", "redo", "delete"])
def test_a_cancelled_edit_leaves_the_project_as_it_was(session, qtbot, monkeypatch, what):
    rows = objects(session, COUNT)
    if what != "accept":
        session.store.apply(added(rows))
        session.go_to(session.image.id)
    if what == "redo":
        session.store.undo()
        session.go_to(session.image.id)
    before = everything(session)
    monkeypatch.setattr(large_edits, "LARGE_BYTES", 2048)
    monkeypatch.setattr(large_edits, "SHOW_AFTER_MS", 0)
    reported, jobs, done = [], [], []
    session.reported.connect(reported.append)
    session.large.lasting.connect(jobs.append)
    halt = Halt(monkeypatch)
    ways = {
        "accept": lambda: session.large.apply("Accept 400", lambda: added(rows), COUNT, lambda: done.append(1)),
        "undo": session.undo,
        "redo": session.redo,
        "delete": lambda: session.delete([row.id for row in rows]),
    }
    ways[what]()
    qtbot.waitUntil(lambda: bool(jobs) and halt.is_there.is_set())
    assert not jobs[0].standing.is_over
    assert session.large.stop()
    halt.is_open.set()
    qtbot.waitUntil(lambda: not session.large.is_busy)
    assert everything(session) == before
    assert jobs[0].standing.state is JobState.CANCELLED
    assert [line for line in reported if line.startswith("Cancelled, nothing was changed")] != []
    assert done == []
    assert not session.large.stop()
    monkeypatch.undo()
    ways[what]()  # and can be done after all
    session.large.settle()
    assert len(session.annotations) == (COUNT if what in ("accept", "redo") else 0)


def test_an_edit_that_lasts_is_a_job_with_progress_and_a_short_one_is_none(session, qtbot, monkeypatch):
    jobs = []
    session.large.lasting.connect(jobs.append)
    session.large.apply("Accept", lambda: added(objects(session, FEW_OBJECTS + 1)), FEW_OBJECTS + 1)
    session.large.settle()
    monkeypatch.setattr(large_edits, "SHOW_AFTER_MS", 0)
    halt = Halt(monkeypatch)
    session.large.apply("Accept 400 objects", lambda: added(objects(session, COUNT)), COUNT)
    qtbot.waitUntil(lambda: bool(jobs) and halt.is_there.is_set())
    halt.is_open.set()
    session.large.settle()
    (job,) = jobs
    assert (job.title, job.unit, job.standing.state) == ("Accept 400 objects", "change", JobState.DONE)
    assert halt.told
    assert [total for _, total in halt.told] == [COUNT] * len(halt.told)
    assert [done for done, _ in halt.told] == sorted({done for done, _ in halt.told})


def test_locked_objects_are_refused_beside_the_window_too(session, qtbot):
    rows = objects(session, COUNT)
    session.store.apply(added(rows))
    session.go_to(session.image.id)
    session.locked = frozenset({rows[7].id})
    failures = []
    session.failed.connect(lambda error, _again: failures.append(str(error)))
    session.large.write(delete_edit(rows))
    qtbot.waitUntil(lambda: bool(failures))
    assert "locked object" in failures[0]
    assert session.annotations == tuple(session.store.annotations(session.image.id)) == rows


def test_a_class_with_many_objects_is_merged_beside_the_window(session, qtbot, monkeypatch):
    session.store.apply(added(objects(session, COUNT)))
    session.store.apply(session.store.category_edit("other"))
    source, target = (row.id for row in session.store.categories())
    session.broadcast(Change("x", category_ids=frozenset({source, target})))
    session.go_to(session.image.id)
    session.classes.pick(source)
    gate = Gate(monkeypatch, "perform")
    session.classes.merge(source, target)
    QApplication.processEvents()
    assert session.large.is_busy
    assert {row.category_id for row in session.annotations} == {source}
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.large.is_busy)
    assert {row.category_id for row in session.annotations} == {target}
    assert (list(session.categories), session.category.id) == ([target], target)
    session.undo()
    session.large.settle()
    assert session.store.category_counts() == {source: COUNT}


def test_an_image_with_many_objects_is_marked_empty_beside_the_window(session, qtbot, monkeypatch):
    with qtbot.waitSignal(session.changed):
        session.large.apply("Accept", lambda: added(objects(session, COUNT)), COUNT)
    gate, then, lines = Gate(monkeypatch, "perform"), [], []
    session.reported.connect(lines.append)
    assert session.mark_empty(lambda: then.append("then"))
    assert session.large.is_busy
    assert then == ["then"], "what is clicked from now on is not dropped"
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.large.is_busy)
    assert gate.threads == [thread for thread in gate.threads if thread is not threading.main_thread()]
    assert (session.image.status, session.annotations, then) == (Status.EMPTY, (), ["then"])
    assert "Marked empty" in lines[-1]
    with qtbot.waitSignal(session.changed):
        session.undo()
    assert len(session.annotations) == COUNT
    session.mark_empty()
    session.mark_empty()  # pressed again while it is written: the mark goes, the objects stay gone
    assert (session.image.status, session.annotations) == (Status.UNSEEN, ())
