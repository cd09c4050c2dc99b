"""A project that another program has locked: nothing is lost, nothing is done twice, and nobody has to try again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt

from annotator.domain.project import Status
from annotator.io.project.store import ProjectStore
from annotator.ui.project import attempts

K = Qt.Key
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


class OtherProgram:
    """Has the project file locked from :meth:`lock` to :meth:`let_go`."""

    def __init__(self, path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)

    def lock(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_WAIT_MS", 5)
    monkeypatch.setattr(attempts, "LONGEST_WAIT_MS", 20)


@pytest.fixture
def other(desk) -> Iterator[OtherProgram]:
    desk.open()
    program = OtherProgram(desk.session.store.path)
    yield program
    program.close()


def stored(desk) -> int:
    """Objects in the file, as somebody else reads it."""
    with ProjectStore.open(desk.session.store.path, read_only=True) as reader:
        return sum(reader.annotation_counts().values())


def edits(desk) -> list[str]:
    with ProjectStore.open(desk.session.store.path, read_only=True) as reader:
        return [name for (name,) in reader._connection.execute("SELECT name FROM edit ORDER BY seq")]


def bar(desk):
    return desk.window.area.error_bar


def refuse_an_accept(desk, other) -> None:
    desk.click(40, 40)
    desk.wait_mask(40, 40)
    other.lock()
    desk.key(K.Key_Return)
    assert "held by another program" in bar(desk).text
    assert bar(desk).button.text() == "Try again"
    assert stored(desk) == 0


def looks_at_the_lock(desk, monkeypatch, *, least: int = 3) -> None:
    """Wait until it was asked for some times in vain."""
    held, answers = desk.session.store.held, []
    real = held.is_free
    monkeypatch.setattr(held, "is_free", lambda: answers.append(real()) or answers[-1])
    desk.until(lambda: len(answers) >= least)
    assert not any(answers)


def test_an_accept_goes_through_by_itself(desk, other, monkeypatch):
    refuse_an_accept(desk, other)
    looks_at_the_lock(desk, monkeypatch)
    assert stored(desk) == 0
    assert "by itself" in bar(desk).text
    other.let_go()
    desk.until(lambda: len(desk.session.annotations) == 1)
    desk.until(lambda: not bar(desk).text)
    assert stored(desk) == 1
    desk.until(lambda: not desk.session.attempts.is_waiting)
    assert edits(desk) == ["accept object"], "once"
    assert not desk.refine.state.is_active
    assert not desk.session.drafts.counts, "no draft of it is left"


def test_a_deletion_goes_through_by_itself_and_once(desk, other):
    mine, yours = desk.accept_at(40, 40), desk.accept_at(100, 80)
    other.lock()
    desk.window.objects.select_ids(frozenset({mine.id}))
    desk.key(K.Key_Delete)
    assert "held by another program" in bar(desk).text
    assert len(desk.session.annotations) == 2
    desk.session.remember("note", "a place that is kept must not take the change's turn")
    other.let_go()
    desk.until(lambda: [a.id for a in desk.session.annotations] == [yours.id])
    desk.until(lambda: not desk.session.attempts.is_waiting)
    assert not bar(desk).text
    assert edits(desk)[2:] == ["delete object"]
    assert desk.session.store.meta_get("note")


def test_the_same_done_by_hand_is_not_done_twice(desk, other):
    mine = desk.accept_at(40, 40)
    other.lock()
    desk.session.delete({mine.id})
    other.let_go()
    desk.session.delete({mine.id})  # before the lock was looked at again
    desk.until(lambda: not desk.session.attempts.is_waiting)
    assert not desk.session.annotations
    assert edits(desk)[1:] == ["delete object"]
    assert not bar(desk).text


def test_the_button_tries_at_once_and_stays_while_it_is_locked(desk, other):
    refuse_an_accept(desk, other)
    bar(desk).button.click()
    assert "held by another program" in bar(desk).text
    assert stored(desk) == 0
    other.let_go()
    bar(desk).button.click()
    assert stored(desk) == 1
    assert not bar(desk).text


def test_a_bar_that_is_closed_is_not_tried_again(desk, other, monkeypatch):
    mine = desk.accept_at(40, 40)
    other.lock()
    desk.session.delete({mine.id})
    bar(desk).close_button.click()
    assert not bar(desk).text
    other.let_go()
    desk.session.remember("note", "1")
    desk.until(lambda: not desk.session.attempts.is_waiting)
    assert [a.id for a in desk.session.annotations] == [mine.id]
    assert edits(desk) == ["accept object"]


def test_an_object_that_is_worked_on_is_not_accepted_under_the_hand(desk, other):
    refuse_an_accept(desk, other)
    desk.click(60, 40)
    desk.wait_mask(60, 40)
    other.let_go()
    desk.until(lambda: not desk.session.attempts.is_waiting)
    assert stored(desk) == 0
    assert len(desk.refine.state.prompts.points) == 2
    assert not bar(desk).text
    desk.key(K.Key_Return)
    assert stored(desk) == 1


def test_leaving_the_image_keeps_the_object_as_a_draft(desk, other):
    refuse_an_accept(desk, other)
    desk.key(K.Key_D)
    desk.wait_image(1)
    other.let_go()
    desk.until(lambda: not desk.session.attempts.is_waiting)
    assert stored(desk) == 0
    assert desk.session.drafts.counts == {1: 1}
    assert not bar(desk).text
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.until(lambda: desk.refine.state.is_active)


def test_places_and_facts_are_kept_while_it_is_locked(desk, other):
    other.lock()
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.session.facts.settle()
    assert desk.session.image.width == 160
    other.let_go()
    desk.until(lambda: not desk.session.attempts.is_waiting)
    store = desk.session.store
    assert store.meta_get("position") == "2"
    assert store.image(2).width == 160
    assert not bar(desk).text


def test_marking_empty_changes_the_image_that_was_meant(desk, other):
    desk.session.step(+1)
    desk.wait_image(1)
    theirs = desk.accept_at(60, 60)
    desk.session.step(-1)
    desk.wait_image(0)
    other.lock()
    assert not desk.session.mark_empty()
    desk.session.step(+1)
    desk.wait_image(1)
    other.let_go()
    desk.until(lambda: not desk.session.attempts.is_waiting)
    assert desk.session.store.image(1).status is Status.EMPTY
    assert [a.id for a in desk.session.annotations] == [theirs.id]


def test_a_window_that_is_closed_waits_for_the_file(desk, other):
    path = desk.session.store.path
    refuse_an_accept(desk, other)
    window = desk.window
    assert not window.close()
    assert window.isVisible()
    assert not window.close(), "the second wish names the way out"
    assert "another program holds" in bar(desk).text
    assert bar(desk).button.text() == "Close without it"
    other.let_go()
    desk.until(lambda: not window.isVisible())
    with ProjectStore.open(path, read_only=True) as reader:
        assert sum(reader.annotation_counts().values()) == 1


def test_another_project_is_opened_when_it_is_written(desk, other):
    path = desk.session.store.path
    refuse_an_accept(desk, other)
    folder = desk.make_other_folder()
    desk.program.files.open_path(folder)
    desk.until(lambda: bool(desk.program.files._patience._wishes))
    assert desk.session.store.path == path
    other.let_go()
    desk.until(lambda: desk.session.store is not None and desk.session.store.image_root == folder)
    desk.until(lambda: desk.shown_row() == 0)
    with ProjectStore.open(path, read_only=True) as reader:
        assert sum(reader.annotation_counts().values()) == 1
    assert not bar(desk).text
