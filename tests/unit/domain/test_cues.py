"""Prompts of other kinds. What is tried of every kind is tried of a new row by itself."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.brush import Stroke
from annotator.domain.cues.cue import Cue
from annotator.domain.cues.rows import BY_NAME, KINDS, cue_from_json, cue_to_json
from annotator.domain.cues.scribble import CLICKS, MOST_POSITIONS, Scribble
from annotator.domain.drafts import moves
from annotator.domain.drafts.draft import Draft, OpenImage
from annotator.domain.drafts.effects import Say
from annotator.domain.drafts.kept import draft_from_json, draft_json
from annotator.domain.drafts.work import Work
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.project import ImageRecord
from annotator.domain.prompt import PointPrompt, Prompts, PromptSession

WIDTH, HEIGHT = 60, 40
IMAGE = OpenImage(ImageRecord(1, "a.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8), "a", epoch=1)
PLACES = st.tuples(st.floats(1, 59), st.floats(1, 39))
POINTS = st.builds(lambda place, sign: PointPrompt(*place, sign), PLACES, st.booleans())
STROKES = st.builds(lambda path: Stroke(tuple(path), 3.0, True), st.lists(PLACES, min_size=1, max_size=3))
CUES = st.sampled_from([kind.example() for kind in KINDS])
SCRIBBLES = st.builds(lambda path, sign: Scribble(tuple(path), sign), st.lists(PLACES, min_size=1, max_size=9),
                      st.booleans())  # fmt: skip


def session_of(steps: list[PointPrompt | Stroke | Cue], box: Box | None = None) -> PromptSession:
    session = PromptSession() if box is None else PromptSession().set_box(box)
    for step in steps:
        if isinstance(step, PointPrompt):
            session = session.add_point(step)
        else:
            session = session.paint(step) if isinstance(step, Stroke) else session.add_cue(step)
    return session


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_its_promises(kind: type[Cue]) -> None:
    cue = kind.example()
    assert BY_NAME[kind.kind] is kind
    assert cue_from_json(json.loads(json.dumps(cue_to_json(cue), allow_nan=False))) == cue
    assert cue.clicks()
    assert all(len(path) > 0 for path, _ in cue.lines())
    assert cue.within(WIDTH, HEIGHT) == cue
    assert cue.within(5, 5) is None, "the example lies outside of such a small image"
    with pytest.raises(ValueError, match=kind.title):
        cue_from_json({"kind": kind.kind})


@given(st.lists(st.one_of(POINTS, STROKES, CUES, SCRIBBLES), max_size=6), st.booleans())
def test_an_object_comes_back_from_its_data(steps: list[PointPrompt | Stroke | Cue], is_boxed: bool) -> None:
    session = session_of(steps, Box(1, 2, 30, 20) if is_boxed else None)
    before = Prompts.from_json(json.loads(json.dumps(session.prompts.to_json(), allow_nan=False)))
    draft = Draft(1, IMAGE, session, generations=(0,) * len(session.steps))
    data = draft_json(draft)
    if data is None:
        assert not steps
        return
    again = draft_from_json(json.loads(json.dumps(data)), IMAGE, epoch=2, at_s=0, annotations={}).prompts
    assert (again.points, again.box, again.cues) == (before.points, before.box, before.cues)
    assert again.asked == session.prompts.asked, "a model is asked the same"


@given(st.lists(st.one_of(POINTS, CUES), max_size=5), SCRIBBLES)
def test_a_cue_is_one_step_and_one_removal(steps: list[PointPrompt | Stroke | Cue], cue: Scribble) -> None:
    session = session_of(steps)
    with_it = session.add_cue(cue)
    assert len(with_it.steps) == len(session.steps) + 1
    assert with_it.prompts.points[len(session.prompts.points) :] == cue.clicks()
    assert with_it.prompts.extends(session.prompts) == bool(steps), "a model goes on from the answer before it"
    assert with_it.remove_last().prompts == session.prompts
    assert with_it.undo().prompts == session.prompts
    clicked = with_it.add_point(PointPrompt(3, 3))
    assert clicked.remove_last().prompts == with_it.prompts


def test_strokes_that_decide_against_a_scribble_go_as_with_a_click() -> None:
    erased = Stroke(((10.0, 10.0),), 4.0, False)
    elsewhere = Stroke(((50.0, 30.0),), 2.0, False)
    prompts = session_of([PointPrompt(30, 20), erased, elsewhere]).prompts
    assert prompts.with_cue(Scribble(((8.0, 10.0), (12.0, 10.0)))).strokes == prompts.strokes[1:]


def test_a_refined_object_is_asked_with_its_cues_and_shows_them() -> None:
    cue = Scribble(((10.0, 10.0), (20.0, 10.0)))
    said = session_of([PointPrompt(5, 5), cue]).prompts
    session = PromptSession.refining(Mask.empty(WIDTH, HEIGHT), said.to_json()).add_cue(cue)
    now = session.prompts
    assert now.asked.points == (*said.points, *cue.clicks())
    assert [placed.first for placed in now.shown.cues] == [1, 1 + CLICKS]
    assert now.whole.cues == now.shown.cues
    assert now.asked.cues == ()


def test_a_later_kind_leaves_its_clicks() -> None:
    data = session_of([PointPrompt(5, 5), Scribble.example()]).prompts.to_json()
    data["cues"][0]["kind"] = "of-next-year"
    again = Prompts.from_json(data)
    assert (len(again.points), again.cues) == (1 + CLICKS, ())


@pytest.mark.parametrize(
    "change",
    [{"first": 2}, {"first": -1}, {"count": 0}, {"count": 9}, {"first": "0"}, {"path": [1.0]}, {"path": None},
     {"label": 7}, {"path": [math.inf, 1.0]}, {"path": [1.0] * (2 * MOST_POSITIONS + 2)}],
)  # fmt: skip
def test_damaged_data_are_refused(change: dict[str, object]) -> None:
    data = session_of([PointPrompt(5, 5), Scribble.example()]).prompts.to_json()
    data["cues"][0] |= change
    with pytest.raises(ValueError, match="damaged"):
        Prompts.from_json(data)


@pytest.mark.parametrize("data", [None, [], "scribble", {}, {"kind": 3}, {"kind": "no-such"}])
def test_an_unknown_kind_says_which_there_are(data: object) -> None:
    with pytest.raises(ValueError, match="there are: scribble"):
        cue_from_json(data)


@given(SCRIBBLES)
def test_clicks_of_a_scribble_lie_on_its_line(cue: Scribble) -> None:
    clicks, path = cue.clicks(), np.asarray(cue.path)
    length = np.hypot(*np.diff(path, axis=0).T).sum() if len(path) > 1 else 0
    assert len(clicks) == (CLICKS if length > 0 else 1)
    assert {one.is_positive for one in clicks} == {cue.is_positive}
    assert all(path[:, axis].min() - 1e-6 <= (one.x, one.y)[axis] <= path[:, axis].max() + 1e-6
               for one in clicks for axis in (0, 1))  # fmt: skip


def test_clicks_of_a_straight_scribble_are_in_the_middle_of_its_fifths() -> None:
    clicks = Scribble(((0.0, 4.0), (2.0, 4.0), (50.0, 4.0)), False).clicks()
    assert [(one.x, one.y, one.is_positive) for one in clicks] == [(x, 4.0, False) for x in (5, 15, 25, 35, 45)]


def test_one_outside_of_the_image_says_so_and_one_that_leaves_it_is_pulled_in() -> None:
    work = Work(line=(Draft(1, IMAGE),), opened=IMAGE)
    after, (said,) = moves.moved(work, moves.PutCue(Scribble(((70.0, 5.0), (90.0, 9.0))), 0.0))
    assert after is work
    assert isinstance(said, Say)
    assert "scribble lies outside" in said.text
    after, _ = moves.moved(work, moves.PutCue(Scribble(((50.0, 5.0), (90.0, 5.0))), 0.0))
    assert after.draft is not None
    assert all(0 <= one.x < WIDTH for one in after.draft.prompts.points)
    assert after.draft.clicks == 1
