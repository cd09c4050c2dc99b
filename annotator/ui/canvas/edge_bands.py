"""Bands of colour along a mask's edge, smooth at any width: fill inside, outline on it, halo and hairline around."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtGui import QColor

Pixels = npt.NDArray[np.uint32]
Coverage = npt.NDArray[np.uint8]


class EdgeBands:
    """Colours by the distance from the edge.

    A mask's coverage is grown and shrunk to every border between two bands. The sum of the results runs in steps from
    0 (outside) to its most (inside), a step per border, and each step is as smooth as the coverage: one table turns it
    into pixels.

    Args:
        fill: inside of all lines.
        lines: (colour, width in device pixels), the widest first; all lie on the edge, so that of a wider one only its
            two rims are seen.
        rim: (colour, width of its outer border as that of a line) for a line that is seen outside only.
        is_square: corners of lines are corners, not round.
    """

    def __init__(
        self,
        fill: QColor,
        lines: list[tuple[QColor, float]],
        *,
        rim: tuple[QColor, float] | None = None,
        is_square: bool = False,
    ) -> None:
        sides = [(colour, _sides(width)) for colour, width in lines]
        borders = [] if rim is None else [(_sides(rim[1])[0], rim[0])]
        borders += [(outer, colour) for colour, (outer, _inner) in sides]
        borders += [
            (-inner, sides[at - 1][0] if at else fill)
            for at, (_colour, (_outer, inner)) in reversed([*enumerate(sides)])
        ]
        borders = borders or [(0, fill)]
        self.reaches = tuple(reach for reach, _ in borders)
        self.reach = max(map(abs, self.reaches))
        """How far the bands go from the edge, in whole device pixels."""
        self._is_square = is_square
        self._table = _table([_premultiplied(colour) for _, colour in borders])

    def painted(self, coverage: Coverage) -> Pixels:
        """Premultiplied ARGB of a mask that covers so much of each pixel, 0..255."""
        if len(self.reaches) == 1:
            return self._table.take(coverage, mode="clip")  # none is beyond it, and unchecked it is a third quicker
        total = np.zeros(coverage.shape, np.uint16)
        for reach in self.reaches:
            total += self._moved(coverage, reach)
        return self._table.take(total, mode="clip")

    def painted_squares(self, inside: Coverage) -> Pixels:
        """As :meth:`painted` for a mask that covers pixels wholly (1) or not at all (0)."""
        total = np.zeros_like(inside)
        for reach in self.reaches:
            total += self._moved(inside, reach)
        return self._table[::255].take(total, mode="clip")

    def _moved(self, coverage: Coverage, reach: int) -> Coverage:
        """The coverage grown by so many pixels, or shrunk by a negative number."""
        if reach == 0:
            return coverage
        move = cv2.dilate if reach > 0 else cv2.erode
        return np.asarray(move(coverage, _disc(abs(reach), is_square=self._is_square)), np.uint8)


def _sides(width: float) -> tuple[int, int]:
    """Whole pixels outside and inside of the edge that a line takes, at least one of them."""
    whole = max(1, round(width))
    return whole - whole // 2, whole // 2


@cache
def _disc(radius: int, *, is_square: bool) -> Coverage:
    side = 2 * radius + 1
    shape = cv2.MORPH_RECT if is_square else cv2.MORPH_ELLIPSE
    return np.asarray(cv2.getStructuringElement(shape, (side, side)), np.uint8)


def _premultiplied(colour: QColor) -> tuple[float, float, float, float]:
    alpha = colour.alphaF()
    return 255 * alpha, 255 * alpha * colour.redF(), 255 * alpha * colour.greenF(), 255 * alpha * colour.blueF()


def _table(colours: list[tuple[float, float, float, float]]) -> Pixels:
    """Pixels by the sum of 255 per border passed: clear, then each colour, blended in between."""
    stops = np.arange(len(colours) + 1) * 255
    places = np.arange(255 * len(colours) + 1)
    channels = [
        np.interp(places, stops, [0.0, *values]).round().astype(np.uint32) for values in zip(*colours, strict=True)
    ]
    result: Pixels = channels[0] << 24 | channels[1] << 16 | channels[2] << 8 | channels[3]
    return result
