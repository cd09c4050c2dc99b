"""The person's moves over random sequences: what comes back, what is never lost, and what may not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.brush import Stroke
from annotator.domain.drafts import answers, moves
from annotator.domain.drafts.draft import Answer
from annotator.domain.drafts.effects import Encode, GiveUpWaiting, Reclass, Say, Settle
from annotator.domain.drafts.kept import accepted_of, objects_in, work_of
from annotator.domain.drafts.moves import moved
from annotator.domain.drafts.work import Work
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates
from annotator.domain.project import Annotation, ImageRecord
from annotator.domain.prompt import PointPrompt

WIDTH, HEIGHT = 60, 40
RGB = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
IMAGES = {i: ImageRecord(i, f"{i}.png", width=WIDTH, height=HEIGHT) for i in (1, 2)}
OBJECT = Annotation(9, 1, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT).with_mask(
    Mask.from_full(np.indices((HEIGHT, WIDTH)).sum(0) < 20)
)
PLACES = st.tuples(st.floats(-5, 70), st.floats(-5, 50))
PROMPTS = st.one_of(
    st.builds(lambda place, sign: moves.Click(PointPrompt(*place, sign), 0.0), PLACES, st.booleans()),
    st.builds(lambda a, b: moves.DrawBox(Box.from_corners(*a, *b), 0.0), PLACES, PLACES),
    st.builds(lambda place, sign: moves.Paint(Stroke((place,), 4.0, sign), 0.0), PLACES, st.booleans()),
    st.builds(
        lambda ring, sign: moves.Paint(Stroke.area(ring, is_positive=sign), 0.0),
        st.lists(PLACES, min_size=3, max_size=6),
        st.booleans(),
    ),
    st.just(moves.RemoveLast(0.0)),
)
TURNS = st.one_of(st.builds(moves.Turn, st.integers(-2, 2)), st.builds(moves.Choose, st.integers(-1, 3)))
STEPS = st.sampled_from([moves.Undo(), moves.Redo(), moves.Cancel()])
ACCEPTS = st.builds(moves.Accept, st.just(1.0), st.booleans())
OTHERS = st.sampled_from([moves.TakeUp(OBJECT), moves.PickClass(2), moves.SetClass(3)])
ANY_MOVE = st.one_of(PROMPTS, PROMPTS, TURNS, STEPS, ACCEPTS, OTHERS)


def an_answer(work: Work, *, sizes: tuple[int, int, int] = (10, 20, 30)) -> Answer:
    """To the head of the line: three masks, told apart by their size."""
    prompts = work.line[0].prompts.asked
    masks = [Mask.from_full(np.indices((HEIGHT, WIDTH)).sum(0) < size) for size in sizes]
    items = tuple(Candidate(np.full((4, 4), n, np.float32), 0.9, 0.9, mask) for n, mask in enumerate(masks))
    return Answer(prompts, Candidates(items, 1, 5.0, 1.0), 1, 1.0, False, None)


def shown(work: Work) -> tuple[Any, ...]:
    """All of it that the person can see, comparable."""
    return tuple(
        (
            *(draft.epoch, draft.prompts, draft.session.steps, draft.session.cursor, draft.origin),
            *(draft.ticket, draft.category_id, draft.answer and draft.answer.index),
        )
        for draft in work.line
    )


@dataclass
class Desk:
    """Moves, an engine that answers when it is told to, and a project file."""

    work: Work = field(default_factory=lambda: Work(category_id=1))
    file: dict[int, Any] = field(default_factory=dict)
    stored: list[Any] = field(default_factory=list)
    generation: int = 0
    opening: int = 0
    """The image whose work is still to be brought back from the file."""
    lost: int = 0
    """Objects that the person was told to click again."""

    def do(self, move: moves.Move) -> tuple[Any, ...]:
        before = shown(self.work), self.work
        work, effects = moved(self.work, move)
        assert shown(before[1]) == before[0], "the value before the move has changed"
        if work is before[1]:
            assert Settle() not in effects
        self.work = work
        if Settle() in effects:
            self.settle()
        return effects

    def settle(self) -> None:
        self.work = answers.repainted(self.work)
        while (head := answers.head_to_store(self.work)) is not None:
            if head.mask is not None and head.mask.is_empty:
                self.work, effects = answers.found_nothing(self.work, head)
                self.lost += sum(isinstance(effect, Say) and "click it again" in effect.text for effect in effects)
                continue
            if head.mask is None:
                self.work, _effects = answers.not_stored(self.work, head)
                break
            kept = answers.kept_without(self.work, head)
            self.stored.append(head.prompts)
            self.write({head.image.record.id: kept})
            self.work = replace(self.work, keeping=self.work.keeping.with_told(head.image.record.id, kept))
            self.work = answers.stored(self.work, head)
        if self.work.line and self.work.line[0].must_ask:
            self.generation += 1
            self.work = answers.asked(self.work, self.generation)
        keeping, writes = self.work.keeping.news(self.work.line, self.work.opened)
        self.work = replace(self.work, keeping=keeping)
        self.write(writes)
        self.check()

    def write(self, writes: Any) -> None:
        for image_id, data in writes.items():
            self.file.pop(image_id, None)
            if data is not None:
                self.file[image_id] = data

    def open(self, image_id: int) -> None:
        self.opening = image_id
        self.do(moves.ShowImage(IMAGES[image_id], RGB, str(image_id)))
        self.opening = 0
        if image_id in self.file:
            self.do(moves.BringBack(self.file[image_id], {OBJECT.id: OBJECT}, 0.0))

    def answer(self, *, is_good: bool, is_empty: bool = False) -> None:
        head = self.work.line[0] if self.work.line else None
        if head is None or not head.is_waiting:
            return
        if is_good:
            answer = an_answer(self.work, sizes=(0, 0, 0) if is_empty else (10, 20, 30))
            self.work = answers.answered(self.work, head.epoch, head.generation, answer)
            self.settle()
            return
        self.work, effects = answers.failed(self.work, head.epoch, head.generation)
        self.lost += sum(isinstance(effect, Say) and "click it again" in effect.text for effect in effects)
        self.settle()

    def check(self) -> None:
        """What must hold after every change."""
        line, opened = self.work.line, self.work.opened
        for draft in line:
            assert len(draft.generations) == len(draft.session.steps)
        assert len({draft.epoch for draft in line}) == len(line)
        assert all(draft.ticket is not None for draft in line[:-1])
        if opened is None:
            assert all(draft.ticket is not None for draft in line)
        known = {draft.image.record.id for draft in line} | ({opened.record.id} if opened else set())
        for image_id in known - {self.opening}:
            assert self.file.get(image_id) == self.work.keeping.of(line, image_id), "the file does not know"


def a_desk() -> Desk:
    desk = Desk()
    desk.open(1)
    return desk


@given(st.lists(PROMPTS, max_size=8), st.data())
def test_undo_and_redo_restore_equal_states(prompts: list[moves.Move], data: st.DataObject) -> None:
    desk, states = a_desk(), []
    for move in prompts:
        desk.do(move)
        if data.draw(st.booleans()):
            desk.answer(is_good=True)
    while True:
        states.append(shown(desk.work))
        before = desk.work
        desk.do(moves.Undo())
        if desk.work is before:
            break
    for state in reversed(states[:-1]):
        desk.do(moves.Redo())
        assert shown(desk.work)[-1][:7] == state[-1][:7]
    for state in states[1:]:
        desk.do(moves.Undo())
        assert shown(desk.work)[-1][:7] == state[-1][:7]


ACTS = st.one_of(
    st.builds(lambda move: lambda desk: desk.do(move), ANY_MOVE),
    st.builds(
        lambda good, empty: lambda desk: desk.answer(is_good=good, is_empty=empty),
        st.sampled_from([True, True, True, False]),
        st.sampled_from([False, False, True]),
    ),
    st.builds(lambda image_id: lambda desk: desk.open(image_id), st.sampled_from([1, 2])),
    st.just(lambda desk: desk.do(moves.LeaveImage())),
)


@settings(max_examples=200)
@given(st.lists(ACTS, max_size=25))
def test_what_was_accepted_is_stored_or_in_the_file(acts: list[Callable[[Desk], object]]) -> None:
    """Over any sequence: an accept adds one to what is stored or waits in the file, and only what the person does, or
    is told of, takes one away."""
    desk = a_desk()

    def held() -> int:
        return len(desk.stored) + sum(len(accepted_of(kept)) for kept in desk.file.values()) + desk.lost

    for act in acts:
        before, tickets = held(), sum(draft.ticket is not None for draft in desk.work.line)
        act(desk)
        if sum(draft.ticket is not None for draft in desk.work.line) >= tickets:
            assert held() >= before


@settings(max_examples=100)
@given(st.lists(ACTS, max_size=12))
def test_an_empty_mask_takes_away_nothing_that_was_begun_since(acts: list[Callable[[Desk], object]]) -> None:
    desk = a_desk()
    for act in acts:
        act(desk)
    desk.open(1)
    for move in (moves.Click(PointPrompt(9, 9), 0.0), moves.Accept(1.0, True), moves.Click(PointPrompt(30, 30), 0.0)):
        desk.do(move)
    begun = desk.work.draft
    assert begun is not None
    while any(draft.ticket is not None for draft in desk.work.line):
        told, tickets = desk.lost, sum(draft.ticket is not None for draft in desk.work.line)
        desk.answer(is_good=True, is_empty=True)
        if sum(draft.ticket is not None for draft in desk.work.line) == tickets:
            break
        assert desk.work.draft is not None
        assert desk.work.draft.prompts == begun.prompts
        assert desk.lost + len(desk.file) > told


@settings(max_examples=100)
@given(st.lists(ACTS, max_size=20), st.sampled_from([1, 2]))
def test_leaving_and_coming_back_brings_everything_back(acts: list[Callable[[Desk], object]], image_id: int) -> None:
    desk = a_desk()
    for act in acts:
        act(desk)
    desk.open(image_id)
    here = desk.file.get(image_id)
    desk.open(3 - image_id)
    assert desk.file.get(image_id) == here
    # A crash: only the file is left.
    again = Desk(file=dict(desk.file))
    again.open(image_id)
    assert again.file.get(image_id) == here
    draft = again.work.draft
    assert draft is not None
    found = work_of(here)
    assert (found is None) == (not draft.has_work and draft.category_id is None)
    waits = [d for d in again.work.line if d.ticket is not None]
    assert len(waits) + (found is not None) == (objects_in(here) if here else 0)


@given(st.lists(ACTS, max_size=15))
def test_the_document_ends_what_is_on_an_image(acts: list[Callable[[Desk], object]]) -> None:
    desk = a_desk()
    for act in acts:
        act(desk)
    desk.file.pop(1, None)
    desk.do(moves.DropImage(1))
    assert 1 not in desk.file
    assert all(draft.image.record.id != 1 or not draft.has_work for draft in desk.work.line)


def test_a_class_for_an_untouched_object_is_stored_by_the_document() -> None:
    desk = a_desk()
    desk.do(moves.TakeUp(OBJECT))
    desk.do(moves.PickClass(2))
    effects = desk.do(moves.Accept(1.0, True))
    assert [e.category_id for e in effects if isinstance(e, Reclass)] == [2]
    desk.do(moves.TakeUp(OBJECT))
    effects = desk.do(moves.Accept(1.0, True))
    assert Say("Nothing was changed.") in effects


def test_leaving_the_project_gives_up_waiting_and_forgets() -> None:
    desk = a_desk()
    desk.do(moves.Click(PointPrompt(5, 5), 0.0))
    desk.do(moves.Accept(1.0, True))
    kept = dict(desk.file)
    assert GiveUpWaiting() in desk.do(moves.LeaveProject())
    assert desk.work.line == ()
    assert desk.file == kept, "it stays in the project's own file"


def test_an_image_is_encoded_when_it_is_shown() -> None:
    work, effects = moved(Work(), moves.ShowImage(IMAGES[1], RGB, "a"))
    assert [effect.image.key for effect in effects if isinstance(effect, Encode)] == ["a"]
    assert work.is_encoding


def test_a_shape_without_a_pixel_is_refused_with_a_sentence() -> None:
    desk = Desk()
    desk.do(moves.ShowImage(IMAGES[1], RGB, "1"))
    for ring, why in (
        (((5.0, 5.0), (30.0, 5.0), (30.0, 5.0)), "encloses no pixel"),
        (((-9.0, 5.0), (-3.0, 5.0), (-3.0, 9.0)), "lies outside"),
    ):
        work, effects = moved(desk.work, moves.Paint(Stroke.area(ring), 0.0))
        assert work is desk.work
        (said,) = effects
        assert isinstance(said, Say)
        assert why in said.text
