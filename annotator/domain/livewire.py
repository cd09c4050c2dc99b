"""Live-wire: the way between two places that follows the edges of an image, by OpenCV's intelligent scissors (Mortensen
and Barrett, 1995)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.zoom import Region
from annotator.domain.areas import Frame
from annotator.domain.brush import Point, thinned
from annotator.domain.geometry import Box

SIDE_PX = 384
"""Of the window that is searched, after scaling."""
_GRADIENT_LIMIT = 200.0
_CANNY = (32, 100)
_SMOOTHED_PX = 0.75
"""How far a corner that is left out may lie from the line: stairs of pixels become lines."""
_IMAGE_SHARE = 0.4
"""Of the contrast of the image, where logits say where the object ends."""


@dataclass(frozen=True, slots=True, eq=False)
class EdgeSource:
    """What edges are looked for in.

    Attributes:
        rgb: H x W x 3 uint8.
        logits: low-resolution logits of the current object, inside where > 0; None: the image alone counts.
        logits_box: the part of the image that they are of, None for the whole.
        read: of an image that ``rgb`` is no more than the overview of: reads a part of it in a size (width, height).
        whole_wh: the size of the image, where ``rgb`` does not have it.
    """

    rgb: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.float32] | None = None
    logits_box: Box | None = None
    read: Callable[[Region, tuple[int, int]], npt.NDArray[np.uint8]] | None = None
    whole_wh: tuple[int, int] | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.whole_wh or (self.rgb.shape[1], self.rgb.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class EdgeMap:
    """The cheapest ways from one place of an image to all others near it. Made beside the GUI thread: it takes a few
    tenths of a second; asking it for a way takes less than a millisecond."""

    anchor: Point
    _frame: Frame
    _scale: float
    _scissors: cv2.segmentation.IntelligentScissorsMB

    @classmethod
    def build(cls, source: EdgeSource, anchor: Point, *, reach_px: float) -> EdgeMap:
        """Of a window of the image.

        Args:
            anchor: (x, y) in image pixels; one outside is pulled to the edge.
            reach_px: how far the window reaches from there, in image pixels.
        """
        width, height = source.size_wh
        x, y = (min(max(value, 0.0), side - 1e-3) for value, side in zip(anchor, (width, height), strict=True))
        frame = (
            max(0, int(x - reach_px)),
            max(0, int(y - reach_px)),
            min(width, int(x + reach_px) + 1),
            min(height, int(y + reach_px) + 1),
        )
        scale = min(1.0, SIDE_PX / max(frame[2] - frame[0], frame[3] - frame[1]))
        picture = _picture(source, frame, scale)
        scissors = cv2.segmentation.IntelligentScissorsMB()
        scissors.setGradientMagnitudeMaxLimit(_GRADIENT_LIMIT)
        scissors.setEdgeFeatureCannyParameters(*_CANNY)
        scissors.applyImage(picture)
        at = _cell((x, y), frame, scale, picture.shape)
        scissors.buildMap(at)
        return cls((x, y), frame, scale, scissors)

    def way_to(self, target: Point) -> tuple[Point, ...]:
        """Positions between the anchor and a place, both left out. A place outside of the window is reached by a
        straight line from where the window ends."""
        size = tuple(max(1, round((self._frame[at + 2] - self._frame[at]) * self._scale)) for at in (1, 0))
        cell = _cell(target, self._frame, self._scale, size)
        cells = np.asarray(self._scissors.getContour(cell), np.float64).reshape(-1, 2)
        if len(cells) < 3:
            return ()
        places = (cells + 0.5) / self._scale + np.array(self._frame[:2], np.float64)
        x0, y0, x1, y1 = self._frame
        is_inside = x0 <= target[0] < x1 and y0 <= target[1] < y1
        places = places[1:-1] if is_inside else places[1:]
        way = thinned([self.anchor, *map(tuple, places.tolist()), target], _SMOOTHED_PX / self._scale)
        return way[1:-1]


def _cell(place: Point, frame: Frame, scale: float, size: tuple[int, ...]) -> tuple[int, int]:
    """The scaled pixel (x, y) of a place, pulled into the window."""
    x, y = (int((value - start) * scale) for value, start in zip(place, frame[:2], strict=True))
    return min(max(x, 0), size[1] - 1), min(max(y, 0), size[0] - 1)


def _picture(source: EdgeSource, frame: Frame, scale: float) -> npt.NDArray[np.uint8]:
    """What the edges of a window are taken from: uint8, height x width x 3."""
    x0, y0, x1, y1 = frame
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    if source.read is not None:
        image = np.asarray(source.read(Region(*frame), size), np.uint8)
    else:
        crop = np.ascontiguousarray(source.rgb[y0:y1, x0:x1])
        image = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA) if scale < 1 else crop, np.uint8)
    if source.logits is None:
        return image
    probability = _probability(source, frame, size)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32) * _IMAGE_SHARE
    return np.dstack([grey, probability, probability]).astype(np.uint8)


def _probability(source: EdgeSource, frame: Frame, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Of the object in the pixels of a window, 0..255."""
    logits = np.asarray(source.logits, np.float32)
    box = source.logits_box or Box(0, 0, *source.size_wh)
    step_x, step_y = (frame[2] - frame[0]) / size[0], (frame[3] - frame[1]) / size[1]
    columns = (frame[0] + (np.arange(size[0]) + 0.5) * step_x - box.x0) / box.width * logits.shape[1] - 0.5
    rows = (frame[1] + (np.arange(size[1]) + 0.5) * step_y - box.y0) / box.height * logits.shape[0] - 0.5
    across, down = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    near = cv2.remap(logits, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(255.0 / (1.0 + np.exp(-np.clip(near, -30, 30))), np.float32)
