"""Between an image and a piece of it: prompts go in, masks and logits come back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import cv2
import numpy as np

from annotator.domain.answering.zoom import Region
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import LogitsArray
from annotator.domain.prompt import PointPrompt, Prompts

OUTSIDE_LOGIT = -6.0
"""For places where an answer did not look."""


def is_finite(prompts: Prompts) -> bool:
    """Whether every point and the box are positions at all."""
    values = [v for p in prompts.points for v in (p.x, p.y)]
    return all(map(math.isfinite, (*values, *(prompts.box.as_xyxy() if prompts.box else ()))))


def says_where(prompts: Prompts) -> bool:
    """Whether a box or a mask says how large the object is, or no click asks where it is."""
    return prompts.box is not None or prompts.base_mask is not None or not prompts.points


def groups(wanted: Sequence[Sequence[Region]], images: Sequence[object], *, most: int) -> Iterator[list[int]]:
    """Places of questions that need at most so many pieces together, or are alone in that.

    Args:
        wanted: the pieces of each question; images: what each is a piece of.
    """
    places: list[int] = []
    needed: set[tuple[int, Region]] = set()
    for place, (regions, image) in enumerate(zip(wanted, images, strict=True)):
        more = {(id(image), region) for region in regions}
        if places and len(needed | more) > most:
            yield places
            places, needed = [], set()
        places.append(place)
        needed |= more
    if places:
        yield places


def longer(region: Region) -> int:
    """The longer side in pixels."""
    return max(region.width, region.height)


def mask_box(mask: Mask) -> Box | None:
    """The box of a mask's pixels, None when there are none."""
    x, y, w, h = mask.bbox_xywh
    return None if w == 0 else Box(x, y, x + w, y + h)


def with_points(box: Box, prompts: Prompts) -> Box:
    """The box widened to the positive clicks (a negative click outside it has nothing to take away)."""
    points = [point for point in prompts.points if point.is_positive]
    return Box(
        min([box.x0, *(p.x for p in points)]),
        min([box.y0, *(p.y for p in points)]),
        max([box.x1, *(p.x for p in points)]),
        max([box.y1, *(p.y for p in points)]),
    )


def moved(prompts: Prompts, region: Region) -> Prompts:
    """Prompts in a piece's pixels; a negative click beyond it is later pulled to its edge, where nothing is."""
    points = tuple(PointPrompt(p.x - region.x0, p.y - region.y0, p.is_positive) for p in prompts.points)
    box, base = prompts.box, prompts.base_mask
    if box is not None:
        box = Box(box.x0 - region.x0, box.y0 - region.y0, box.x1 - region.x0, box.y1 - region.y0)
        box = box.clipped(region.width, region.height)
    if base is not None:
        base = _cut_out(base, region)
    return Prompts(points, box, base)


def _cut_out(mask: Mask, region: Region) -> Mask:
    h, w = mask.bits.shape
    x0, y0 = max(mask.x, region.x0), max(mask.y, region.y0)
    x1, y1 = max(x0, min(mask.x + w, region.x1)), max(y0, min(mask.y + h, region.y1))
    bits = mask.bits[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x].copy()
    return Mask(bits, x0 - region.x0, y0 - region.y0, region.width, region.height)


def placed(mask: Mask, region: Region, whole: tuple[int, int]) -> Mask:
    """A piece's mask in the image of size ``whole`` (width, height)."""
    if mask.is_empty:
        return Mask.empty(*whole)
    return Mask(mask.bits, mask.x + region.x0, mask.y + region.y0, *whole)


def carried(logits: LogitsArray, source: Region, region: Region) -> LogitsArray:
    """Logits of one piece on another: bilinear, ``OUTSIDE_LOGIT`` where the first does not reach."""
    if source == region:
        return logits
    rows, columns = logits.shape
    scale_x, scale_y = region.width / source.width, region.height / source.height
    shift_x = (region.x0 - source.x0) * columns / source.width
    shift_y = (region.y0 - source.y0) * rows / source.height
    # Cell centres at +0.5 on both grids.
    matrix = np.array(
        [[scale_x, 0, shift_x + 0.5 * scale_x - 0.5], [0, scale_y, shift_y + 0.5 * scale_y - 0.5]], np.float64
    )
    warped = cv2.warpAffine(
        np.array(logits, np.float32),
        matrix,
        (columns, rows),
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE_LOGIT,
    )
    return cast(LogitsArray, np.asarray(warped, np.float32))
