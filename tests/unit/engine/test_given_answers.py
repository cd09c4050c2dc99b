"""Answers that are known again: the newest, as far as their masks fit into memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annotator.domain.answering.hypotheses import Hypothesis
from annotator.domain.answering.zoom import Region
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate
from annotator.engine.zoom.given_answers import ANSWERS_KEPT, GivenAnswer, GivenAnswers

SIDE = 100
WHOLE = Region(0, 0, SIDE, SIDE)
MASK_BYTES = SIDE * SIDE


def candidate() -> Candidate:
    mask = Mask(np.ones((SIDE, SIDE), np.bool_), 0, 0, SIDE, SIDE)
    return Candidate(mask=mask, predicted_iou=0.5, stability=1.0, logits=np.zeros((4, 4), np.float32))


def search(count: int) -> list[GivenAnswer]:
    """Three answers that were chosen from ``count`` others, as after a first click."""
    others = tuple(Hypothesis(candidate(), WHOLE) for _ in range(count))
    return [GivenAnswer(candidate(), WHOLE, others) for _ in range(3)]


def test_masks_that_answers_share_count_once() -> None:
    given = GivenAnswers()
    for answer in search(5):
        given.remembered(answer)
    assert given.nbytes == 8 * MASK_BYTES


def test_old_answers_lose_first_what_they_were_chosen_from_then_their_place() -> None:
    given = GivenAnswers(mask_bytes=13 * MASK_BYTES)
    clicks = []
    for _ in range(4):
        clicks.append([])
        for answer in search(5):
            clicks[-1].append(given.remembered(answer))
            assert given.nbytes <= 13 * MASK_BYTES
    assert all(len(given.of(one, WHOLE).others) == 5 for one in clicks[-1])
    assert given.of(clicks[-2][-1], WHOLE) == GivenAnswer(clicks[-2][-1], WHOLE)
    assert [is_known(given, one) for one in clicks[-2]] == [False, False, True]
    assert not any(is_known(given, one) for one in clicks[0])


def is_known(given: GivenAnswers, one: Candidate) -> bool:
    """A forgotten candidate is taken to be of the image that is named."""
    elsewhere = Region(0, 0, 7, 7)
    return given.of(one, elsewhere).region != elsewhere


def test_the_newest_is_kept_however_large() -> None:
    given = GivenAnswers(mask_bytes=MASK_BYTES)
    first = given.remembered(search(5)[0])
    assert is_known(given, first)
    second = given.remembered(search(5)[0])
    assert is_known(given, second)
    assert not is_known(given, first)


def test_small_answers_go_by_their_number() -> None:
    given = GivenAnswers()
    answers = [given.remembered(GivenAnswer(candidate(), WHOLE)) for _ in range(ANSWERS_KEPT + 1)]
    assert not is_known(given, answers[0])
    assert is_known(given, answers[1])


def test_a_token_means_nothing_to_another_memory() -> None:
    mine, yours = GivenAnswers(), GivenAnswers()
    candidates = [memory.remembered(GivenAnswer(candidate(), WHOLE)) for memory in (mine, yours)]
    assert not is_known(yours, candidates[0])
    assert candidates[0].token != candidates[1].token


def test_what_was_forgotten_says_itself_where_it_was_found() -> None:
    away = replace(candidate(), logits_box=Box(20, 30, 60, 90))
    assert GivenAnswers().of(away, WHOLE).region == Region(20, 30, 60, 90)


def test_answers_of_one_click_stay_together_however_large() -> None:
    given = GivenAnswers(mask_bytes=MASK_BYTES)
    others = tuple(Hypothesis(candidate(), WHOLE) for _ in range(5))
    answers = [given.remembered(GivenAnswer(other.candidate, WHOLE, others)) for other in others[:3]]
    assert all(is_known(given, answer) for answer in answers), "they share every byte"
