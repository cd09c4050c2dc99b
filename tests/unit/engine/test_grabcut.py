"""GrabCut behind the Segmenter protocol: it finds objects, obeys clicks, repeats itself and never raises."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.errors import EncodeCancelled, ImageError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.metrics import iou
from annotator.domain.ports.engine import Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.grabcut import LOGITS_SIDE, GrabCutSegmenter, GrabCutSettings

BoolArray = npt.NDArray[np.bool_]
RgbArray = npt.NDArray[np.uint8]


def noisy_scene(
    discs: list[tuple[int, int, int]], *, width: int = 200, height: int = 160
) -> tuple[RgbArray, BoolArray]:
    """Orange discs (x, y, radius) on a blue ground, both noisy; the image and the discs' pixels."""
    rows, columns = np.mgrid[:height, :width]
    inside = np.zeros((height, width), np.bool_)
    for x, y, radius in discs:
        inside |= (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    colours = np.where(inside[..., None], (210.0, 130.0, 50.0), (40.0, 70.0, 140.0))
    noise = np.random.default_rng(0).normal(0, 18, colours.shape)
    return np.clip(colours + noise, 0, 255).astype(np.uint8), inside


def disc_of(x: int, y: int, radius: int) -> BoolArray:
    return noisy_scene([(x, y, radius)])[1]


def test_is_a_segmenter() -> None:
    segmenter: Segmenter = GrabCutSegmenter()
    assert segmenter.info.name == "grabcut"
    assert len(segmenter.info.sha256) == 64
    assert segmenter.embedding_key("abc") != GrabCutSegmenter().embedding_key("abd")
    assert segmenter.info.sha256 != GrabCutSegmenter(GrabCutSettings(iterations=1)).info.sha256


def test_box_and_click_find_the_disc_to_the_outline() -> None:
    image, truth = noisy_scene([(90, 70, 18)])
    segmenter = GrabCutSegmenter()
    embedding = segmenter.encode(image, "scene")
    assert (embedding.width, embedding.height, embedding.nbytes) == (200, 160, image.nbytes)
    for prompts in (Prompts(box=Box(72, 52, 108, 88)), Prompts((PointPrompt(90.5, 70.5),))):
        answer = segmenter.decode(embedding, prompts)
        assert len(answer.items) == 1
        assert iou(answer.chosen.mask.full(), truth) > 0.97
        assert answer.chosen.logits.shape == (LOGITS_SIDE, LOGITS_SIDE)
        assert answer.chosen.logits.dtype == np.float32
        assert answer.decode_ms > 0


def test_clicks_grow_to_an_object_larger_than_the_first_guess() -> None:
    image, truth = noisy_scene([(90, 70, 40)])
    segmenter = GrabCutSegmenter()
    embedding = segmenter.encode(image, "scene")
    prompts, previous, ious = Prompts(), None, []
    for x, y in ((90.5, 70.5), (115.5, 70.5), (65.5, 70.5), (90.5, 100.5), (90.5, 40.5)):
        prompts = prompts.with_point(PointPrompt(x, y))
        answer = segmenter.decode(embedding, prompts, continue_from=previous).chosen
        previous = answer
        ious.append(iou(answer.mask.full(), truth))
    assert ious[-1] > 0.95 > ious[0]


def test_a_cut_that_loses_the_object_is_answered_with_the_region_pointed_at() -> None:
    image, speck = noisy_scene([(90, 70, 4)])
    prompts = Prompts(box=Box(60, 40, 120, 100))

    def area(settings: GrabCutSettings) -> int:
        segmenter = GrabCutSegmenter(settings)
        return segmenter.decode(segmenter.encode(image, "ground"), prompts).chosen.mask.area

    assert area(GrabCutSettings(least_kept=0.0)) == pytest.approx(np.count_nonzero(speck), abs=10)
    assert area(GrabCutSettings()) == 60 * 60


def test_nothing_outside_the_box_is_taken() -> None:
    image, _ = noisy_scene([(50, 80, 25), (130, 80, 25)])
    segmenter = GrabCutSegmenter()
    mask = segmenter.decode(segmenter.encode(image, "two"), Prompts(box=Box(25, 55, 75, 105))).chosen.mask
    assert iou(mask.full(), disc_of(50, 80, 25)) > 0.95
    x, y, w, h = mask.bbox_xywh
    assert (x >= 25, y >= 55, x + w <= 75, y + h <= 105) == (True,) * 4


def test_later_clicks_add_and_take_away() -> None:
    image, both = noisy_scene([(60, 80, 22), (130, 80, 22)])
    segmenter = GrabCutSegmenter()
    embedding = segmenter.encode(image, "two")
    first = Prompts((PointPrompt(60.5, 80.5),))
    one = segmenter.decode(embedding, first).chosen
    assert iou(one.mask.full(), disc_of(60, 80, 22)) > 0.95
    second = first.with_point(PointPrompt(130.5, 80.5))
    two = segmenter.decode(embedding, second, continue_from=one).chosen
    assert iou(two.mask.full(), both) > 0.9
    third = second.with_point(PointPrompt(130.5, 80.5, is_positive=False))
    assert not segmenter.decode(embedding, third, continue_from=two).chosen.mask.contains(130, 80)


def test_an_existing_mask_is_refined() -> None:
    image, truth = noisy_scene([(90, 70, 30)])
    rough = np.zeros_like(truth)
    rough[45:95, 65:115] = True
    segmenter = GrabCutSegmenter()
    prompts = Prompts((PointPrompt(90, 70),), base_mask=Mask.from_full(rough))
    mask = segmenter.decode(segmenter.encode(image, "scene"), prompts).chosen.mask
    assert iou(mask.full(), truth) > 0.95 > iou(rough, truth)


def test_same_prompts_same_mask_and_same_logits() -> None:
    image, _ = noisy_scene([(90, 70, 30), (150, 60, 12)])
    prompts = Prompts((PointPrompt(85, 66), PointPrompt(150, 60, is_positive=False)))
    answers = []
    for _ in range(2):
        segmenter = GrabCutSegmenter()
        embedding = segmenter.encode(image, "scene")
        segmenter.decode(embedding, Prompts(box=Box(0, 0, 30, 30)))
        answers.append(segmenter.decode(embedding, prompts).chosen)
    assert answers[0].mask.same_pixels(answers[1].mask)
    np.testing.assert_array_equal(answers[0].logits, answers[1].logits)


def test_large_windows_are_worked_on_smaller_and_answered_at_full_size() -> None:
    image, truth = noisy_scene([(700, 500, 300)], width=1400, height=1000)
    segmenter = GrabCutSegmenter(GrabCutSettings(window_side_px=256))
    mask = segmenter.decode(segmenter.encode(image, "large"), Prompts(box=Box(400, 200, 1000, 800))).chosen.mask
    assert (mask.width, mask.height) == (1400, 1000)
    assert iou(mask.full(), truth) > 0.97


def test_an_image_of_one_colour_gives_the_prior_region() -> None:
    segmenter = GrabCutSegmenter()
    embedding = segmenter.encode(np.full((60, 80, 3), 127, np.uint8), "grey")
    mask = segmenter.decode(embedding, Prompts(box=Box(10, 10, 50, 40))).chosen.mask
    assert not mask.is_empty
    whole = segmenter.decode(embedding, Prompts(box=Box(0, 0, 80, 60))).chosen.mask
    assert whole.area == 80 * 60


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_never_raises_on_degenerate_input(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    kind = data.draw(st.sampled_from(["flat", "noise", "two"]))
    image = np.zeros((height, width, 3), np.uint8)
    if kind == "noise":
        image = np.random.default_rng(1).integers(0, 256, image.shape, dtype=np.uint8)
    elif kind == "two":
        image[:, width // 2 :] = 255
    place = st.tuples(st.floats(-5, width + 5), st.floats(-5, height + 5))
    points = tuple(
        PointPrompt(x, y, is_positive)
        for (x, y), is_positive in data.draw(st.lists(st.tuples(place, st.booleans()), max_size=4))
    )
    corners = data.draw(st.none() | st.tuples(place, place))
    box = Box.from_corners(*corners[0], *corners[1]) if corners else None
    if not points and box is None:
        points = (PointPrompt(0, 0),)
    segmenter = GrabCutSegmenter()
    embedding = segmenter.encode(image, "odd")
    first = segmenter.decode(embedding, Prompts(points, box)).chosen
    again = Prompts((*points, PointPrompt(width / 2, height / 2)), box)
    second = segmenter.decode(embedding, again, continue_from=first).chosen
    for candidate in (first, second):
        assert (candidate.mask.width, candidate.mask.height) == (width, height)
        assert np.isfinite(candidate.logits).all()


def test_bad_input_has_one_clear_message() -> None:
    segmenter = GrabCutSegmenter()
    with pytest.raises(ImageError, match="height x width x 3 bytes"):
        segmenter.encode(np.zeros((4, 4), np.uint8), "grey")
    with pytest.raises(ImageError, match="height x width x 3 bytes"):
        segmenter.encode(np.zeros((0, 4, 3), np.uint8), "none")
    with pytest.raises(EncodeCancelled):
        segmenter.encode(np.zeros((4, 4, 3), np.uint8), "late", is_cancelled=lambda: True)
    embedding = segmenter.encode(np.zeros((4, 4, 3), np.uint8), "small")
    with pytest.raises(PromptError, match="no prompt"):
        segmenter.decode(embedding, Prompts())
    with pytest.raises(PromptError, match="finite"):
        segmenter.decode(embedding, Prompts((PointPrompt(float("nan"), 1),)))
    with pytest.raises(PromptError, match="finite"):
        segmenter.decode(embedding, Prompts(box=Box(0, 0, float("inf"), 1)))


def test_the_callers_image_may_change_afterwards() -> None:
    image, truth = noisy_scene([(90, 70, 30)])
    segmenter = GrabCutSegmenter()
    embedding = segmenter.encode(image, "scene")
    image[:] = 0
    assert iou(segmenter.decode(embedding, Prompts(box=Box(60, 40, 120, 100))).chosen.mask.full(), truth) > 0.97
