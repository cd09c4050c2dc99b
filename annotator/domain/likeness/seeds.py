"""Where to ask the model: places in an image that may be objects like the examples, each with a size.

Three finders that fail in different places: segments of the heat map (a watershed of its distance transform), the
picture of an example found again, and blobs of the heat map. Together they find what none of them finds alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.geometry import Box
from annotator.domain.likeness.appearance import FloatArray, RgbArray, Size
from annotator.domain.mask import Mask

MOST_SEEDS = 170
MOST_MATCHES = 40
LEAST_HEAT = 0.5
BLOB_SIZES = (0.4, 0.55, 0.75, 1.0, 1.35)
"""Over the size of the examples."""
LEAST_BLOB = 0.04
PATTERN_SIDE_PX = 26.0
"""An example's longer side when its picture is looked for."""
PATTERN_MARGIN = 1.12
PATTERN_SIZES = (0.8, 1.0, 1.25)
PATTERN_WEIGHTS = (0.3, 0.25, 0.25, 0.1, 0.1)
"""Of lightness, its change to the right and downwards, and the two colours."""
LEAST_MATCH = 0.35
FLAT_RANGE = 2.0
"""Grey levels: a picture that varies by less shows nothing."""
MOST_PATTERNS = 5
"""Of many examples so many pictures are looked for."""

Kind = Literal["segment", "match", "blob"]


@dataclass(frozen=True, slots=True)
class Seed:
    """A place to ask at, and the box that the object there may have, in image pixels."""

    x: float
    y: float
    box: Box
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """The picture of an example: h x w x 5 float32 as :data:`PATTERN_WEIGHTS` has it, and its box in image pixels."""

    planes: FloatArray
    width_px: float
    height_px: float


def seeds_in(
    image: RgbArray,
    heat: FloatArray,
    size: Size,
    patterns: Sequence[Pattern],
    known: Sequence[Mask],
) -> list[Seed]:
    """At most ``MOST_SEEDS``, the most promising of each kind first; none lies in a known object.

    Args:
        image: H x W x 3 uint8. heat: see :func:`~annotator.domain.likeness.appearance.heat_map`.
    """
    step = image.shape[1] / heat.shape[1], image.shape[0] / heat.shape[0]
    side = size.side_px

    def is_free(seed: Seed) -> bool:
        return not any(mask.contains(seed.x, seed.y) for mask in known)

    def warmest_first(seeds: Sequence[Seed]) -> list[Seed]:
        rows, columns = heat.shape
        at = [(min(int(s.y / step[1]), rows - 1), min(int(s.x / step[0]), columns - 1)) for s in seeds]
        return [seeds[i] for i in sorted(range(len(seeds)), key=lambda i: -float(heat[at[i]]))]

    found = warmest_first([seed for seed in segments(heat, size, step) if is_free(seed)])
    matches_found = [seed for seed in matches(image, patterns, size) if is_free(seed)]
    found += [seed for seed in matches_found if not _has(found, seed, side, 0.7)][:MOST_MATCHES]
    blobs_found = [seed for seed in blobs(heat, size, step) if is_free(seed)]
    found += warmest_first([seed for seed in blobs_found if not _has(found, seed, side, 0.6)])
    return found[:MOST_SEEDS]


def others_than(asked: Sequence[Seed], seeds: Sequence[Seed], size: Size) -> list[Seed]:
    """Those of ``seeds`` that lie where none of about the same size was asked."""
    return [seed for seed in seeds if not _has(asked, seed, size.side_px, 0.6)]


def segments(heat: FloatArray, size: Size, step_xy: tuple[float, float]) -> list[Seed]:
    """What the heat map's warm areas fall into where they are narrow."""
    # With scipy behind them a fifth of the time until a first mask, which asks for neither.
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    step = max(step_xy)
    warm = cv2.morphologyEx((heat > LEAST_HEAT).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if not warm.any():
        return []
    depth = cv2.distanceTransform(warm, cv2.DIST_L2, 5)
    depth = cv2.GaussianBlur(depth, (0, 0), max(0.7, 0.06 * size.side_px / step))
    apart = max(2, int(0.25 * min(size.width_px, size.height_px) / step))
    peaks = peak_local_max(depth, min_distance=apart, labels=warm.astype(np.int32), exclude_border=False)
    marks = np.zeros(heat.shape, np.int32)
    marks[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    parts = watershed(-depth, marks, mask=warm.astype(bool))
    least = 0.04 * size.side_px**2 / (step_xy[0] * step_xy[1])
    boxes, areas = _boxes_of(parts, len(peaks))
    return [
        Seed((x + 0.5) * step_xy[0], (y + 0.5) * step_xy[1], _scaled(boxes[i], step_xy), "segment")
        for i, (y, x) in enumerate(peaks.tolist())
        if areas[i] >= least
    ]


def _boxes_of(parts: npt.NDArray[np.int32], count: int) -> tuple[list[list[float]], list[int]]:
    """Box (x0, y0, x1, y1) and area of each label from 1 on."""
    rows, columns = np.nonzero(parts)
    labels = parts[rows, columns] - 1
    low = np.full((count, 2), np.iinfo(np.int64).max)
    high = np.zeros((count, 2), np.int64)
    for axis, values in enumerate((columns, rows)):
        np.minimum.at(low[:, axis], labels, values)
        np.maximum.at(high[:, axis], labels, values + 1)
    return np.concatenate([low, high], 1).tolist(), np.bincount(labels, minlength=count).tolist()


def blobs(heat: FloatArray, size: Size, step_xy: tuple[float, float]) -> list[Seed]:
    """Warm spots of about the examples' size: maxima of the normalised Laplacian (Lindeberg, IJCV 1998)."""
    clipped = np.clip(heat, 0, 1.3)
    middle = math.sqrt(size.width_px * size.height_px) / 2
    found: list[tuple[float, float, float, float]] = []
    for scale in BLOB_SIZES:
        radius = scale * middle / max(step_xy)
        sigma = max(0.8, radius / math.sqrt(2))
        soft = cv2.GaussianBlur(clipped, (0, 0), sigma)
        strength = -cv2.Laplacian(soft, cv2.CV_32F) * sigma**2
        window = 2 * max(1, int(0.5 * radius)) + 1
        is_top = strength >= cv2.dilate(strength, np.ones((window, window), np.uint8))
        rows, columns = np.nonzero(is_top & (strength > LEAST_BLOB) & (soft > 0.3))
        value = strength[rows, columns] * soft[rows, columns]
        places = zip(value.tolist(), columns.tolist(), rows.tolist(), strict=True)
        found += [(v, (x + 0.5) * step_xy[0], (y + 0.5) * step_xy[1], scale) for v, x, y in places]
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[float, float, float]] = []
    seeds: list[Seed] = []
    for _, x, y, scale in found:
        radius = scale * middle
        near = np.array(kept).reshape(-1, 3)
        apart = 0.55 * np.minimum(near[:, 2], radius) + 0.25 * np.maximum(near[:, 2], radius)
        if (np.hypot(near[:, 0] - x, near[:, 1] - y) > apart).all():
            kept.append((x, y, radius))
            half = scale * size.width_px / 2, scale * size.height_px / 2
            seeds.append(Seed(x, y, Box(x - half[0], y - half[1], x + half[0], y + half[1]), "blob"))
            if len(seeds) == MOST_SEEDS:
                break
    return seeds


def pattern_scale(size: Size) -> float:
    """Of the picture in which patterns are looked for; never enlarged."""
    return min(1.0, PATTERN_SIDE_PX / size.side_px)


def patterns_of(image: RgbArray, masks: Sequence[Mask], size: Size) -> tuple[Pattern, ...]:
    """The pictures of the examples of an image, those of the largest masks first."""
    scale = pattern_scale(size)
    planes = _planes(image, scale)
    found = []
    for mask in sorted(masks, key=lambda one: -one.area)[:MOST_PATTERNS]:
        x, y, w, h = mask.bbox_xywh
        reach = (PATTERN_MARGIN - 1) / 2
        x0, x1 = (round(v * scale) for v in (x - reach * w, x + w + reach * w))
        y0, y1 = (round(v * scale) for v in (y - reach * h, y + h + reach * h))
        piece = planes[max(0, y0) : y1, max(0, x0) : x1]
        if min(piece.shape[:2]) >= 3:
            found.append(Pattern(piece.copy(), w, h))
    return tuple(found)


def matches(image: RgbArray, patterns: Sequence[Pattern], size: Size) -> list[Seed]:
    """Where the picture of an example is found again, the best first."""
    scale = pattern_scale(size)
    planes = _planes(image, scale)
    found: list[tuple[float, float, float, float, float]] = []
    for pattern in patterns[:MOST_PATTERNS]:
        for larger in PATTERN_SIZES:
            found += _matches_of(planes, pattern, larger, scale)
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[float, float]] = []
    seeds: list[Seed] = []
    for _, x, y, w, h in found:
        near = np.array(kept).reshape(-1, 2)
        if (np.maximum(abs(near[:, 0] - x), abs(near[:, 1] - y)) > 0.4 * size.side_px).all():
            kept.append((x, y))
            seeds.append(Seed(x, y, Box(x - w / 2, y - h / 2, x + w / 2, y + h / 2), "match"))
            if len(seeds) == MOST_SEEDS:
                break
    return seeds


def _matches_of(
    planes: FloatArray, pattern: Pattern, larger: float, scale: float
) -> list[tuple[float, float, float, float, float]]:
    """(value, x, y, width, height) in image pixels of the places that are most alike."""
    rows, columns = (max(3, round(n * larger)) for n in pattern.planes.shape[:2])
    if rows > planes.shape[0] or columns > planes.shape[1]:
        return []
    asked = cv2.resize(pattern.planes, (columns, rows), interpolation=cv2.INTER_LINEAR)
    value = np.zeros((planes.shape[0] - rows + 1, planes.shape[1] - columns + 1), np.float32)
    for at, weight in enumerate(PATTERN_WEIGHTS):
        one = [np.ascontiguousarray(a[..., at]) for a in (planes, asked)]
        if np.ptp(one[1]) >= FLAT_RANGE:  # a plane without a pattern is like everything, says OpenCV
            value += np.float32(weight) * cv2.matchTemplate(one[0], one[1], cv2.TM_CCOEFF_NORMED)
    value = np.nan_to_num(value)
    window = 2 * max(1, min(rows, columns) // 4) + 1
    is_top = (value >= cv2.dilate(value, np.ones((window, window), np.uint8))) & (value > LEAST_MATCH)
    y, x = np.nonzero(is_top)
    order = np.argsort(-value[y, x], kind="stable")[: 4 * MOST_MATCHES]
    size = pattern.width_px * larger, pattern.height_px * larger
    places = zip(value[y, x][order].tolist(), x[order].tolist(), y[order].tolist(), strict=True)
    return [(v, (left + columns / 2) / scale, (top + rows / 2) / scale, *size) for v, left, top in places]


def _planes(image: RgbArray, scale: float) -> FloatArray:
    """Lightness, how it changes to the right and downwards, and two colours: h x w x 5 float32."""
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    light = np.ascontiguousarray(lab[..., 0])
    dx, dy = (np.abs(cv2.Sobel(light, cv2.CV_32F, *way)) for way in ((1, 0), (0, 1)))
    return np.stack([light, dx, dy, lab[..., 1], lab[..., 2]], -1)


def _scaled(box: Sequence[float], step_xy: tuple[float, float]) -> Box:
    return Box(box[0] * step_xy[0], box[1] * step_xy[1], box[2] * step_xy[0], box[3] * step_xy[1])


def _has(seeds: Sequence[Seed], seed: Seed, side_px: float, least_ratio: float) -> bool:
    """Whether there is one already at the same place and of about the same size."""
    longer = max(seed.box.width, seed.box.height)
    return any(
        abs(seed.x - other.x) < 0.2 * side_px
        and abs(seed.y - other.y) < 0.2 * side_px
        and least_ratio < longer / max(other.box.width, other.box.height, 1.0) < 1 / least_ratio
        for other in seeds
    )
