"""Answers that are known again: the newest, as far as their masks fit into memory."""

from __future__ import annotations

import numpy as np

from annotator.domain.answering.hypotheses import Hypothesis
from annotator.domain.answering.zoom import Region
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
        given.remember(answer)
    assert given.nbytes == 8 * MASK_BYTES


def test_old_answers_lose_first_what_they_were_chosen_from_then_their_place() -> None:
    given = GivenAnswers(mask_bytes=13 * MASK_BYTES)
    clicks = [search(5) for _ in range(4)]
    for answers in clicks:
        for answer in answers:
            given.remember(answer)
            assert given.nbytes <= 13 * MASK_BYTES
    assert all(given.known(answer.candidate.logits) is answer for answer in clicks[-1])
    before = given.known(clicks[-2][-1].candidate.logits)
    assert before is not None
    assert before.others == ()
    assert all(given.known(answer.candidate.logits) is None for answer in clicks[0])


def test_the_newest_is_kept_however_large() -> None:
    given = GivenAnswers(mask_bytes=MASK_BYTES)
    (first, *_) = search(5)
    given.remember(first)
    assert given.known(first.candidate.logits) is first
    (second, *_) = search(5)
    given.remember(second)
    assert given.known(second.candidate.logits) is second
    assert given.known(first.candidate.logits) is None


def test_small_answers_go_by_their_number() -> None:
    given = GivenAnswers()
    answers = [GivenAnswer(candidate(), WHOLE) for _ in range(ANSWERS_KEPT + 1)]
    for answer in answers:
        given.remember(answer)
    assert given.known(answers[0].candidate.logits) is None
    assert given.known(answers[1].candidate.logits) is answers[1]
    assert given.known(np.zeros((4, 4), np.float32)) is None
    assert given.known(None) is None


def test_answers_of_one_click_stay_together_however_large() -> None:
    given = GivenAnswers(mask_bytes=MASK_BYTES)
    others = tuple(Hypothesis(candidate(), WHOLE) for _ in range(5))
    answers = [GivenAnswer(other.candidate, WHOLE, others) for other in others[:3]]
    for answer in answers:
        given.remember(answer)
    assert all(given.known(answer.candidate.logits) is answer for answer in answers), "they share every byte"
