"""The Python interface: three lines from an image to a mask."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.asking import ask_at_once, ask_stepwise, check_prompts
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidates, Embedding, RgbArray
from annotator.domain.ports.engine import Segmenter as Engine
from annotator.domain.prompt import PointPrompt
from annotator.engine.load import load_segmenter
from annotator.io.images.reader import DEFAULT_MAX_PIXELS, check_size
from annotator.io.images.reading import load_image


class Segmenter:
    """A model with one image on it.

    Args:
        model: registry name or weights file; None for the best verified model present.
        device: "cpu", "cuda", "mps" or None for the best; config: sam2 configuration for an unknown ``.pt`` file.

    Raises:
        ModelError: unknown name, missing or damaged file, no such device.
    """

    def __init__(self, model: str | None = None, *, device: str | None = None, config: str | None = None) -> None:
        self._engine = load_segmenter(model, device=device, config=config)

    def encode(self, image: str | Path | npt.NDArray[np.uint8]) -> EncodedImage:
        """Encode a file, or an array: H x W x 3 RGB or H x W grey, uint8, 0..255.

        Raises:
            ImageError: the file cannot be read, or the array is of another shape or dtype: it is not guessed what its
                values mean.
        """
        if isinstance(image, str | Path):
            loaded = load_image(Path(image))
            return EncodedImage(self._engine, self._engine.encode(loaded.rgb, loaded.image_key))
        pixels = _rgb_of(image)
        key = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
        return EncodedImage(self._engine, self._engine.encode(pixels, key))


class EncodedImage:
    """An image that can be prompted as often as wanted."""

    def __init__(self, engine: Engine, embedding: Embedding) -> None:
        self._engine, self._embedding = engine, embedding

    def predict(
        self,
        *,
        points: Sequence[Sequence[float]] | npt.NDArray[Any] = (),
        box_xyxy: Sequence[float] | npt.NDArray[Any] | None = None,
        stepwise: bool = True,
    ) -> Candidates:
        """Masks for points and a box, in image pixels: x to the right, y down, pixel centres at .5.

        ``.chosen.mask.full()`` of the answer is an H x W boolean array.

        Args:
            points: all (x, y) or all (x, y, 1 positive | 0 negative), or an N x 2 or N x 3 array.
            box_xyxy: left, top, right, bottom: four numbers, or an array of shape (4,) or (1, 4).
            stepwise: as in the window and in ``annotator predict``: the box first, then one click after the other,
                each answer fed to the next question. False asks all in one question, exactly as SAM 2's own predictor
                answers it, with three candidates for one positive click alone and else one mask; so does
                ``annotator predict --at-once``.

        Raises:
            PromptError: no prompt, a wrong shape, a label other than 0 or 1, a place outside the image, a box that is
                reversed or empty.
        """
        clicks, box = _clicks_of(points), _box_of(box_xyxy)
        check_prompts(clicks, box, width=self._embedding.width, height=self._embedding.height)
        ask = ask_stepwise if stepwise else ask_at_once
        return ask(self._engine, self._embedding, clicks, box)


def _rgb_of(image: object) -> RgbArray:
    if not isinstance(image, np.ndarray):
        raise ImageError(f"An image is a file's path or an array, not a {type(image).__name__}.", "Use np.asarray.")
    if image.dtype != np.uint8:
        raise ImageError(
            f"The array is of dtype {image.dtype}; an image is uint8, 0 to 255.",
            "Scale it yourself, such as (image * 255).round().astype(np.uint8) for values from 0 to 1.",
        )
    shape = image.shape
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        image = np.repeat(image.reshape(*shape[:2], 1), 3, axis=2)
    elif len(shape) != 3 or shape[2] != 3:
        raise ImageError(
            f"The array has the shape {shape}; an image is height x width x 3 (RGB) or height x width (grey).",
            "Leave out the alpha with image[..., :3]; move the channels last with image.transpose(1, 2, 0).",
        )
    check_size("The array", shape[1], shape[0], DEFAULT_MAX_PIXELS)
    return np.ascontiguousarray(image)


def _clicks_of(points: object) -> list[PointPrompt]:
    rows = _numbers(points, "points")
    if rows.size == 0:
        return []
    if rows.ndim != 2 or rows.shape[1] not in (2, 3):
        raise PromptError(f"points have the shape {rows.shape}.", "Give rows of x, y or x, y, 1|0: points=[(120, 80)].")
    if rows.shape[1] == 3 and not np.isin(rows[:, 2], (0, 1)).all():
        raise PromptError(
            "The label of a point is neither 0 nor 1.", "1 is on the object, 0 on what is not part of it."
        )
    signs = rows[:, 2] == 1 if rows.shape[1] == 3 else np.ones(len(rows), bool)
    return [PointPrompt(x, y, bool(sign)) for (x, y), sign in zip(rows[:, :2].tolist(), signs, strict=True)]


def _box_of(box: object) -> Box | None:
    if box is None:
        return None
    values = _numbers(box, "box_xyxy")
    if values.shape not in ((4,), (1, 4)):
        raise PromptError(f"box_xyxy has the shape {values.shape}.", "Give one box: left, top, right, bottom.")
    return Box(*values.ravel().tolist())


def _numbers(values: object, name: str) -> npt.NDArray[np.float64]:
    """Plain numbers; texts and complex numbers are refused, and so are rows of different lengths."""
    try:
        found = np.asarray(values)
    except ValueError:
        found = np.empty(0, object)
    if found.size and found.dtype.kind not in "buif":
        raise PromptError(f"{brief(name)} holds something that is not a number, or rows of different lengths.")
    if found.dtype.kind == "O":
        raise PromptError(f"{brief(name)} holds rows of different lengths.", "Give every row as x, y or x, y, 1|0.")
    return found.astype(np.float64)
