"""The search for everything: it streams, ends, waits and goes on, whatever the person does meanwhile."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.zoom import Region
from annotator.jobs.job import JobState
from tests.gui.proposal_hand import HEIGHT, MIDDLES, WIDTH, control, find, is_quiet, line, objects, review
from tests.gui.shell import LEFT

K, M = Qt.Key, Qt.KeyboardModifier
RIGHT = Qt.MouseButton.RightButton


def test_they_stream_in_and_escape_ends_the_search_with_what_there_is(seeker):
    seeker.open()
    seeker.finder.step_gate.close()
    seeker.key(K.Key_E, M.ShiftModifier)
    seeker.until(lambda: len(review(seeker).table) == 1)
    assert seeker.window.proposals.ask_button.text() == "Stop"
    seeker.key(K.Key_E, M.ShiftModifier)
    assert "still searching" in line(seeker)
    seeker.key(K.Key_Escape)
    assert not control(seeker).search.is_running
    assert "what was found stays" in line(seeker)
    assert seeker.window.canvas.tool == "proposals"
    seeker.key(K.Key_Escape)
    assert seeker.window.canvas.tool == "click"
    seeker.finder.step_gate.open()
    assert len(review(seeker).table) == 1
    assert seeker.window.proposals.ask_button.text() == "Find again"
    assert seeker.window.jobs.jobs[0].standing.state is JobState.CANCELLED
    seeker.key(K.Key_E, M.ShiftModifier)  # there are some: they are shown, and nobody is asked
    assert seeker.finder.begun == 1
    QTest.mouseClick(seeker.window.proposals.ask_button, LEFT)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 6)


def test_a_search_ends_from_the_list_of_jobs_too(seeker):
    seeker.open()
    seeker.finder.step_gate.close()
    seeker.key(K.Key_E, M.ShiftModifier)
    seeker.until(lambda: len(review(seeker).table) == 1)
    seeker.window.jobs.jobs[0].cancel()
    assert not control(seeker).search.is_running
    seeker.finder.step_gate.open()


def test_a_click_is_answered_while_the_model_searches(seeker):
    seeker.open()
    seeker.finder.step_gate.close()
    seeker.key(K.Key_E, M.ShiftModifier)
    seeker.until(lambda: len(review(seeker).table) == 1)
    seeker.key(K.Key_Q)
    seeker.click(140, 100)
    seeker.wait_mask(140, 100)  # the gate of the search is closed all the while
    assert control(seeker).search.is_running
    seeker.finder.step_gate.open()
    seeker.until(lambda: is_quiet(seeker))
    assert len(review(seeker).table) == 6


def test_every_image_has_its_own_and_leaving_ends_the_search(seeker):
    seeker.open()
    find(seeker)
    seeker.key(K.Key_D)
    seeker.wait_image(1)
    assert review(seeker).table.items == ()
    assert seeker.window.canvas.proposals.ids == frozenset()
    seeker.finder.step_gate.close()
    seeker.key(K.Key_E, M.ShiftModifier)
    seeker.until(lambda: len(review(seeker).table) == 1)
    seeker.key(K.Key_A)
    seeker.wait_image(0)
    assert not control(seeker).search.is_running
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 6)
    seeker.finder.step_gate.open()
    seeker.key(K.Key_D)
    seeker.wait_image(1)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 6)  # it goes on


def found_here(seeker):
    """The six objects, as the real engine gives them."""
    whole = Region(0, 0, WIDTH, HEIGHT)
    return [
        Proposal(one.mask, one.predicted_iou, 1.0, (float(x), float(y)), whole)
        for one, (x, y) in zip(objects(), MIDDLES, strict=True)
    ]


def there_and_back(seeker):
    for key, image in ((K.Key_D, 1), (K.Key_A, 0)):
        seeker.key(key)
        seeker.wait_image(image)


def begin_and_stop_after_one(seeker):
    seeker.finder.found = found_here(seeker)
    seeker.finder.step_gate.close()
    seeker.key(K.Key_E, M.ShiftModifier)
    seeker.until(lambda: len(review(seeker).table) == 1 and not control(seeker)._work.is_busy)


def test_a_search_goes_on_where_it_was_when_its_image_is_shown_again(seeker):
    seeker.open()
    begin_and_stop_after_one(seeker)
    [first] = review(seeker).shown
    seeker.key(K.Key_D)
    seeker.wait_image(1)
    assert not control(seeker).search.is_running
    seeker.finder.step_gate.open()
    seeker.key(K.Key_A)
    seeker.wait_image(0)
    seeker.until(lambda: len(review(seeker).table) == 6 and is_quiet(seeker))
    assert (seeker.finder.begun, seeker.finder.goes_on_from) == (2, 1)
    assert first in review(seeker).table.index  # it is the same one
    there_and_back(seeker)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 6)
    assert seeker.finder.begun == 2  # it was finished


def test_a_search_goes_on_after_a_crash(seeker):
    seeker.open()
    begin_and_stop_after_one(seeker)
    seeker.until(lambda: not control(seeker).book._later.isActive())  # thousands are written a moment later
    seeker.crash()
    seeker.finder.step_gate.open()
    seeker.build()
    seeker.program.files.open_path(seeker.folder)
    seeker.until(lambda: seeker.shown_row() == 0)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 6)
    assert (seeker.finder.begun, seeker.finder.goes_on_from) == (2, 1)


def test_a_search_that_was_stopped_waits_to_be_asked(seeker):
    seeker.open()
    begin_and_stop_after_one(seeker)
    seeker.key(K.Key_Escape)
    seeker.finder.step_gate.open()
    there_and_back(seeker)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 1)
    assert seeker.finder.begun == 1
    QTest.mouseClick(seeker.window.proposals.ask_button, LEFT)
    seeker.until(lambda: is_quiet(seeker) and len(review(seeker).table) == 6)
    assert (seeker.finder.begun, seeker.finder.goes_on_from) == (2, 1)


def test_without_a_model_that_can_it_is_said(desk):
    desk.open()
    desk.key(K.Key_E, M.ShiftModifier)
    desk.until(lambda: not control(desk).search.is_running)
    assert "cannot segment everything" in desk.window.area.error_bar.text
    assert desk.window.jobs.jobs[0].standing.state is JobState.FAILED


def test_an_image_with_nothing_in_it(seeker):
    seeker.finder.found = []
    seeker.open()
    seeker.key(K.Key_E, M.ShiftModifier)
    seeker.until(lambda: "Nothing was found here. Q takes the click tool" in line(seeker))
