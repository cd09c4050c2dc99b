"""What is in work on an image as data for the project file, and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.brush import Stroke
from annotator.domain.drafts.draft import Draft, OpenImage, Ticket
from annotator.domain.drafts.held import held_text
from annotator.domain.drafts.kept import accepted_of, draft_from_json, kept_json, objects_in, with_accepted, work_of
from annotator.domain.drafts.line import Line
from annotator.domain.geometry import Box
from annotator.domain.project import ImageRecord
from annotator.domain.prompt import PointPrompt, PromptSession

RGB = np.zeros((40, 60, 3), np.uint8)
IMAGES = [OpenImage(ImageRecord(i, f"{i}.png"), RGB, str(i), epoch=i) for i in (1, 2)]
PLACES = st.tuples(st.floats(1, 59), st.floats(1, 39))
POINTS = st.builds(lambda place, sign: PointPrompt(*place, sign), PLACES, st.booleans())
STROKES = st.builds(lambda path, sign: Stroke(tuple(path), 3.0, sign), st.lists(PLACES, min_size=1, max_size=3),
                    st.booleans())  # fmt: skip
BOXES = st.builds(lambda a, b: Box.from_corners(*a, *b), PLACES, PLACES).filter(lambda box: box.area > 0)


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    session = PromptSession()
    if draw(st.booleans()):
        session = session.set_box(draw(BOXES))
    for step in draw(st.lists(st.one_of(POINTS, STROKES), max_size=5)):
        session = session.add_point(step) if isinstance(step, PointPrompt) else session.paint(step)
    ticket = Ticket(draw(st.integers(1, 3)), 0.0) if draw(st.booleans()) else None
    image = draw(st.sampled_from(IMAGES))
    return Draft(
        1, image, session, generations=(0,) * len(session.steps), turns=draw(st.integers(-3, 3)), ticket=ticket
    )


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """As the window makes them: only the last draft has no ticket, and a ticket is on prompts."""
    waiting = [d for d in draw(st.lists(drafts(), max_size=4)) if d.ticket is not None and d.has_work]
    last = draw(drafts().filter(lambda d: d.ticket is None))
    return (*waiting, last)


@given(lines())
def test_a_line_comes_back_from_its_data(line: Line) -> None:
    for image in IMAGES:
        kept = kept_json(line, image.record.id)
        here = [draft for draft in line if draft.image is image and draft.has_work]
        assert (kept is None) == (not here)
        if kept is None:
            continue
        kept = json.loads(json.dumps(kept, allow_nan=False))
        assert objects_in(kept) == len(here)
        data = [*accepted_of(kept), *([work] if (work := work_of(kept)) is not None else [])]
        back = [draft_from_json(one, image, epoch=1, at_s=0, annotations={}) for one in data]
        assert [(d.prompts, d.turns) for d in back] == [(d.prompts, d.turns) for d in here]
        assert [one.get("accepted_as") for one in data] == [d.ticket and d.ticket.category_id for d in here]


@given(lines(), drafts().filter(lambda d: d.ticket is not None and d.has_work))
def test_what_is_kept_beside_the_line_is_kept(line: Line, late: Draft) -> None:
    image_id = late.image.record.id
    before = kept_json(line, image_id)
    after = kept_json((), image_id, left=with_accepted(before, late))
    assert work_of(after) == work_of(before)
    assert len(accepted_of(after)) == len(accepted_of(before)) + 1


@pytest.mark.parametrize(
    ("drafts_by_image", "text"),
    [
        ({}, ""),
        ({7: 1}, ""),
        ({1: 1}, "1 image holds 1 object that is not accepted: 1.png"),
        ({1: 2}, "1 image holds 2 objects that are not accepted: 1.png"),
        (
            dict.fromkeys(range(1, 7), 1),
            "6 images hold 6 objects that are not accepted: 1.png, 2.png, 3.png, 4.png and 2 more",
        ),
    ],
)
def test_images_that_hold_something_are_named(drafts_by_image: dict[int, int], text: str) -> None:
    assert held_text([ImageRecord(i, f"{i}.png") for i in range(1, 7)], drafts_by_image) == text
