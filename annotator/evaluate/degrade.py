"""Images as they come from bad cameras, scanners and habits: what a robustness table is made with.

Each degradation is a function of the pixels alone (noise is seeded by their content), so every model sees the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray
from annotator.domain.prompt import PointPrompt


@dataclass(frozen=True, slots=True)
class Degradation:
    """A change of the pixels, and of the masks where it moves them.

    Attributes:
        pixels: H x W x 3 uint8 to the same, or W x H x 3 when ``turns``.
        turns: whether it is a quarter turn (counter-clockwise), which masks follow.
    """

    name: str
    description: str
    pixels: Callable[[RgbArray], RgbArray]
    turns: bool = False

    def mask(self, mask: Mask) -> Mask:
        """The mask of the same object in the changed image."""
        return Mask.from_full(np.rot90(mask.full())) if self.turns else mask


def _blur(image: RgbArray) -> RgbArray:
    sigma = max(1.0, 0.004 * max(image.shape[:2]))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _noise(image: RgbArray) -> RgbArray:
    rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(image).tobytes()))
    return np.clip(image + rng.normal(0.0, 20.0, image.shape), 0, 255).astype(np.uint8)


def _low_contrast(image: RgbArray) -> RgbArray:
    return np.asarray(np.round(image * 0.25 + 96.0), np.uint8)


def _inverted(image: RgbArray) -> RgbArray:
    return np.asarray(255 - image, np.uint8)


def _turned(image: RgbArray) -> RgbArray:
    return np.ascontiguousarray(np.rot90(image), np.uint8)


def _jpeg(image: RgbArray) -> RgbArray:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 20])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None, "just encoded"
    return np.ascontiguousarray(decoded[..., ::-1], np.uint8)


def _windowed(image: RgbArray) -> RgbArray:
    """Grey, as 16-bit values seen through a window that cuts off the darkest and the brightest tenth."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257
    low, high = np.percentile(grey, [10, 90])
    shown = np.clip((grey - low) / max(high - low, 1.0), 0, 1) * 255
    return np.repeat(shown.astype(np.uint8)[..., None], 3, axis=2)


DEGRADATIONS: dict[str, Degradation] = {
    item.name: item
    for item in (
        Degradation("blur", "Gaussian, sigma 0.4 % of the longer side, at least 1 px", _blur),
        Degradation("noise", "Gaussian, sigma 20 of 255", _noise),
        Degradation("low-contrast", "a quarter of the contrast", _low_contrast),
        Degradation("inverted", "negative", _inverted),
        Degradation("turned", "a quarter turn", _turned, turns=True),
        Degradation("jpeg20", "JPEG quality 20", _jpeg),
        Degradation("window", "grey, 16 bit, a window over the middle 80 % of the values", _windowed),
    )
}


def jittered_box(box: Box, *, share: float, rng: np.random.Generator, width: int, height: int) -> Box:
    """Every side moved by up to ``share`` of the box's length across it, kept in the image and at least a pixel."""
    dx, dy = share * box.width, share * box.height
    shift = rng.uniform(-1, 1, 4)
    x0, x1 = box.x0 + shift[0] * dx, box.x1 + shift[1] * dx
    y0, y1 = box.y0 + shift[2] * dy, box.y1 + shift[3] * dy
    moved = Box(min(x0, x1 - 1), min(y0, y1 - 1), x1, y1).clipped(width, height)
    return moved if moved.area > 0 else box


def jittered_point(
    point: PointPrompt, region: npt.NDArray[np.bool_], *, reach_px: float, rng: np.random.Generator
) -> PointPrompt:
    """A click up to ``reach_px`` away that still lands in ``region`` (H x W); the same click when none of ten does."""
    height, width = region.shape
    for _ in range(10):
        x, y = point.x + rng.uniform(-reach_px, reach_px), point.y + rng.uniform(-reach_px, reach_px)
        if 0 <= x < width and 0 <= y < height and region[int(y), int(x)]:
            return PointPrompt(x, y, point.is_positive)
    return point
