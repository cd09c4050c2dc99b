"""How far a carried mask is to be trusted: from what a tracker knows of it to the IoU that is to be expected."""

from __future__ import annotations

from bisect import bisect_right

LOST_BELOW = 0.6
"""A feature memory that agrees less with a mask than this does not see the object there."""
_WEIGHTS = (0.5, 0.25, 0.25)
_TABLE: tuple[tuple[float, float], ...] = (
    *((0.0, 0.2), (0.55, 0.47), (0.7, 0.5), (0.78, 0.69), (0.8, 0.705)),
    *((0.875, 0.73), (0.92, 0.81), (0.95, 0.94), (1.0, 0.98)),
)
"""From the weighted mean to the IoU that was found with it, rising: 231 answers on CT, MR and desk series with each
embedded model (those of ``docs/propagation.md``), pooled where they did not rise."""


def expected_iou(agreement: float, predicted_iou: float, spread: float) -> float:
    """Expected IoU of a carried mask, 0..1.

    Args:
        agreement: IoU of the mask with what the feature memory sees, 0..1.
        predicted_iou: the model's own guess.
        spread: mean IoU of the opinions with each other, 0..1.
    """
    parts = (agreement, min(max(predicted_iou, 0.0), 1.0), spread)
    mean = sum(weight * part for weight, part in zip(_WEIGHTS, parts, strict=True))
    return interpolated(mean, _TABLE)


def interpolated(x: float, table: tuple[tuple[float, float], ...]) -> float:
    """A value between the points of a rising table; that of its first or last point beyond it."""
    at = bisect_right([known for known, _ in table], x)
    if at == 0 or at == len(table):
        return table[min(at, len(table) - 1)][1]
    (x0, y0), (x1, y1) = table[at - 1], table[at]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
