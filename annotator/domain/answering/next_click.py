"""Where a click would help most: a map of doubt over the image, and clicks that are proposed from it.

An answer is in doubt where its probabilities are undecided near the outline, where other candidates disagree with it,
and where a prompt adapter says so. Each reason adds to the others: an adapter's map alone is the weaker guide
(docs/studies/next-click.md has the figures). The first proposal is the strongest of the adapter's hard points that
wants the mask changed; the others lift the places they name.

A single doubtful pixel is no place to click: all of the outline is in doubt, and an error one pixel wide is soon
corrected. A good correction lies deep in an error. So each level of doubt is taken for an error that may be there,
inside the mask and outside of it apart, and a place counts by its depth in these areas, the mean over the levels: the
standard protocol's rule (:mod:`annotator.domain.answering.clicks`) with the unknown truth averaged out.

A proposal corrects: inside the mask it is negative, outside positive, for a click that repeats what the mask says
changes little. Whether it is right to place it is for the person to see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.clicks import depth
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidates, UncertaintyMap
from annotator.domain.prompt import PointPrompt

MOST_CELLS = 128
"""Side of the largest map: finer logits are averaged first, for the map is made between two frames of the window."""
MOST_PROPOSALS = 8
BAND_SHARE = 0.25
"""Doubt counts up to this share of the object's size (the root of its area) from the outline."""
SPREAD_SHARE = 0.12
"""A proposal stands for this share of the object's size around it; the next one lies outside."""
LEVELS = 8
"""Areas of doubt that a place is judged by, at error probabilities evenly spread from 0 to 1/2."""
LEAST_DISTANCE_PX = 2.0
SECOND_OPINION = np.float32(0.5)
"""What the other candidates and an adapter count against the answer's own doubt."""
HARD_POINT_GAIN = np.float32(1.5)
"""How much more a place counts beside an adapter's hard point that also wants the mask changed there."""

Map = npt.NDArray[np.float32]


def doubt_map(candidates: Candidates, index: int) -> UncertaintyMap:
    """Where the candidate at ``index`` may be wrong, 0..1, with an adapter's hard points when it has any."""
    shown = candidates.items[index]
    box = shown.logits_box or Box(0, 0, shown.mask.width, shown.mask.height)
    logits = _shrunk(np.nan_to_num(np.asarray(shown.logits, np.float32)))
    inside = logits > 0
    doubt = _entropy(logits)
    if inside.any() and not inside.all():
        doubt = np.where(_near_outline(inside, BAND_SHARE * math.sqrt(float(inside.sum()))), doubt, np.float32(0))
    others = [item for place, item in enumerate(candidates.items) if place != index and not item.mask.is_empty]
    if others:
        xs, ys = _centres(box, inside.shape)
        own = sample(shown.mask, xs, ys)
        apart = np.mean([sample(item.mask, xs, ys) != own for item in others], axis=0, dtype=np.float32)
        # Either reason is enough; a candidate's opinion on a whole part weighs less than an undecided outline.
        doubt = 1 - (1 - doubt) * (1 - SECOND_OPINION * apart)
    adapters = shown.uncertainty
    if adapters is not None:
        doubt = 1 - (1 - doubt) * (1 - SECOND_OPINION * _resampled(adapters, *_centres(box, inside.shape)))
    values = np.clip(doubt, 0, 1).astype(np.float32)
    values.setflags(write=False)
    return UncertaintyMap(values, box, () if adapters is None else adapters.hard_points)


def proposals(
    doubt: UncertaintyMap,
    mask: Mask,
    clicks: Sequence[PointPrompt],
    *,
    confirmed: Sequence[PointPrompt] = (),
    count: int = MOST_PROPOSALS,
) -> tuple[PointPrompt, ...]:
    """Clicks that would help, the strongest first: inside the image, none beside a click or another proposal.

    An adapter's strongest hard point comes before all, then the places by depth.

    Args:
        mask: the one that is shown; it decides the signs.
        clicks: those that were made already.
        confirmed: places (:func:`as_shown`) that the person looked at and passed over: none is proposed again while
            the mask says the same there.
    """
    spread = max(LEAST_DISTANCE_PX, _cell_side(doubt), SPREAD_SHARE * math.sqrt(mask.area))
    clicks = (*clicks, *still_shown(confirmed, mask))
    found: list[PointPrompt] = []
    for point in doubt.hard_points:
        if not found and point.is_positive == sign_against(mask, point.x, point.y):
            _keep(found, point, clicks, mask=mask, spread=spread)
    for point in _peaks(doubt, mask, (*clicks, *found), spread=spread, count=count):
        _keep(found, point, clicks, mask=mask, spread=spread)
    return tuple(found[:count])


def sample(mask: Mask, xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether the pixels at columns ``xs`` and rows ``ys`` (image pixels) are in the mask: len(ys) x len(xs)."""
    h, w = mask.bits.shape
    rows, columns = np.floor(ys).astype(np.int64) - mask.y, np.floor(xs).astype(np.int64) - mask.x
    result = np.zeros((ys.size, xs.size), np.bool_)
    in_rows, in_columns = (rows >= 0) & (rows < h), (columns >= 0) & (columns < w)
    if in_rows.any() and in_columns.any():
        result[np.ix_(in_rows, in_columns)] = mask.bits[np.ix_(rows[in_rows], columns[in_columns])]
    return result


def sign_against(mask: Mask, x: float, y: float) -> bool:
    """The sign of a click at (x, y), in image pixels, that would change the mask there: True for positive."""
    return not bool(sample(mask, np.array([x]), np.array([y]))[0, 0])


def as_shown(point: PointPrompt, mask: Mask) -> PointPrompt:
    """What the mask says at the point: the click that would change nothing there."""
    return PointPrompt(point.x, point.y, not sign_against(mask, point.x, point.y))


def still_shown(confirmed: Sequence[PointPrompt], mask: Mask) -> tuple[PointPrompt, ...]:
    """Those of the places, made by :func:`as_shown`, at which another mask says the same."""
    return tuple(point for point in confirmed if as_shown(point, mask) == point)


# --- inside -----------------------------------------------------------------------------------------------------------


def _keep(
    found: list[PointPrompt], point: PointPrompt, clicks: Sequence[PointPrompt], *, mask: Mask, spread: float
) -> None:
    """Add a proposal unless it lies outside the image or beside a click or a stronger proposal."""
    is_inside = 0 <= point.x < mask.width and 0 <= point.y < mask.height
    if is_inside and all(math.hypot(p.x - point.x, p.y - point.y) >= spread for p in (*clicks, *found)):
        found.append(point)


def _peaks(
    doubt: UncertaintyMap, mask: Mask, clicks: Sequence[PointPrompt], *, spread: float, count: int
) -> list[PointPrompt]:
    """The deepest places of what may be wrong; each far from the clicks and from those before it."""
    values = np.nan_to_num(np.asarray(doubt.values, np.float32))
    xs, ys = _centres(doubt.box, values.shape)
    left = _expected_depth(values, sample(mask, xs, ys))
    left = np.where(((ys >= 0) & (ys < mask.height))[:, None] & ((xs >= 0) & (xs < mask.width))[None, :], left, 0)
    for point in doubt.hard_points:
        if point.is_positive == sign_against(mask, point.x, point.y):
            left = np.where(_is_near(xs, ys, point, spread), HARD_POINT_GAIN * left, left)
    for click in clicks:
        left = np.where(_is_near(xs, ys, click, spread), np.float32(0), left)
    found: list[PointPrompt] = []
    while len(found) < count:
        row, column = divmod(int(left.argmax()), values.shape[1])
        if left[row, column] <= 0:
            break
        x, y = float(xs[column]), float(ys[row])
        point = PointPrompt(x, y, sign_against(mask, x, y))
        found.append(point)
        left = np.where(_is_near(xs, ys, point, spread), np.float32(0), left)
    return found


def _resampled(doubt: UncertaintyMap, xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]) -> Map:
    """The map under the given image columns and rows, bilinear between its cells' centres: len(ys) x len(xs).

    0 beyond the map's box.
    """
    rows, columns = doubt.values.shape
    row, down = _between((ys - doubt.box.y0) * (rows / doubt.box.height) - 0.5, rows)
    column, across = _between((xs - doubt.box.x0) * (columns / doubt.box.width) - 0.5, columns)
    values = np.clip(np.nan_to_num(np.asarray(doubt.values, np.float32)), 0, 1)
    tall = values[row] * (1 - down)[:, None] + values[np.minimum(row + 1, rows - 1)] * down[:, None]
    result = tall[:, column] * (1 - across) + tall[:, np.minimum(column + 1, columns - 1)] * across
    result[(ys < doubt.box.y0) | (ys >= doubt.box.y1)] = 0
    result[:, (xs < doubt.box.x0) | (xs >= doubt.box.x1)] = 0
    return np.asarray(result, np.float32)


def _between(position: npt.NDArray[np.float64], cells: int) -> tuple[npt.NDArray[np.int64], Map]:
    """The cell at or before each position, and the weight of the next one; edges are repeated."""
    position = np.clip(position, 0, cells - 1)
    index = np.floor(position).astype(np.int64)
    return index, (position - index).astype(np.float32)


def _expected_depth(values: Map, inside: npt.NDArray[np.bool_]) -> Map:
    """Depth, in cells, in the areas where the doubt is above a level, inside and outside the mask apart; their mean.

    0 where the doubt is below all levels. The cell's own doubt settles ties.
    """
    probabilities = (np.arange(LEVELS, dtype=np.float32) + np.float32(0.5)) / (2 * LEVELS)
    levels = _entropy(np.log(1 / probabilities - 1))
    total = np.zeros_like(values)
    for level in levels:
        is_doubtful = values > level
        if not is_doubtful.any():
            break
        total += depth(is_doubtful & inside) + depth(is_doubtful & ~inside)
    return np.asarray(np.where(total > 0, total / LEVELS + np.float32(1e-3) * values, 0), np.float32)


def _is_near(
    xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], point: PointPrompt, distance: float
) -> npt.NDArray[np.bool_]:
    return np.asarray(np.hypot(xs[None, :] - point.x, ys[:, None] - point.y) < distance)


def _cell_side(doubt: UncertaintyMap) -> float:
    """The longer side of a cell, in image pixels."""
    rows, columns = doubt.values.shape
    return float(max(doubt.box.width / columns, doubt.box.height / rows))


def _centres(box: Box, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Image columns and rows of the cells' centres."""
    rows, columns = shape
    xs = box.x0 + (np.arange(columns) + 0.5) * (box.width / columns)
    ys = box.y0 + (np.arange(rows) + 0.5) * (box.height / rows)
    return np.asarray(xs, np.float64), np.asarray(ys, np.float64)


def _shrunk(logits: Map) -> Map:
    """At most ``MOST_CELLS`` cells a side: means of blocks where the sides can be parted, else every n-th cell."""
    step = max(1, math.ceil(max(logits.shape) / MOST_CELLS))
    if step == 1:
        return logits
    rows, columns = logits.shape
    if rows % step or columns % step:
        return logits[step // 2 :: step, step // 2 :: step] if min(rows, columns) > step else logits
    return np.asarray(logits.reshape(rows // step, step, columns // step, step).mean(axis=(1, 3)), np.float32)


def _entropy(logits: Map) -> Map:
    """Entropy of the cells' probabilities in bits, 0..1: 1 where the logit is 0."""
    size = np.minimum(np.abs(logits), np.float32(30))
    p = 1 / (1 + np.exp(-size))
    # -p log p - q log q with q = 1 - p and log q = log p - size, so that nothing is taken from nothing.
    return np.asarray((-np.log(p) + (1 - p) * size) / np.log(np.float32(2)), np.float32)


def _near_outline(inside: npt.NDArray[np.bool_], distance: float) -> npt.NDArray[np.bool_]:
    """Cells at most ``distance`` cells (each way) from a cell where the mask begins or ends."""
    edge = np.zeros_like(inside)
    down, across = inside[1:] != inside[:-1], inside[:, 1:] != inside[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    radius = min(max(2, round(distance)), max(inside.shape))
    return np.asarray(_box_mean(edge.astype(np.float32), radius) > 0.5 / (2 * radius + 1) ** 2)


def _box_mean(values: Map, radius: int) -> Map:
    """Mean over (2 radius + 1) squared cells; beyond the edge there is nothing (0)."""
    padded = np.pad(values.astype(np.float64), ((radius + 1, radius), (radius + 1, radius)))
    total = padded.cumsum(0).cumsum(1)
    side = 2 * radius + 1
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.asarray(sums / side**2, np.float32)
