"""Find all like this in the window: by keys, in the image and in the folder, with what is taken and dropped."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt

from annotator.domain.ports.likeness import LEAST_LIKE_SCORE
from annotator.io.project.searches import KEY
from annotator.jobs.job import JobState
from annotator.ui.labelling.find_like import NO_EXAMPLE
from annotator.ui.panels.list_models import PROPOSALS_ROLE
from tests.fakes import FakeFinder, FakeSegmenter
from tests.gui.proposal_hand import (
    HEIGHT,
    MIDDLES,
    PLACES,
    SCORES,
    WIDTH,
    control,
    is_quiet,
    line,
    objects,
    place,
    review,
    shown_places,
)

K, M = Qt.Key, Qt.KeyboardModifier


@pytest.fixture
def seeker(desk):
    """The desk with an engine that finds six objects."""
    desk.engine.segmenter = FakeFinder(objects(), radius_px=9.0)
    desk.finder = desk.engine.segmenter
    desk.finder.is_at_once = True
    return desk


def find_like(desk):
    asked = len(desk.finder.questions)
    desk.key(K.Key_L, M.ShiftModifier)
    desk.until(lambda: len(desk.finder.questions) > asked and is_quiet(desk))


def examples(desk, at=-1):
    (one,) = desk.finder.questions[at][1].examples
    return one


def count_of(desk, row):
    model = desk.window.film.model
    return model.data(model.index(row), PROPOSALS_ROLE)


def folder(desk):
    return desk.program.folder_search


def job(desk):
    return next(one for one in desk.window.jobs.jobs if "in the folder" in one.title)


def test_by_the_object_accepted_last_and_the_class_of_it(seeker):
    seeker.open()
    seeker.accept_at(*MIDDLES[0])
    find_like(seeker)
    assert seeker.window.canvas.tool == "proposals"
    assert len(examples(seeker).masks) == 1
    assert examples(seeker).masks[0].contains(*MIDDLES[0])
    _key, _question, known = seeker.finder.questions[0]
    assert [mask.contains(*MIDDLES[0]) for mask in known] == [True]
    assert review(seeker).limits.least_score == LEAST_LIKE_SCORE
    assert seeker.window.proposals.limits.least_score == LEAST_LIKE_SCORE
    assert 0 not in shown_places(seeker)  # covered by the example
    seeker.key(K.Key_Return)
    seeker.key(K.Key_Return)
    taken = seeker.session.annotations[-1]
    assert taken.origin == "like"
    assert taken.extra["found"]["examples"] == [seeker.session.annotations[0].id]
    [done] = [one for one in seeker.window.jobs.jobs if one.title == "Find all like this in 0.png"]
    assert done.standing.state is JobState.DONE


def test_selected_objects_are_the_examples_and_boxes_that_were_accepted_since(seeker):
    seeker.open()
    first = seeker.accept_at(*MIDDLES[0])
    seeker.accept_at(*MIDDLES[1])
    seeker.accept_at(*MIDDLES[2])
    find_like(seeker)
    assert len(examples(seeker).masks) == 3
    seeker.window.objects.select_ids(frozenset({first.id}))
    find_like(seeker)
    assert len(examples(seeker).masks) == 1


def test_what_is_drawn_is_an_example_before_it_is_accepted(seeker):
    seeker.open()
    seeker.click(*MIDDLES[3])
    seeker.wait_mask(*MIDDLES[3])
    find_like(seeker)
    assert [mask.contains(*MIDDLES[3]) for mask in examples(seeker).masks] == [True]


def test_taken_ones_become_examples_and_dropped_ones_the_contrary(seeker):
    seeker.open()
    seeker.accept_at(*MIDDLES[0])
    find_like(seeker)
    seeker.until(lambda: bool(control(seeker)._lessons.looks))
    seeker.key(K.Key_Tab)
    seeker.key(K.Key_Return)
    seeker.key(K.Key_Backspace)
    find_like(seeker)
    assert len(examples(seeker).masks) == 2
    assert len(examples(seeker).unlike) == 1


def test_the_question_stays_for_the_next_image(seeker):
    seeker.open()
    seeker.accept_at(*MIDDLES[0])
    find_like(seeker)
    asked_in = seeker.finder.questions[0][0]
    seeker.key(K.Key_D)
    seeker.wait_image(1)
    find_like(seeker)
    key, question, known = seeker.finder.questions[-1]
    assert key != asked_in
    assert question.examples[0].image_key == asked_in
    assert known == ()


def test_without_an_example_or_a_model_that_can_it_says_so(desk):
    desk.engine.segmenter = FakeSegmenter(radius_px=9.0)
    desk.open()
    desk.key(K.Key_L, M.ShiftModifier)
    assert line(desk) == NO_EXAMPLE
    desk.accept_at(*MIDDLES[0])
    desk.key(K.Key_L, M.ShiftModifier)
    desk.until(lambda: any("cannot look" in one.standing.error for one in desk.window.jobs.jobs))


def test_what_is_dropped_teaches_at_once_and_undo_takes_the_lesson_back(seeker, tmp_path):
    pixels = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for at, (x, y) in enumerate(PLACES):
        pixels[y : y + 16, x : x + 16] = (200, 50, 40) if at < 3 else (40, 60, 200)
        pixels[y + 4 : y + 8, x : x + 4 * at] += 9
    (tmp_path / "coloured").mkdir()
    Image.fromarray(pixels).save(tmp_path / "coloured" / "0.png")
    seeker.open(folder=tmp_path / "coloured")
    seeker.accept_at(*MIDDLES[0])
    find_like(seeker)
    seeker.until(lambda: bool(control(seeker)._lessons.looks))
    before = list(review(seeker).shown)
    scores = review(seeker).table._scores.copy()
    seeker.key(K.Key_Tab)
    seeker.key(K.Key_Backspace)
    assert len(seeker.finder.questions) == 1  # nobody was asked
    change = review(seeker).table._scores - scores
    assert place(seeker, 2) == 1  # a red one was dropped: the other red one falls, and no blue one
    assert change[2] < -0.05
    assert (change[3:] > change[2]).all()
    assert [item.score for item in review(seeker).table.items] == list(SCORES)  # what is kept is the model's
    seeker.key(K.Key_Z, M.ControlModifier)
    assert list(review(seeker).shown) == before


def test_the_folder_is_filled_as_a_job_and_marks_show_it(seeker):
    seeker.open(images=3)
    seeker.accept_at(*MIDDLES[0])
    seeker.key(K.Key_L, M.ControlModifier | M.ShiftModifier)
    seeker.until(lambda: job(seeker).standing.state is JobState.DONE)
    assert [question[0] for question in seeker.finder.questions[:2]] != [seeker.finder.questions[2][0]] * 2
    assert count_of(seeker, 1) == count_of(seeker, 2) == 6
    seeker.until(lambda: is_quiet(seeker))
    assert count_of(seeker, 0) == 5
    assert "6 proposals" in seeker.window.film.model.data(
        seeker.window.film.model.index(1), Qt.ItemDataRole.ToolTipRole
    )
    assert seeker.session.store.meta_get(KEY) == ""
    seeker.key(K.Key_D)
    seeker.wait_image(1)
    seeker.until(lambda: len(review(seeker).table) == 6)
    assert review(seeker).limits.least_score == LEAST_LIKE_SCORE
    assert {item.source for item in review(seeker).table.items} == {"like"}
    seeker.key(K.Key_Q, M.ShiftModifier)
    seeker.key(K.Key_Return, M.ShiftModifier)
    assert len(seeker.session.annotations) == 6
    assert count_of(seeker, 1) == 0


def test_the_nearest_image_comes_first_and_finished_ones_are_left_out(seeker):
    seeker.open(images=4)
    seeker.key(K.Key_X)  # empty
    seeker.key(K.Key_D)
    seeker.wait_image(1)
    seeker.accept_at(*MIDDLES[0])
    seeker.finder.step_gate.close()
    seeker.finder.is_at_once = False
    seeker.key(K.Key_L, M.ControlModifier | M.ShiftModifier)
    assert folder(seeker)._run.image.path == "2.png"
    assert folder(seeker)._run.left == {one.id for one in seeker.session.images[1:]}
    job(seeker).cancel()
    seeker.finder.step_gate.open()
    assert job(seeker).standing.state is JobState.CANCELLED
    assert folder(seeker)._run is None


def held_at(seeker, number):
    """Two objects an image, found in pieces; the search stops at its gate in the image of that number.

    Returns:
        The keys of the images that were begun, and the finder's own steps.
    """
    seeker.finder.is_at_once = False
    seeker.finder.found = objects()[:2]
    begun, real = [], seeker.finder.steps

    def steps(embedding, image, image_key, question, known, **more):
        begun.append(image_key)
        if len(begun) == number:
            seeker.finder.step_gate.close()
        return real(embedding, image, image_key, question, known, **more)

    seeker.finder.steps = steps
    return begun, real


def test_a_search_goes_on_after_a_kill_where_it_was(seeker):
    seeker.open(images=3)
    seeker.accept_at(*MIDDLES[0])
    steps, real = held_at(seeker, 2)
    seeker.key(K.Key_L, M.ControlModifier | M.ShiftModifier)
    seeker.until(lambda: len(steps) == 2)
    assert count_of(seeker, 1) == 2
    seeker.crash()
    seeker.finder.step_gate.open()
    seeker.finder.steps = real
    seeker.open(folder=seeker.folder)
    assert count_of(seeker, 1) == 2
    assert json.loads(seeker.session.store.meta_get(KEY))[0] == [seeker.session.annotations[0].id]
    asked = len(seeker.finder.questions)
    folder(seeker).go_on()
    seeker.until(lambda: folder(seeker)._run is None and len(seeker.finder.questions) == asked + 2)
    seeker.until(lambda: count_of(seeker, 2) == 2)


def test_a_cancelled_search_goes_on_where_it_was_when_that_is_wanted(seeker):
    seeker.open(images=4)
    seeker.accept_at(*MIDDLES[0])
    steps, real = held_at(seeker, 3)
    seeker.key(K.Key_L, M.ControlModifier | M.ShiftModifier)
    seeker.until(lambda: len(steps) == 3 and count_of(seeker, 2) == 2)
    job(seeker).cancel()
    assert job(seeker).standing.state is JobState.CANCELLED
    assert folder(seeker)._run is None
    bar = seeker.window.area.error_bar
    assert bar.label.text() == "The search for all like 1 example was stopped: 2 of 4 images are done."
    assert [count_of(seeker, row) for row in (1, 2)] == [2, 2]
    seeker.finder.step_gate.open()
    seeker.finder.steps = real
    asked = len(seeker.finder.questions)
    bar.button.click()
    seeker.until(lambda: folder(seeker)._run is None and len(seeker.finder.questions) == asked + 2)
    seeker.until(lambda: count_of(seeker, 3) == 2)
    assert job(seeker).standing.state is JobState.DONE
    assert seeker.session.store.meta_get(KEY) == ""


def test_images_that_cannot_be_looked_through_are_left_out_of_a_search(seeker, tmp_path):
    """One that is cut off, one of a size that no memory holds; a single pixel and a plain one are looked through."""
    folder_path = tmp_path / "odd"
    folder_path.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(folder_path / "0.png")
    Image.fromarray(noise).save(folder_path / "1-cut.png")
    (folder_path / "1-cut.png").write_bytes((folder_path / "1-cut.png").read_bytes()[:2000])
    (folder_path / "2-huge.ppm").write_bytes(b"P6 200000 200000 255\n")
    Image.fromarray(np.full((1, 1, 3), 90, np.uint8)).save(folder_path / "3-dot.png")
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(folder_path / "4-plain.png")
    seeker.open(folder=folder_path)
    seeker.accept_at(*MIDDLES[0])
    seeker.finder.found = []
    seeker.key(K.Key_L, M.ControlModifier | M.ShiftModifier)
    seeker.until(lambda: job(seeker).standing.state is JobState.DONE)
    names = [image.name for image in seeker.session.images]
    said = [one for one in job(seeker).lines if any(one.startswith(f"{name}: ") for name in names)]
    assert [one.split(":")[0] for one in sorted(said)] == ["1-cut.png", "2-huge.ppm"]
    assert "too large" in " ".join(said)
    assert folder(seeker)._run is None
    assert len(seeker.session.annotations) == 1


def test_going_on_without_the_image_of_the_examples_says_why_not(seeker):
    seeker.open(images=2)
    seeker.accept_at(*MIDDLES[0])
    seeker.finder.step_gate.close()
    seeker.finder.is_at_once = False
    seeker.key(K.Key_L, M.ControlModifier | M.ShiftModifier)
    job(seeker).cancel()
    seeker.finder.step_gate.open()
    (seeker.folder / "0.png").unlink()
    seeker.window.area.error_bar.button.click()
    seeker.until(lambda: "0.png" in seeker.window.area.error_bar.text)
    assert folder(seeker)._run is None
