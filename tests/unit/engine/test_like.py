"""Find all that is like examples, with the real engine: a small random model, and the embedded one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from annotator.domain.answering.everything import Proposal
from annotator.domain.errors import EncodeCancelled, PromptError
from annotator.domain.geometry import Box
from annotator.domain.likeness import rating, seeds
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.likeness import AnswersLike, Examples, LikeQuestion
from annotator.engine import like
from annotator.engine.grabcut import GrabCutSegmenter
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from tests.small_base import BASE, SMALL

RED, BLUE = (200, 60, 50), (60, 70, 190)
PLACES = [(26, 26), (80, 30), (28, 78)]


def picture(width: int = 120, height: int = 104, *, shade: float = 1.0) -> tuple[RgbArray, list[Mask]]:
    """Red discs, and a blue one at last, on grey."""
    pixels = np.full((height, width, 3), 120, np.uint8)
    masks = []
    for at, (x, y) in enumerate([*PLACES, (86, 78)]):
        drawn = np.zeros((height, width), np.uint8)
        cv2.circle(drawn, (x, y), 15 + at % 2, 1, -1)
        pixels[drawn > 0] = RED if at < len(PLACES) else BLUE
        masks.append(Mask.from_full(drawn))
    return (cv2.GaussianBlur(pixels, (0, 0), 0.8) * shade).astype(np.uint8), masks


@pytest.fixture(scope="module")
def small() -> ZoomSegmenter:
    torch.manual_seed(3)
    return ZoomSegmenter(
        Sam2Segmenter(build_nano(SMALL).eval(), BASE, dense_prompt="stamps-2"), margin=1.6, tidies=True
    )


@pytest.fixture(autouse=True)
def few_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most promising ones are enough here."""
    monkeypatch.setattr(seeds, "MOST_SEEDS", 8)


@pytest.fixture(scope="module")
def nano() -> Any:
    return load_segmenter("nano", device="cpu")


def steps(segmenter: Any, image: RgbArray, question: LikeQuestion, known: list[Mask] | None = None, **more: Any) -> Any:
    embedding = segmenter.encode(image, "here")
    return segmenter.likeness.steps(embedding, image, "here", question, known or [], **more)


def found(segmenter: Any, image: RgbArray, question: LikeQuestion, known: list[Mask] | None = None) -> list[Proposal]:
    *_, last = steps(segmenter, image, question, known)
    assert last.is_last
    return list(last.proposals)


def score_of(proposals: list[Proposal], mask: Mask) -> float:
    """Of the best one that is this object; 0 for none."""
    return max((one.predicted_iou for one in proposals if one.mask.iou(mask) > 0.5), default=0.0)


def test_who_can_be_asked(small: ZoomSegmenter) -> None:
    assert isinstance(small, AnswersLike)
    assert isinstance(small.base, AnswersLike)
    assert not isinstance(GrabCutSegmenter(), AnswersLike)


def test_the_embedded_model_finds_the_others_by_one_example_and_leaves_what_is_different(nano: Any) -> None:
    image, masks = picture()
    answers = found(nano, image, LikeQuestion((Examples(image, "here", (masks[0],)),)))
    assert min(score_of(answers, mask) for mask in masks[1:3]) > 0.6
    assert score_of(answers, masks[3]) < min(score_of(answers, mask) for mask in masks[1:3]) - 0.1
    assert score_of(answers, masks[0]) == 0
    scores = [one.predicted_iou for one in answers]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_what_is_found_with_certainty_teaches_where_else_to_look(nano: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One disc is left out as long as the example alone says where to look; the others that are found say it, too."""
    left, discs = picture()
    image = np.concatenate([left, left[:, :60]], 1)
    red = [Mask.from_full(np.pad(disc.full(), ((0, 0), (0, 60)))) for disc in discs[:3]]
    unseen = Mask.from_full(np.roll(red[0].full(), 120, axis=1))
    asked: list[list[seeds.Seed]] = []
    places = like.seeds_in

    def half_blind(*args: Any) -> list[seeds.Seed]:
        asked.append([one for one in places(*args) if asked or not unseen.contains(one.x, one.y)])
        return list(asked[-1])

    monkeypatch.setattr(like, "seeds_in", half_blind)
    answers = found(nano, image, LikeQuestion((Examples(image, "here", (red[0],)),)))
    assert len(asked) == 2
    assert not any(unseen.contains(one.x, one.y) for one in asked[0])
    assert min(score_of(answers, mask) for mask in (red[1], red[2], unseen)) > 0.6


def test_it_goes_on_as_long_as_a_round_finds_many(nano: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twenty discs two rounds reach twelve at most; the others are looked for outside of what was found."""
    image = np.full((176, 216, 3), 120, np.uint8)
    discs = []
    for x, y in [(24 + 42 * column, 24 + 42 * row) for row in range(4) for column in range(5)]:
        drawn = np.zeros(image.shape[:2], np.uint8)
        cv2.circle(drawn, (x, y), 15, 1, -1)
        image[drawn > 0] = RED
        discs.append(Mask.from_full(drawn))
    image = cv2.GaussianBlur(image, (0, 0), 0.8).astype(np.uint8)
    known: list[list[Mask]] = []
    places = like.seeds_in

    def noted(*args: Any) -> list[seeds.Seed]:
        known.append(list(args[4]))
        return places(*args)

    monkeypatch.setattr(like, "seeds_in", noted)
    monkeypatch.setattr(like, "MORE_SEEDS", 4)
    question = LikeQuestion((Examples(image, "here", (discs[0],)),))
    answers = found(nano, image, question)
    few = sum(score_of(answers, disc) > 0.6 for disc in discs)
    assert len(known) == 2
    assert few <= 12
    known.clear()
    monkeypatch.setattr(like, "LEAST_FRESH", 2)
    answers = found(nano, image, question)
    many = sum(score_of(answers, disc) > 0.6 for disc in discs)
    assert many >= few + 4
    assert 3 <= len(known) <= like.MOST_ROUNDS
    assert [len(one) for one in known[:2]] == [1, 1]
    assert len(known[2]) > 6
    assert all(len(one) < len(other) for one, other in pairwise(known[2:]))


def test_by_a_box_and_by_an_example_of_another_image_and_not_what_is_known(nano: Any) -> None:
    image, masks = picture()
    darker, _ = picture(shade=0.7)
    x, y, w, h = masks[0].bbox_xywh
    question = LikeQuestion((Examples(image, "there", (), boxes=(Box(x, y, x + w, y + h),)),))
    answers = found(nano, darker, question, known=[masks[2]])
    assert min(score_of(answers, mask) for mask in masks[:2]) > 0.6
    assert score_of(answers, masks[3]) < min(score_of(answers, mask) for mask in masks[:2]) - 0.1
    assert score_of(answers, masks[2]) == 0


@pytest.mark.parametrize(
    ("count", "key", "is_looked_for"), [(1, "here", False), (3, "here", True), (3, "there", False)]
)
def test_a_gap_between_the_scores_is_looked_for_with_three_examples_of_the_image(
    small: ZoomSegmenter, monkeypatch: pytest.MonkeyPatch, count: int, key: str, is_looked_for: bool
) -> None:
    image, masks = picture()
    looked: list[int] = []
    monkeypatch.setattr(rating, "at_the_gap", lambda scores: looked.append(len(scores)) or scores)
    found(small, image, LikeQuestion((Examples(image, key, tuple(masks[:count])),)))
    assert bool(looked) == is_looked_for


def test_the_same_question_is_learned_once(small: ZoomSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    image, masks = picture()
    question = LikeQuestion((Examples(image, "there", tuple(masks[:2])),))
    encoded: list[str] = []
    real = small.base.encode

    def encode(pixels: RgbArray, key: str, **keywords: Any) -> Any:
        encoded.append(key)
        return real(pixels, key, **keywords)

    monkeypatch.setattr(small.base, "encode", encode)
    found(small, image, question)
    assert sum(key.startswith("there|") for key in encoded) == 3  # the image and its two examples
    found(small, image, question)
    assert sum(key.startswith("there|") for key in encoded) == 3


def test_steps_say_how_far_it_is_and_what_stays_keeps_its_mask(nano: Any) -> None:
    image, masks = picture()
    told = list(steps(nano, image, LikeQuestion((Examples(image, "here", (masks[0],)),))))
    totals = [one.total for one in told]
    assert totals[0] == 0
    assert totals[-1] == told[-1].done > 0
    assert [one.done for one in told] == sorted(one.done for one in told)
    looks = [one.proposals for one in told if one.proposals]
    assert len(looks) > 2
    before, after = looks[-2], looks[-1]
    assert {id(one.mask) for one in before} & {id(one.mask) for one in after}


def test_an_encode_that_is_called_back_is_begun_anew(small: ZoomSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    image, masks = picture()
    question = LikeQuestion((Examples(image, "here", (masks[0],)),))
    expected = [one.mask.rle() for one in found(small, image, question)]
    real, turn = small.base.encode, [0]

    def encode(pixels: RgbArray, key: str, *, is_cancelled: Any = None) -> Any:
        turn[0] += 1
        if turn[0] % 2 and is_cancelled is not None:
            raise EncodeCancelled
        return real(pixels, key)

    embedding = small.encode(image, "here")
    monkeypatch.setattr(small.base, "encode", encode)
    question = LikeQuestion((Examples(image, "here", (masks[0],)),))
    *_, last = small.likeness.steps(embedding, image, "here", question, [], has_to_yield=lambda: False)
    assert [one.mask.rle() for one in last.proposals or ()] == expected


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 30)])
def test_an_image_of_one_colour_or_of_one_pixel_has_nothing_like_it(
    small: ZoomSegmenter, size: tuple[int, int]
) -> None:
    width, height = size
    image = np.full((height, width, 3), 90, np.uint8)
    example = Mask(np.ones((max(1, height // 2), max(1, width // 2)), np.bool_), 0, 0, width, height)
    assert found(small, image, LikeQuestion((Examples(image, "here", (example,)),))) == []


@pytest.mark.parametrize("case", ["edge", "tiny", "half", "hole", "many", "twice", "grey"])
def test_any_example_gives_an_answer(small: ZoomSegmenter, case: str) -> None:
    image, masks = picture()
    full = np.zeros(image.shape[:2], np.bool_)
    if case == "edge":
        full[:20, :30] = True
    elif case == "tiny":
        full[30:33, 40:43] = True
    elif case == "half":
        full[:, :60] = True
    elif case == "hole":
        full[20:50, 20:50], full[30:40, 30:40] = True, False
    examples = (
        [Mask.from_full(full)] if full.any() else [masks[0]] * (2 if case == "twice" else 40 if case == "many" else 1)
    )
    if case == "grey":
        image = np.repeat(image[..., :1], 3, axis=2)
    answers = found(small, image, LikeQuestion((Examples(image, "here", tuple(examples)),)))
    assert all((one.mask.width, one.mask.height) == (120, 104) for one in answers)


def test_a_box_that_holds_nothing_is_refused_in_a_sentence(small: ZoomSegmenter) -> None:
    image, _ = picture()
    question = LikeQuestion((Examples(image, "here", (), boxes=(Box(500, 500, 520, 520),)),))
    with pytest.raises(PromptError, match="outside"):
        found(small, image, question)
