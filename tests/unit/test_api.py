"""The Python interface: the README's lines with the embedded model, and everything that a script can get wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import annotator
from annotator.api import EncodedImage, Segmenter
from annotator.domain.errors import ImageError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidate, Candidates, Embedding
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.grabcut import GrabCutSegmenter


class RecordingSegmenter(GrabCutSegmenter):
    """GrabCut that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Prompts, bool]] = []
        self.keys: list[str] = []
        self.pixels: list[np.ndarray] = []

    def encode(self, image: np.ndarray, image_key: str, **options: Any) -> Any:
        self.keys.append(image_key)
        self.pixels.append(image)
        return super().encode(image, image_key, **options)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        self.asked.append((prompts, continue_from is not None))
        return super().decode(embedding, prompts, continue_from=continue_from)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> RecordingSegmenter:
    engine = RecordingSegmenter()
    monkeypatch.setattr("annotator.api.load_segmenter", lambda *_args, **_options: engine)
    return engine


@pytest.fixture
def image(engine: RecordingSegmenter) -> EncodedImage:
    """40 rows, 60 columns."""
    pixels = np.full((40, 60, 3), 30, np.uint8)
    pixels[10:30, 20:40] = 220
    return Segmenter().encode(pixels)


def test_three_lines_give_a_mask(tmp_path: Path) -> None:
    pixels = np.full((120, 160, 3), 120, np.uint8)
    pixels[40:80, 50:110] = (230, 60, 40)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = annotator.Segmenter("nano", device="cpu").encode(tmp_path / "a.png")
    truth = np.zeros((120, 160), bool)
    truth[40:80, 50:110] = True
    for stepwise in (True, False):
        found = image.predict(points=[(80, 60, 1)], box_xyxy=(50, 40, 110, 80), stepwise=stepwise)
        full = found.chosen.mask.full()
        assert (full & truth).sum() / (full | truth).sum() > 0.5


def test_step_by_step_as_the_command_or_all_at_once(image: EncodedImage, engine: RecordingSegmenter) -> None:
    box, one, two = Box(15, 5, 45, 35), PointPrompt(30, 20), PointPrompt(50, 35, is_positive=False)
    points, corners = [(30, 20), (50, 35, 0)], (15, 5, 45, 35)
    with pytest.raises(PromptError, match="different lengths"):
        image.predict(points=points)
    points = [(30, 20, 1), (50, 35, 0)]
    image.predict(points=points, box_xyxy=corners)
    assert engine.asked == [(Prompts(box=box), False), (Prompts((one,), box), True), (Prompts((one, two), box), True)]
    engine.asked.clear()
    image.predict(points=points, box_xyxy=corners, stepwise=False)
    assert engine.asked == [(Prompts((one, two), box), False)]


@pytest.mark.parametrize(
    "points",
    [
        [(30, 20, 1), (50, 35, 0)],
        [[30.0, 20.0, True], [50.0, 35.0, False]],
        np.array([(30, 20, 1), (50, 35, 0)]),
        np.array([(30, 20, 1), (50, 35, 0)], np.float32),
    ],
)
@pytest.mark.parametrize(
    "box", [(15, 5, 45, 35), [15, 5, 45, 35], np.array([15, 5, 45, 35]), np.array([[15.0, 5, 45, 35]], np.float32)]
)
def test_lists_and_arrays_are_the_same(points: Any, box: Any, image: EncodedImage, engine: RecordingSegmenter) -> None:
    image.predict(points=points, box_xyxy=box, stepwise=False)
    clicks = (PointPrompt(30, 20), PointPrompt(50, 35, is_positive=False))
    assert engine.asked == [(Prompts(clicks, Box(15, 5, 45, 35)), False)]


def test_points_without_labels_are_positive(image: EncodedImage, engine: RecordingSegmenter) -> None:
    image.predict(points=np.array([(30, 20), (25, 15)]), stepwise=False)
    assert engine.asked == [(Prompts((PointPrompt(30, 20), PointPrompt(25, 15))), False)]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "no prompt"),
        ({"points": np.empty((0, 3))}, "no prompt"),
        ({"points": (30, 20, 1)}, "shape"),
        ({"points": np.zeros((1, 1, 3))}, "shape"),
        ({"points": [(30, 20, 1, 0)]}, "shape"),
        ({"points": [(30, 20, 2)]}, "neither 0 nor 1"),
        ({"points": [(30, 20, -1)]}, "neither 0 nor 1"),
        ({"points": [(30, 20, 0.5)]}, "neither 0 nor 1"),
        ({"points": [(30, 20, float("nan"))]}, "neither 0 nor 1"),
        ({"points": [("30", "20", "1")]}, "not a number"),
        ({"points": [(30, 20), (1, 2, 1)]}, "different lengths"),
        ({"points": [(float("nan"), 20, 1)]}, "is not a place"),
        ({"points": [(float("inf"), 20, 1)]}, "is not a place"),
        ({"points": [(61, 20, 1)]}, "outside the image of 60 x 40"),
        ({"points": [(30, -1, 1)]}, "outside the image of 60 x 40"),
        ({"box_xyxy": (45, 35, 15, 5)}, "empty box"),
        ({"box_xyxy": (15, 5, 15, 35)}, "empty box"),
        ({"box_xyxy": (15, 5, 75, 35)}, "outside the image of 60 x 40"),
        ({"box_xyxy": (15, 5, float("nan"), 35)}, "is not a place"),
        ({"box_xyxy": ()}, "shape"),
        ({"box_xyxy": (15, 5, 45)}, "shape"),
        ({"box_xyxy": np.zeros((2, 4))}, "shape"),
        ({"box_xyxy": "15,5,45,35"}, "not a number"),
        ({"points": [(30, 20, 1)], "box_xyxy": np.zeros(4)}, "empty box"),
    ],
)
@pytest.mark.parametrize("stepwise", [True, False])
def test_mistakes_in_prompts_are_told(
    prompts: dict[str, Any], message: str, stepwise: bool, image: EncodedImage, engine: RecordingSegmenter
) -> None:
    with pytest.raises(PromptError, match=message):
        image.predict(**prompts, stepwise=stepwise)
    assert engine.asked == []


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 6, 3)), "dtype float64"),
        (np.zeros((4, 6, 3), np.uint16), "dtype uint16"),
        (np.zeros((4, 6, 3), bool), "dtype bool"),
        (np.zeros((4, 6, 4), np.uint8), "shape"),
        (np.zeros((3, 4, 6), np.uint8), "shape"),
        (np.zeros((1, 4, 6, 3), np.uint8), "shape"),
        (np.zeros(6, np.uint8), "shape"),
        (np.zeros((0, 6, 3), np.uint8), "no pixels"),
        (np.zeros((0, 6), np.uint8), "no pixels"),
        ([[1, 2], [3, 4]], "not a list"),
        (None, "not a NoneType"),
    ],
)
def test_arrays_that_are_no_image_are_told(array: Any, message: str, engine: RecordingSegmenter) -> None:
    with pytest.raises(ImageError, match=message):
        Segmenter().encode(array)
    assert engine.keys == []


def test_grey_arrays_are_images_and_shapes_have_keys_of_their_own(engine: RecordingSegmenter) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    model = Segmenter()
    for array in (grey, grey[..., None], grey.reshape(6, 4), np.asfortranarray(np.dstack([grey] * 3))):
        model.encode(array)
    assert [pixels.shape for pixels in engine.pixels] == [(4, 6, 3), (4, 6, 3), (6, 4, 3), (4, 6, 3)]
    np.testing.assert_array_equal(engine.pixels[0], np.dstack([grey] * 3))
    assert engine.keys[0] == engine.keys[1] == engine.keys[3] != engine.keys[2]
