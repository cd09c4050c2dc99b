"""The Python interface: three lines from an image to a mask."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidates, RgbArray
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.load import load_segmenter
from annotator.io.images.reading import load_image


class Segmenter:
    """A model with one image on it.

    Args:
        model: registry name or weights file; None for the best verified model present.
        device: "cpu", "cuda", "mps" or None for the best; config: sam2 configuration for an unknown ``.pt`` file.
    """

    def __init__(self, model: str | None = None, *, device: str | None = None, config: str | None = None) -> None:
        self._engine = load_segmenter(model, device=device, config=config)

    def encode(self, image: str | Path | RgbArray) -> EncodedImage:
        """Encode a file, or an H x W x 3 uint8 RGB array."""
        if isinstance(image, np.ndarray):
            pixels: RgbArray = np.ascontiguousarray(image, np.uint8)
            key = hashlib.sha256(pixels.tobytes()).hexdigest()
        else:
            loaded = load_image(Path(image))
            pixels, key = loaded.rgb, loaded.image_key
        return EncodedImage(self, self._engine.encode(pixels, key))

    def _decode(self, embedding: object, prompts: Prompts) -> Candidates:
        return self._engine.decode(embedding, prompts)  # type: ignore[arg-type]


class EncodedImage:
    """An image that can be prompted as often as wanted."""

    def __init__(self, owner: Segmenter, embedding: object) -> None:
        self._owner, self._embedding = owner, embedding

    def predict(
        self,
        *,
        points: Sequence[tuple[float, float, int]] = (),
        box_xyxy: tuple[float, float, float, float] | None = None,
    ) -> Candidates:
        """Masks for points (x, y, 1 positive | 0 negative) and a box, in image pixels.

        ``.chosen.mask.full()`` of the answer is an H x W boolean array.
        """
        clicks = tuple(PointPrompt(float(x), float(y), bool(sign)) for x, y, sign in points)
        box = Box.from_corners(*box_xyxy) if box_xyxy else None
        return self._owner._decode(self._embedding, Prompts(clicks, box))
