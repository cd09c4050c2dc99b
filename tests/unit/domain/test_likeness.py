"""What examples look like, where an image looks like that, and how answers are rated; without a model."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.answering.zoom import Region
from annotator.domain.errors import PromptError
from annotator.domain.geometry import Box
from annotator.domain.likeness.appearance import Channels, heat_map, learn_pixels, size_of, step_for, together
from annotator.domain.likeness.choosing import choose_examples, next_image
from annotator.domain.likeness.describe import LENGTH, describe, spread
from annotator.domain.likeness.pooling import feature_grid, pooled, weight_in
from annotator.domain.likeness.rating import FEATURES, MOVED, WEIGHTS, Answer, Answers, at_the_gap, heat_of
from annotator.domain.likeness.seeds import MOST_SEEDS, Seed, others_than, patterns_of, seeds_in
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.likeness import LEAST_LIKE_SCORE, Examples, LikeQuestion
from annotator.domain.project import Annotation
from annotator.domain.proposals.teaching import taught

RED, BLUE = (200, 60, 50), (60, 70, 190)


def picture(
    discs: list[tuple[int, int, int, tuple[int, int, int]]], width: int = 160, height: int = 120
) -> tuple[RgbArray, list[Mask]]:
    """Coloured discs (x, y, radius, colour) on grey noise, and their masks."""
    pixels = np.random.default_rng(1).integers(110, 130, (height, width, 3)).astype(np.uint8)
    masks = []
    for x, y, radius, colour in discs:
        drawn = np.zeros((height, width), np.uint8)
        cv2.circle(drawn, (x, y), radius, 1, -1)
        pixels[drawn > 0] = colour
        masks.append(Mask.from_full(drawn))
    return pixels, masks


REDS = [(30, 30, 10, RED), (80, 30, 10, RED), (130, 40, 11, RED), (40, 90, 9, RED)]
SCENE = picture([*REDS, (110, 90, 10, BLUE)])


def heat_by(image: RgbArray, examples: list[Mask], unlike: list[Mask] | None = None) -> np.ndarray:
    size = size_of(examples)
    channels = Channels(image, (), step=step_for(size, image.shape[1], image.shape[0]))
    looks = learn_pixels(channels, examples, unlike or [], size.side_px)
    return heat_map(channels, looks, is_their_own=True)


def mean_in(heat: np.ndarray, mask: Mask) -> float:
    return float(heat[mask.full()].mean())


def test_it_is_warm_where_things_look_like_the_example_and_cold_elsewhere() -> None:
    image, masks = SCENE
    heat = heat_by(image, masks[:1])
    assert heat.shape == (120, 160)
    assert all(mean_in(heat, mask) > 0.8 for mask in masks[:4])
    assert mean_in(heat, masks[4]) < 0.5
    assert abs(float(np.median(heat[~np.any([m.full() for m in masks], axis=0)]))) < 0.3


def test_what_was_said_to_be_unlike_becomes_colder() -> None:
    image, masks = picture([*REDS, (110, 90, 10, (190, 60, 90))])
    before, after = heat_by(image, masks[:1]), heat_by(image, masks[:1], [masks[4]])
    assert mean_in(after, masks[4]) < mean_in(before, masks[4]) - 0.1


@pytest.mark.parametrize("colour", [(0, 0, 0), (90, 90, 90), (255, 255, 255)])
def test_an_image_of_one_colour_has_no_place_that_is_like_anything(colour: tuple[int, int, int]) -> None:
    image = np.full((40, 50, 3), colour, np.uint8)
    example = Mask(np.ones((9, 9), np.bool_), 4, 5, 50, 40)
    heat = heat_by(image, [example])
    assert not heat.any()
    size = size_of([example])
    assert seeds_in(image, heat, size, patterns_of(image, [example], size), [example]) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 3), st.data())
def test_any_small_image_with_any_example_has_finite_heat(
    width: int, height: int, seed: int, data: st.DataObject
) -> None:
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    w, h = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    x, y = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h))
    example = Mask(np.ones((h, w), np.bool_), x, y, width, height)
    heat = heat_by(image, [example])
    assert np.isfinite(heat).all()
    size = size_of([example])
    for seed_found in seeds_in(image, heat, size, patterns_of(image, [example], size), []):
        assert 0 <= seed_found.x <= width
        assert 0 <= seed_found.y <= height


def test_examples_of_another_image_are_found_in_another_light() -> None:
    image, masks = SCENE
    darker = (image * 0.6).astype(np.uint8)
    size = size_of(masks[:2])
    source = Channels(image, (), step=1.0)
    looks = together([learn_pixels(source, masks[:2], [], size.side_px)] * 2)
    heat = heat_map(Channels(darker, (), step=1.0), looks, is_their_own=False)
    assert all(mean_in(heat, mask) > 0.7 for mask in masks[:4])
    assert mean_in(heat, masks[4]) < 0.5


def test_maps_of_a_model_count_beside_colours() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    image[:, ::2] += 9  # stripes everywhere
    deep = np.zeros((1, 16, 16), np.float32)
    deep[0, 2:6, 2:6] = deep[0, 10:14, 10:14] = 1.0
    example = Mask(np.ones((16, 16), np.bool_), 8, 8, 64, 64)
    channels = Channels(image, (deep,), step=1.0)
    heat = heat_map(channels, learn_pixels(channels, [example], [], 16.0), is_their_own=True)
    assert heat[44:52, 44:52].mean() > 0.8
    assert heat[8:24, 40:56].mean() < 0.2


def test_a_large_image_is_looked_at_in_a_smaller_picture() -> None:
    size = size_of([Mask(np.ones((10, 10), np.bool_), 0, 0, 10_000, 10_000)])
    assert step_for(size, 1000, 1000) == 1.0
    assert step_for(size, 10_000, 10_000) == 5.0
    assert step_for(size_of([Mask(np.ones((50, 20), np.bool_), 0, 0, 1000, 1000)]), 1000, 1000) == 2.0


def test_seeds_lie_in_what_is_alike_and_none_in_what_is_known() -> None:
    image, masks = SCENE
    size = size_of(masks[:1])
    seeds = seeds_in(image, heat_by(image, masks[:1]), size, patterns_of(image, masks[:1], size), masks[:1])
    assert all(any(mask.contains(seed.x, seed.y) for seed in seeds) for mask in masks[1:4])
    assert not any(masks[0].contains(seed.x, seed.y) for seed in seeds)
    assert {seed.kind for seed in seeds[:3]} == {"segment"}
    assert len(seeds) <= MOST_SEEDS


def test_touching_objects_become_seeds_of_their_own() -> None:
    image, masks = picture([(30, 30, 10, RED), (80, 60, 10, RED), (97, 60, 10, RED)])
    size = size_of(masks[:1])
    seeds = seeds_in(image, heat_by(image, masks[:1]), size, (), masks[:1])
    boxes = [seed.box for seed in seeds if seed.kind == "segment"]
    assert len(boxes) == 2
    assert all(box.width < 24 for box in boxes)


def test_the_picture_of_an_example_is_found_again() -> None:
    image, masks = SCENE
    size = size_of(masks[:1])
    patterns = patterns_of(image, masks[:1], size)
    seeds = seeds_in(image, np.zeros((120, 160), np.float32), size, patterns, masks[:1])
    assert seeds
    assert all(seed.kind == "match" for seed in seeds)
    assert any(masks[1].contains(seed.x, seed.y) for seed in seeds)


def answer(mask: Mask, *, score: float = 0.9, seed: int = 0) -> Answer:
    return Answer(mask, score, 0.9, 1.0, 0.0, 0.8, 0.0, seed)


def block(x: int, y: int, w: int, h: int) -> Mask:
    return Mask(np.ones((h, w), np.bool_), x, y, 100, 100)


def at(x: float, y: float) -> Seed:
    return Seed(x, y, Box(x - 5, y - 5, x + 5, y + 5), "segment")


def test_of_answers_that_are_the_same_object_the_better_one_stays() -> None:
    answers = Answers([at(15, 15), at(60, 60)])
    answers.add(answer(block(10, 10, 10, 10), score=0.8))
    answers.add(answer(block(10, 10, 11, 10), score=0.95))
    answers.add(answer(block(55, 55, 10, 10), score=0.7, seed=1))
    answers.add(answer(block(11, 11, 4, 4), score=0.3))
    assert answers.survivors(answers.scores()) == [1, 2]


def test_another_seed_that_gives_the_same_mask_and_seeds_inside_it_count() -> None:
    answers = Answers([at(15, 15), at(16, 15), at(12, 12)])
    answers.add(answer(block(10, 10, 10, 10), seed=0))
    alone = answers.features()[0].copy()
    answers.add(answer(block(10, 10, 10, 10), seed=1))
    answers.add(answer(block(10, 10, 10, 9), seed=0))
    both = answers.features()[0]
    names = [name for name, a, b in zip(FEATURES, alone, both, strict=True) if a != b]
    assert names == ["agreement", "own_agreement"]
    assert both[FEATURES.index("agreement")] == 1.0
    assert both[FEATURES.index("seeds_inside")] == pytest.approx(np.log1p(2))
    assert len(WEIGHTS) == len(FEATURES)


def test_answers_are_seen_anew_and_further_places_count() -> None:
    answers = Answers([at(15, 15)])
    answers.add(answer(block(10, 10, 30, 10)))
    answers.change(lambda one: replace(one, cosine=0.1), [at(25, 15), at(35, 15)])
    features = dict(zip(FEATURES, answers.features()[0], strict=True))
    assert features["cosine"] == 0.1
    assert features["seeds_inside"] == pytest.approx(np.log1p(2))


def test_places_that_were_asked_are_not_asked_again() -> None:
    """Unless they are of another size."""
    size = size_of([block(10, 10, 10, 10)])
    large = Seed(15, 15, Box(0, 0, 30, 30), "segment")
    assert others_than([at(15, 15), at(60, 60)], [at(16, 15), at(30, 15), large], size) == [at(30, 15), large]


def test_what_known_objects_cover_is_no_answer() -> None:
    answers = Answers([at(15, 15)], [block(10, 10, 10, 10)])
    assert not answers.add(answer(block(12, 12, 6, 6)))
    assert not answers.add(answer(Mask.empty(100, 100)))
    assert answers.add(answer(block(19, 19, 10, 10)))


def test_heat_in_a_mask_and_round_it_at_another_resolution() -> None:
    heat = np.zeros((50, 50), np.float32)
    heat[10:20, 10:20] = 1.0
    inside, around = heat_of(block(20, 20, 20, 20), heat, 20.0)
    assert inside == pytest.approx(1.0, abs=0.05)
    assert around == pytest.approx(0.0, abs=0.05)


def test_features_are_pooled_over_a_mask_in_its_piece() -> None:
    level = np.zeros((2, 8, 8), np.float32)
    level[0, :, 4:] = 1.0
    grid = feature_grid((level, level[:1, ::2, ::2], np.zeros((3, 16, 16), np.float32)), 8)
    assert grid.shape == (2 + 1 + 6, 8, 8)
    right = Mask(np.ones((40, 20), np.bool_), 50, 30, 100, 100)
    vector = pooled(grid, weight_in(right, Region(30, 30, 70, 70), 16))
    assert vector[0] == pytest.approx(1.0)


def test_a_question_without_an_example_is_refused() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(PromptError, match="no example"):
        LikeQuestion((Examples(image, "k", ()),))
    with pytest.raises(PromptError, match="no pixels"):
        LikeQuestion((Examples(image, "k", (Mask.empty(10, 10),)),))


# --- which are the examples, and what answers teach ------------------------------------------------------------------


def row(number: int, category: int = 1) -> Annotation:
    return Annotation(number, 1, category, 0, 0, 1, 1, area=1, rle=b"", image_width=9, image_height=9)


def ids(chosen: tuple[Annotation, ...]) -> list[int]:
    return [one.id for one in chosen]


def test_the_selected_are_the_examples_else_what_came_since_else_the_newest() -> None:
    rows = [row(1), row(2), row(3), row(4, 2)]
    assert ids(choose_examples(rows, selected={1, 4}, before=(), fresh=())) == [1, 4]
    assert ids(choose_examples(rows, selected=(), before={1}, fresh={2, 3})) == [1, 2, 3]
    assert ids(choose_examples(rows, selected=(), before={1}, fresh={4})) == [4]  # of the newest one's class
    assert ids(choose_examples(rows, selected=(), before=(), fresh=())) == [4]
    assert choose_examples([], selected=(), before=(), fresh=()) == ()
    many = [row(number) for number in range(1, 40)]
    assert ids(choose_examples(many, selected=set(range(40)), before=(), fresh=())) == list(range(28, 40))


def test_the_next_image_of_a_folder_is_the_one_that_the_person_comes_to_first() -> None:
    order, left = [1, 2, 3, 4, 5], {1, 2, 3, 4, 5}
    assert next_image(order, 3, left) == 4
    assert next_image(order, 3, {1, 2, 3}) == 2
    assert next_image(order, 3, {3}) is None
    assert next_image(order, 0, left) == 1


def test_what_looks_like_something_dropped_falls_and_like_something_taken_rises() -> None:
    blues = [(40, 90, 10, BLUE), (110, 90, 10, BLUE)]
    image, masks = picture([*REDS[:3], *blues])
    looks = {at: describe(image, mask) for at, mask in enumerate(masks)}
    scores = dict.fromkeys(looks, 0.5)
    after = taught(scores, looks, taken=[0], dropped=[3])
    assert after[0] == after[3] == 0.5  # decided already
    assert min(after[1], after[2]) > 0.55
    assert after[4] < 0.45
    assert taught(scores, looks, (), ()) == scores
    assert taught({**scores, 9: 0.7}, looks, [0], [])[9] == 0.7  # nobody has looked at it
    assert taught({}, {}, [0], [1]) == {}


def test_what_is_dropped_among_others_of_its_kind_takes_only_its_own_likes_with_it() -> None:
    """Many discs, and some halves of discs: dropping a half says nothing against the discs, which look much like it."""
    discs = [(x, y, 9, RED) for y in (20, 50, 80) for x in (20, 50, 80, 110, 140)]
    image, masks = picture(discs)
    halves = [
        Mask.from_full(mask.full() & (np.arange(160) < x)[None])
        for mask, (x, *_) in zip(masks[:4], discs[:4], strict=True)
    ]
    every = [*masks, *halves]
    looks = {at: describe(image, mask) for at, mask in enumerate(every)}
    scores = {at: 0.7 if at < len(masks) else 0.62 for at in looks}
    first_half = len(masks)
    after = taught(scores, looks, taken=(), dropped=[first_half])
    assert all(after[at] == scores[at] for at in range(len(masks)))
    assert all(after[at] < 0.6 for at in range(first_half + 1, len(every)))


def test_the_least_score_lies_where_the_scores_of_an_image_part() -> None:
    """Of good objects and others at 0.42 these go below it, of faint objects those at 0.37 above it."""
    good = np.array([0.9, 0.86, 0.84, 0.8, 0.42, 0.41, 0.3, 0.2])
    assert (at_the_gap(good) >= LEAST_LIKE_SCORE).tolist() == [True] * 4 + [False] * 4
    faint = np.array([0.52, 0.47, 0.44, 0.37, 0.19, 0.18, 0.17, 0.16])
    assert (at_the_gap(faint) >= LEAST_LIKE_SCORE).tolist() == [True] * 4 + [False] * 4
    assert (faint >= LEAST_LIKE_SCORE).sum() == 3
    assert at_the_gap(good[:3]).tolist() == good[:3].tolist()
    assert at_the_gap(np.zeros(0)).tolist() == []


@pytest.mark.parametrize("examples", [1, 3])
def test_one_example_tells_no_gap(examples: int) -> None:
    """Seven discs apart from each other, four of them rated well, three a little above the least score."""
    answers = Answers([Seed(0, 0, Box(0, 0, 9, 9), "blob")], examples=examples)
    for at, cosine in enumerate([1.0, 0.95, 0.9, 0.85, 0.14, 0.12, 0.1]):
        mask = Mask(np.ones((8, 8), np.bool_), 20 * at, 5, 160, 20)
        answers.add(Answer(mask, 0.9, 0.9, 0.5, 0.1, cosine, 0.0, 0))
    raw = answers.scores()
    assert (raw[4:] > LEAST_LIKE_SCORE).all()
    assert (raw[4:] < LEAST_LIKE_SCORE + 0.05).all()
    stay, shown = answers.rated()
    assert stay == list(range(7))
    assert sum(score >= LEAST_LIKE_SCORE for score in shown) == (7 if examples == 1 else 4)


@given(st.lists(st.floats(-1, 2), max_size=30))
def test_scores_keep_their_order_and_those_far_from_the_least_one_their_value(values: list[float]) -> None:
    scores = np.array(values, np.float64)
    moved = at_the_gap(scores)
    assert (np.diff(moved[np.argsort(scores)]) >= 0).all()
    is_far = (scores <= MOVED[0]) | (scores >= MOVED[1])
    assert np.allclose(moved[is_far], scores[is_far])
    assert (np.abs(moved - scores) <= 0.05 + 1e-9).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (40, 30)])
def test_any_mask_is_described_by_numbers(size: tuple[int, int]) -> None:
    width, height = size
    image = np.full((height, width, 3), 7, np.uint8)
    numbers = describe(image, Mask(np.ones((height, width), np.bool_), 0, 0, width, height))
    assert numbers.shape == (LENGTH,)
    assert np.isfinite(numbers).all()
    assert np.isfinite(spread(np.stack([numbers, numbers]))).all()


def test_alike_objects_are_nearer_to_each_other_than_others() -> None:
    image, masks = SCENE
    units = spread(np.stack([describe(image, mask) for mask in masks]))
    alike = units @ units.T
    assert alike[0, 1:4].min() > alike[0, 4] + 0.2
    assert np.allclose(np.linalg.norm(units, axis=1), 1)
