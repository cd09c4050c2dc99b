"""Objects carried by motion, on generated scenes with exact masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from annotator.domain.answering.zoom import Region
from annotator.domain.errors import EncodeCancelled
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Segmenter
from annotator.domain.ports.tracking import Propagator, TrackFrame, TrackSeed, TrackState
from annotator.engine.load import load_segmenter
from annotator.engine.tracking.flow import FrameFlow, carried
from annotator.engine.tracking.propagators import propagator_of
from annotator.engine.tracking.shapes import by_colour, deepest_point, without_crumbs

WIDTH, HEIGHT = 240, 180


def texture(seed: int, low: int, high: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(low, high, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def scene(position: int, *, step: int = 5, is_there: bool = True) -> tuple[TrackFrame, Mask]:
    """A turning ellipse and a growing square on textured ground, and the ellipse's mask."""
    image = texture(0, 60, 200)
    inside = np.zeros((HEIGHT, WIDTH), np.uint8)
    if is_there:
        cv2.ellipse(inside, (70 + step * position, 80), (34, 22), 6 * position, 0, 360, 1, -1)
        image[inside > 0] = np.roll(texture(1, 100, 255), step * position, 1)[inside > 0] // np.array([1, 3, 3])
    return TrackFrame(position, np.ascontiguousarray(image), f"frame {position}"), Mask.from_full(inside)


def no() -> bool:
    return False


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load_segmenter("nano", device="cpu")


def tracker(segmenter: Segmenter) -> Propagator:
    return propagator_of(
        segmenter, frames=20, direction=1, embedding_of=lambda f, stop: segmenter.encode(f.image, f.image_key)
    )


def test_an_object_is_followed(nano: Segmenter) -> None:
    carrier = tracker(nano)
    frame, mask = scene(0)
    carrier.seed(frame, [TrackSeed(7, mask)], is_cancelled=no)
    for position in range(1, 7):
        frame, truth = scene(position)
        (answer,) = carrier.step(frame, [7], is_cancelled=no)
        assert (answer.track_id, answer.position, answer.state) == (7, position, TrackState.FOUND)
        assert answer.mask.iou(truth) > 0.9
        assert answer.confidence > 0.7
        assert answer.rle == answer.mask.rle()


def test_an_object_that_is_gone_looks_lost(nano: Segmenter) -> None:
    carrier = tracker(nano)
    frame, mask = scene(0)
    carrier.seed(frame, [TrackSeed(1, mask)], is_cancelled=no)
    states = [carrier.step(scene(position, is_there=False)[0], [1], is_cancelled=no)[0].state for position in (1, 2)]
    assert states == [TrackState.LOST, TrackState.LOST]


def test_any_other_model_carries_too() -> None:
    carrier = tracker(load_segmenter("grabcut"))
    frame, mask = scene(0)
    carrier.seed(frame, [TrackSeed(1, mask)], is_cancelled=no)
    for position in (1, 2):
        frame, truth = scene(position)
        (answer,) = carrier.step(frame, [1], is_cancelled=no)
        assert answer.mask.iou(truth) > 0.85


def test_a_cancelled_step_can_be_asked_again(nano: Segmenter) -> None:
    one, other = tracker(nano), tracker(nano)
    for carrier in (one, other):
        frame, mask = scene(0)
        carrier.seed(frame, [TrackSeed(1, mask)], is_cancelled=no)
    frame, _ = scene(1)
    with pytest.raises(EncodeCancelled):
        one.step(frame, [1], is_cancelled=lambda: True)
    (again,), (straight,) = (carrier.step(frame, [1], is_cancelled=no) for carrier in (one, other))
    assert again.mask.same_pixels(straight.mask)
    assert again.confidence == straight.confidence


def test_a_frame_of_another_size_ends_the_track(nano: Segmenter) -> None:
    carrier = tracker(nano)
    frame, mask = scene(0)
    carrier.seed(frame, [TrackSeed(1, mask)], is_cancelled=no)
    other = TrackFrame(1, np.zeros((90, 90, 3), np.uint8), "other")
    (answer,) = carrier.step(other, [1], is_cancelled=no)
    assert answer.mask.is_empty
    assert answer.state is TrackState.LOST


@pytest.mark.parametrize("shift", [(7, 0), (-4, 5)])
@pytest.mark.parametrize("region", [Region(0, 0, WIDTH, HEIGHT), Region(60, 40, 160, 140)])
def test_flow_finds_what_has_moved(shift: tuple[int, int], region: Region) -> None:
    before = texture(3, 0, 255)
    now = np.roll(before, (shift[1], shift[0]), (0, 1))
    flow = FrameFlow(before, now).backward(region)
    middle = flow[20:-20, 20:-20]
    assert flow.shape == (region.height, region.width, 2)
    assert np.allclose(np.median(middle, (0, 1)), (-shift[0], -shift[1]), atol=0.5)
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[70:110, 90:130] = True
    moved = carried(mask, flow, offset_xy=(-region.x0, -region.y0))
    expected = np.roll(mask, (shift[1], shift[0]), (0, 1))[region.y0 : region.y1, region.x0 : region.x1]
    assert (moved & expected).sum() / (moved | expected).sum() > 0.9


def test_flow_of_a_large_frame_is_of_the_piece_that_is_asked_for() -> None:
    small = texture(3, 0, 255)
    before = np.zeros((900, 1300, 3), np.uint8)
    before[500 : 500 + HEIGHT, 700 : 700 + WIDTH] = small
    now = np.roll(before, (0, 6), (0, 1))
    flow = FrameFlow(before, now).backward(Region(720, 520, 900, 660))
    assert np.allclose(np.median(flow, (0, 1)), (-6, 0), atol=0.3)


def test_colours_mend_an_outline_but_do_not_run_away() -> None:
    frame, truth = scene(0)
    shifted = np.roll(truth.full(), 2, 1)
    mended = by_colour(frame.image, shifted)
    assert Mask.from_full(mended).iou(truth) > Mask.from_full(shifted).iou(truth)
    plain = np.full((40, 40, 3), 90, np.uint8)
    square = np.zeros((40, 40), np.bool_)
    square[10:30, 10:30] = True
    assert by_colour(plain, square).any()


def test_crumbs_go_and_large_parts_stay() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[2:22, 2:22] = mask[25:38, 25:38] = mask[1:3, 35:37] = True
    kept = without_crumbs(mask)
    assert kept[30, 30]
    assert not kept[1, 35]


def test_the_deepest_point_is_inside() -> None:
    mask = np.zeros((30, 30), np.bool_)
    mask[5:25, 10:20] = True
    point = deepest_point(mask)
    assert point is not None
    assert mask[int(point.y), int(point.x)]
    thin = np.zeros((30, 30), np.bool_)
    thin[5, :] = True
    assert deepest_point(thin) is None
