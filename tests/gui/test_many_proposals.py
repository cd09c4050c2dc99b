"""Thousands of proposals: made ready and written beside the window."""

from __future__ import annotations

import threading

import numpy as np
from PySide6.QtCore import Qt

from annotator.domain.mask import Mask
from annotator.io.project.proposals import COVERED, OPEN
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import JobState
from annotator.ui.labelling import proposals
from annotator.ui.project import large_edits, proposal_book
from tests.fakes import FakeProposal, block
from tests.gui.proposal_hand import HEIGHT, WIDTH, control, find, is_quiet, line, review

K, M = Qt.Key, Qt.KeyboardModifier
RIGHT = Qt.MouseButton.RightButton


def test_many_are_made_ready_beside_the_window_and_taken_in_one_step(seeker, monkeypatch):
    threads = []
    real = ProjectStore.perform

    def applied(*args, **kwargs):
        threads.append(threading.current_thread())
        return real(*args, **kwargs)

    monkeypatch.setattr(ProjectStore, "perform", applied)
    seeker.finder.found = [
        FakeProposal(block(3 + 6 * (n % 25), 3 + 6 * (n // 25), 5, 5, width=WIDTH, height=HEIGHT), 0.9)
        for n in range(100)
    ]
    seeker.finder.is_at_once = True
    seeker.open()
    find(seeker)
    seeker.key(K.Key_Return, M.ShiftModifier)
    seeker.key(K.Key_Return, M.ShiftModifier)  # twice in a hurry
    seeker.until(lambda: len(seeker.session.annotations) == 100 and is_quiet(seeker))
    assert threads
    assert threading.main_thread() not in threads
    assert review(seeker).shown == ()
    assert "Accepted: object, 100 objects" in line(seeker)
    seeker.key(K.Key_Z, M.ControlModifier)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).shown) == 100)
    assert seeker.session.annotations == ()
    seeker.key(K.Key_Z, M.ControlModifier | M.ShiftModifier)
    seeker.until(lambda: len(seeker.session.annotations) == 100)


def test_thousands_are_gone_through_without_a_look_at_their_pixels(seeker, monkeypatch):
    """The cost of a slider does not depend on the size of the masks: none is touched."""
    rng = np.random.default_rng(0)
    seeker.finder.found = [
        FakeProposal(block(int(x), int(y), 6, 6, width=WIDTH, height=HEIGHT), round(float(rng.uniform(0.3, 1)), 3))
        for x, y in zip(rng.integers(0, 150, 400), rng.integers(0, 110, 400), strict=True)
    ]
    seeker.open()
    seeker.key(K.Key_E, M.ShiftModifier)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 400)

    def fail(*_args):
        raise AssertionError("a mask was looked at")

    monkeypatch.setattr(Mask, "intersection_area", fail)
    counts = []
    for value in (30, 60, 90):
        seeker.window.proposals.score.setValue(value)
        counts.append(len(review(seeker).shown))
    assert counts[0] > counts[1] > counts[2] > 0
    seeker.window.proposals.score.setValue(0)
    seeker.key(K.Key_Return, M.ShiftModifier)
    seeker.until(lambda: len(seeker.session.annotations) > 50 and is_quiet(seeker))
    monkeypatch.undo()
    assert len(seeker.session.annotations) == len({(a.x, a.y) for a in seeker.session.annotations}) > 50
    assert review(seeker).shown == ()


def test_escape_cancels_an_accept_of_many_that_is_being_written(seeker, monkeypatch):
    """All or nothing: the proposals are there as before, and can be accepted after all."""
    monkeypatch.setattr(large_edits, "FEW_OBJECTS", 3)
    monkeypatch.setattr(large_edits, "SHOW_AFTER_MS", 0)
    seeker.open()
    find(seeker)
    begun, gate = threading.Event(), threading.Event()
    real = ProjectStore.perform

    def held(store, what, **options):
        begun.set()
        assert gate.wait(20)
        return real(store, what, **options)

    with monkeypatch.context() as patched:
        patched.setattr(ProjectStore, "perform", held)
        seeker.key(K.Key_Return, M.ShiftModifier)
        seeker.until(lambda: begun.is_set() and bool(seeker.window.jobs.running))
        (job,) = seeker.window.jobs.running
        assert job.title == "Accept 6 proposals"
        assert "Accepting 6 proposals" in line(seeker)
        assert seeker.session.annotations == ()
        control(seeker).book._later.timeout.emit()  # what is kept of the search does not hold the window up
        assert control(seeker).book._later.isActive()
        seeker.key(K.Key_Escape)
        gate.set()
        seeker.until(lambda: not seeker.session.large.is_busy)
    assert job.standing.state is JobState.CANCELLED
    assert "Cancelled, nothing was changed" in line(seeker)
    seeker.until(lambda: not control(seeker).book._later.isActive())
    assert len(seeker.session.store.proposals.rows(1)) == 6
    assert seeker.session.annotations == ()
    assert seeker.session.store.annotations(1) == []
    assert len(review(seeker).shown) == 6
    assert seeker.window.canvas.tool == "proposals"
    seeker.key(K.Key_Return, M.ShiftModifier)
    seeker.until(lambda: len(seeker.session.annotations) == 6)
    seeker.key(K.Key_Z, M.ControlModifier)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).shown) == 6)
    assert seeker.session.annotations == ()


def test_states_of_many_are_written_piece_by_piece(seeker, monkeypatch):
    monkeypatch.setattr(large_edits, "FEW_OBJECTS", 3)
    monkeypatch.setattr(proposals, "_FEW_STATES", 3)
    monkeypatch.setattr(proposal_book, "STATES_AT_ONCE", 2)
    pieces = []
    real = proposal_book.write_states
    monkeypatch.setattr(proposal_book, "write_states", lambda *args: (pieces.append(len(args[2])), real(*args)))
    seeker.open()
    find(seeker)

    def states():
        return [row[-1] for row in seeker.session.store.proposals.rows(1)]

    seeker.key(K.Key_Return, M.ShiftModifier)
    seeker.until(lambda: states() == [COVERED] * 6)
    assert pieces == [2, 2, 2]
    seeker.key(K.Key_Z, M.ControlModifier)
    seeker.until(lambda: states() == [OPEN] * 6)
    assert pieces == [2] * 6
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).shown) == 6)
    seeker.session.go_to(2)
    seeker.until(lambda: not review(seeker).table)
    seeker.session.go_to(1)
    seeker.until(lambda: len(review(seeker).shown) == 6)
    assert pieces == [2] * 6
