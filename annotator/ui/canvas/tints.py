"""Which tint each object gets, so that neighbours of one class differ."""

from __future__ import annotations

CELL_PX = 64
MOST_CELLS = 8
"""So many cells in a row or column stand for a larger object."""
REACH_PX = 4
"""Objects that come this near are neighbours."""
Box = tuple[int, int, int, int]
Cell = tuple[int, int]


class TintBook:
    """Gives every object the tint that is rarest among its neighbours, and remembers it."""

    def __init__(self, tints: int) -> None:
        self._tints = tints
        self._given: dict[int, tuple[int, Box]] = {}
        self._cells: dict[Cell, set[int]] = {}

    def tint(self, object_id: int, box_xyxy: Box) -> int:
        """0 .. tints - 1; the same for an object as long as it is not forgotten."""
        known = self._given.get(object_id)
        if known is not None:
            return known[0]
        cells = _touched(box_xyxy)
        near = {other for cell in cells for other in self._cells.get(cell, ())}
        counts = [0] * self._tints
        for tint, box in map(self._given.__getitem__, near):
            counts[tint] += _are_near(box, box_xyxy)
        chosen = counts.index(min(counts))
        self._given[object_id] = chosen, box_xyxy
        for cell in cells:
            self._cells.setdefault(cell, set()).add(object_id)
        return chosen

    def forget(self, object_id: int) -> None:
        _tint, box = self._given.pop(object_id, (0, None))
        for cell in _touched(box) if box is not None else ():
            self._cells[cell].discard(object_id)

    def clear(self) -> None:
        self._given.clear()
        self._cells.clear()


def _are_near(one: Box, other: Box) -> bool:
    return (
        one[0] - REACH_PX <= other[2]
        and other[0] - REACH_PX <= one[2]
        and one[1] - REACH_PX <= other[3]
        and other[1] - REACH_PX <= one[3]
    )


def _touched(box_xyxy: Box) -> list[Cell]:
    x0, y0, x1, y1 = box_xyxy
    columns, rows = _cells_of(x0 - REACH_PX, x1 + REACH_PX), _cells_of(y0 - REACH_PX, y1 + REACH_PX)
    return [(column, row) for column in columns for row in rows]


def _cells_of(low: int, high: int) -> list[int]:
    first, last = low // CELL_PX, high // CELL_PX
    return list(range(first, last + 1, 1 + (last - first) // MOST_CELLS))
