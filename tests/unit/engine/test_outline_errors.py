"""What opinions get wrong on a key frame is carried along and taken off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from torch import Tensor

from annotator.domain.answering.zoom import Region
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, LogitsArray, RgbArray
from annotator.domain.ports.tracking import TrackSeed
from annotator.domain.prompt import Prompts
from annotator.engine.tracking import flow_tracker
from annotator.engine.tracking.feature_memory import plain_descriptors
from annotator.engine.tracking.flow_tracker import FlowTracker
from annotator.engine.tracking.outline_errors import OutlineErrors
from annotator.engine.tracking.shapes import overlap
from tests.unit.engine.test_flow_tracker import scene

BoolArray = npt.NDArray[np.bool_]
WIDTH, HEIGHT = 120, 100
WHOLE = Region(0, 0, WIDTH, HEIGHT)


def disc(x: int, y: int, radius: int = 24) -> BoolArray:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def without_right(mask: BoolArray) -> BoolArray:
    """What someone says who never sees the right fifth of an object."""
    out = mask.copy()
    columns = np.flatnonzero(mask.any(axis=0))
    if len(columns):
        out[:, columns[0] + round(0.8 * len(columns)) :] = False
    return out


def shifted(x: int, y: int, region: Region = WHOLE) -> npt.NDArray[np.float32]:
    return np.full((region.height, region.width, 2), (-x, -y), np.float32)


def test_an_error_is_carried_to_where_the_object_went_and_taken_off() -> None:
    truth, later = disc(40, 45), disc(52, 51)
    errors = OutlineErrors.measured(WHOLE, truth, (without_right(truth), truth)).carried(WHOLE, shifted(12, 6))
    assert overlap(without_right(later), later) < 0.9
    mended, same = errors.taken_off(WHOLE, (without_right(later), later))
    assert overlap(mended, later) > 0.97
    assert (same == later).all()


def test_in_another_window_the_error_is_the_same() -> None:
    truth, later = disc(40, 45), disc(52, 51)
    errors = OutlineErrors.measured(Region(10, 15, 75, 80), truth[15:80, 10:75], (without_right(truth)[15:80, 10:75],))
    window = Region(20, 20, 90, 90)
    errors = errors.carried(window, shifted(12, 6, window))
    (mended,) = errors.taken_off(Region(24, 22, 80, 84), (without_right(later)[22:84, 24:80],))
    assert overlap(mended, later[22:84, 24:80]) > 0.97


def test_of_an_opinion_that_does_not_see_the_object_nothing_is_taken_off() -> None:
    truth, elsewhere = disc(40, 45), disc(90, 60, 12)
    (same,) = OutlineErrors.measured(WHOLE, truth, (elsewhere,)).taken_off(WHOLE, (elsewhere,))
    assert (same == elsewhere).all()


def test_an_opinion_that_says_nothing_stays_empty() -> None:
    truth, nothing = disc(40, 45), np.zeros((HEIGHT, WIDTH), np.bool_)
    (same,) = OutlineErrors.measured(WHOLE, truth, (without_right(truth),)).taken_off(WHOLE, (nothing,))
    assert not same.any()


def test_outlines_move_by_a_limited_way() -> None:
    truth, huge = disc(60, 50, 20), disc(60, 50, 34)
    (kept,) = OutlineErrors.measured(WHOLE, truth, (huge,)).taken_off(WHOLE, (huge,))
    reach = np.flatnonzero(kept.any(axis=0))
    assert 22 < reach[-1] - 60 < 26, "34 less 0.3 of the square root of the area"


class _HalfBlind:
    """Sees what is red, and never the right of it."""

    margin, dense_side = 1.45, 64

    def __init__(self) -> None:
        self._pixels: dict[str, RgbArray] = {}

    def encode(self, pixels: RgbArray, key: str, *, is_cancelled: Callable[[], bool]) -> Embedding:
        self._pixels[key] = pixels
        return _Key(key, pixels.shape[1], pixels.shape[0])

    def ask(self, embedding: Embedding, prompts: Prompts, dense: LogitsArray) -> Candidates:
        assert isinstance(embedding, _Key)
        pixels = self._pixels[embedding.key].astype(int)
        red = Mask.from_full(without_right(pixels[..., 0] > 2 * pixels[..., 1]))
        return Candidates((Candidate(dense, 0.9, 0.9, red),), 0, 5.0, 1.0)

    def describe(self, embedding: Embedding, pixels: RgbArray) -> Tensor:
        return plain_descriptors(pixels)


@dataclass(frozen=True)
class _Key:
    key: str
    width: int
    height: int
    nbytes: int = 0
    encode_ms: float = 0.0


@pytest.mark.parametrize("are_known", [True, False])
def test_opinions_that_are_wrong_alike_do_not_win(monkeypatch: pytest.MonkeyPatch, are_known: bool) -> None:
    monkeypatch.setattr(flow_tracker, "by_colour", lambda image, mask: without_right(mask))
    if not are_known:
        monkeypatch.setattr(OutlineErrors, "measured", lambda *_: OutlineErrors.none())
    carrier = FlowTracker(_HalfBlind())
    frame, mask = scene(0)
    carrier.seed(frame, [TrackSeed(1, mask)], is_cancelled=lambda: False)
    for position in range(1, 5):
        frame, truth = scene(position)
        (answer,) = carrier.step(frame, [1], is_cancelled=lambda: False)
    assert (answer.mask.iou(truth) > 0.9) == are_known
