"""A search of a part of a very large image: its answers lie in the whole image, and what is cut is left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.zoom import Region
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.phrase import split_phrases
from annotator.domain.ports.concept import ConceptAsk, ExampleBox
from annotator.domain.ports.engine import EverythingStep
from annotator.domain.prompt import PointPrompt
from annotator.domain.proposals.gather import Finder, Gathering
from annotator.domain.proposals.table import ProposalTable
from annotator.domain.seen import Seen, ask_in, known_in, lies_in, steps_outside
from annotator.domain.sight import Sight

N = 30_000
NATIVE = Sight(N, N, Region(17_000, 20_000, 18_000, 20_800), (1000, 800))
HALVED = Sight(N, N, Region(0, 4_000, 2_000, 6_000), (1000, 1000))


def block(x: int, y: int, w: int, h: int, sight: Sight = NATIVE) -> Mask:
    return Mask(np.ones((h, w), np.bool_), x, y, *sight.size_wh)


def proposal(mask: Mask, score: float = 0.9) -> Proposal:
    x, y, w, h = mask.bbox_xywh
    return Proposal(mask, score, 0.95, (x + w / 2, y + h / 2), Region(0, 0, mask.width, mask.height))


def steps(*found: tuple[Proposal, ...] | None) -> list[EverythingStep]:
    return [EverythingStep(at + 1, len(found), each, is_last=at + 1 == len(found)) for at, each in enumerate(found)]


@given(x=st.integers(1, 900), y=st.integers(1, 700), w=st.integers(1, 90), h=st.integers(1, 90))
def test_what_is_found_lies_where_it_is_in_the_whole_image(x: int, y: int, w: int, h: int) -> None:
    one = proposal(block(x, y, w, h))
    (step,) = steps_outside(NATIVE, iter(steps((one,))))
    assert step.proposals is not None
    (made,) = step.proposals
    assert (made.mask.width, made.mask.height) == (N, N)
    assert made.mask.bbox_xywh == (17_000 + x, 20_000 + y, w, h)
    assert made.point_xy == (17_000 + x + w / 2, 20_000 + y + h / 2)
    assert made.crop == NATIVE.region
    assert NATIVE.mask(made.mask).same_pixels(one.mask)


def test_what_the_part_cuts_is_left_out_and_what_the_image_ends_is_not() -> None:
    cut = [block(0, 9, 9, 9), block(9, 0, 9, 9), block(991, 9, 9, 9), block(9, 791, 9, 9)]
    (step,) = steps_outside(NATIVE, iter(steps(tuple(proposal(mask) for mask in cut))))
    assert step.proposals == ()
    at_the_border = proposal(block(0, 500, 9, 9, HALVED))
    (step,) = steps_outside(HALVED, iter(steps((at_the_border,))))
    assert step.proposals is not None
    assert step.proposals[0].mask.bbox_xywh[:2] == (0, 5_000)


def test_an_object_that_comes_again_is_the_same_with_what_is_known_of_it_now() -> None:
    mask = block(10, 10, 20, 20)
    first, _none, second = steps_outside(NATIVE, iter(steps((proposal(mask, 0.5),), None, (proposal(mask, 0.8),))))
    assert _none.proposals is None
    assert first.proposals is not None
    assert second.proposals is not None
    assert first.proposals[0].mask is second.proposals[0].mask
    assert [first.proposals[0].predicted_iou, second.proposals[0].predicted_iou] == [0.5, 0.8]


def test_a_question_is_asked_in_pixels_of_the_part() -> None:
    ask = ConceptAsk(
        split_phrases("nucleus"),
        (ExampleBox(Box(100, 4_100, 200, 4_300)), ExampleBox(Box(9_000, 9_000, 9_100, 9_100))),
        clicks=(PointPrompt(50, 4_050), PointPrompt(9_000, 9_000)),
    )
    asked = ask_in(HALVED, ask)
    assert [one.box for one in asked.examples] == [Box(50, 50, 100, 150)]
    assert [(one.x, one.y) for one in asked.clicks] == [(25, 25)]


def test_objects_are_seen_where_they_lie_in_the_part() -> None:
    here, cut, there = (Mask(np.ones((10, 10), np.bool_), x, 20_100, N, N) for x in (17_100, 16_995, 3))
    seen = Seen(np.zeros((800, 1000, 3), np.uint8), "part", NATIVE)
    assert [mask.bbox_xywh for mask in seen.inside((here, cut, there))] == [(100, 100, 10, 10)]
    assert [mask.bbox_xywh for mask in known_in(NATIVE, (here, cut, there))] == [(100, 100, 10, 10), (0, 100, 5, 10)]
    assert [lies_in(mask, NATIVE) for mask in (here, cut, there)] == [True, False, False]
    whole = Seen(np.zeros((N // 1000, 10, 3), np.uint8), "whole")
    assert whole.inside((here,)) == ()


def test_a_search_of_a_part_keeps_what_was_found_elsewhere() -> None:
    table = ProposalTable()
    for sight in (NATIVE, HALVED):
        gathering = Gathering(table, frozenset(), Finder(), sight=sight)
        (step,) = steps_outside(sight, iter(steps((proposal(block(100, 100, 50, 50, sight)),))))
        assert step.proposals is not None
        table = gathering.add(step.proposals)
    assert [item.mask.bbox_xywh[:2] for item in table.items] == [(17_100, 20_100), (200, 4_200)]
    gathering = Gathering(table, frozenset(), Finder(), sight=HALVED)
    assert [item.mask.x for item in gathering.add(()).items] == [17_100], "found anew here, or not there any more"
    overlapping = Sight(N, N, Region(17_120, 20_000, 18_120, 20_800), (1000, 800))
    gathering = Gathering(table, frozenset(), Finder(), sight=overlapping)
    (step,) = steps_outside(overlapping, iter(steps((proposal(block(300, 100, 50, 50, overlapping)),))))
    assert step.proposals is not None
    assert [item.mask.x for item in gathering.add(step.proposals).items] == [17_100, 200, 17_420]
