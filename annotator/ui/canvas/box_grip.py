"""Where a shown box can be taken, and what a drag makes of it. Image pixels everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from annotator.domain.geometry import Box

HANDLE_REACH_PX = 9.0
"""How far from a handle's middle it can be taken, in view pixels."""
EDGE_REACH_PX = 4.0
"""How far from an edge, between its handles, the whole box can be taken."""
MIDDLE_HANDLES_ABOVE_PX = 48.0
"""A side that is shorter on the screen has no handle in its middle: it would lie on those of the corners."""


@dataclass(frozen=True, slots=True)
class BoxGrip:
    """A part of a box. ``dx``, ``dy``: which edges follow the cursor, -1 left or top, +1 right or bottom, 0 neither.

    Both 0 stands for the whole box.
    """

    dx: int
    dy: int

    @property
    def is_whole(self) -> bool:
        return self.dx == self.dy == 0

    def dragged(self, box: Box, by: tuple[float, float], *, width: int, height: int) -> Box:
        """The box after this part moved by (x, y), inside an image of ``width`` x ``height`` pixels.

        The whole box stops at the image's edges and keeps its size; an edge that passes the opposite one swaps with it.
        """
        x, y = by
        if self.is_whole:
            x = min(max(x, -box.x0), width - box.x1)
            y = min(max(y, -box.y0), height - box.y1)
            return Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y)
        left, right = box.x0 + x * (self.dx < 0), box.x1 + x * (self.dx > 0)
        top, bottom = box.y0 + y * (self.dy < 0), box.y1 + y * (self.dy > 0)
        return Box.from_corners(left, top, right, bottom).clipped(width, height)


def grip_at(box: Box, x: float, y: float, *, zoom: float) -> BoxGrip | None:
    """What of the box is at an image position: a corner before a side's handle before an edge; None for nothing.

    Inside a small box the reach shrinks, so that there is room to click the object.

    Args:
        zoom: view pixels per image pixel.
    """
    best: BoxGrip | None = None
    best_px = float("inf")
    for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1), (0, -1), (1, 0), (0, 1), (-1, 0)):
        if (dx == 0 and box.width * zoom < MIDDLE_HANDLES_ABOVE_PX) or (
            dy == 0 and box.height * zoom < MIDDLE_HANDLES_ABOVE_PX
        ):
            continue
        at_x = box.center[0] + dx * box.width / 2
        at_y = box.center[1] + dy * box.height / 2
        across = _reached(x - at_x, outward=dx, side=box.width, zoom=zoom)
        down = _reached(y - at_y, outward=dy, side=box.height, zoom=zoom)
        if across is not None and down is not None and max(across, down) < best_px:
            best, best_px = BoxGrip(dx, dy), max(across, down)
    return best if best is not None else _edge_at(box, x, y, zoom=zoom)


def _reached(delta: float, *, outward: int, side: float, zoom: float) -> float | None:
    """View pixels from a handle along one axis; None when it is out of reach."""
    is_inside = delta * outward < 0
    reach_px = min(HANDLE_REACH_PX, side * zoom / 4) if is_inside else HANDLE_REACH_PX
    distance_px = abs(delta) * zoom
    return distance_px if distance_px <= reach_px else None


def _edge_at(box: Box, x: float, y: float, *, zoom: float) -> BoxGrip | None:
    reach = EDGE_REACH_PX / zoom
    reach_x, reach_y = min(reach, box.width / 4), min(reach, box.height / 4)
    is_near = box.x0 - reach <= x <= box.x1 + reach and box.y0 - reach <= y <= box.y1 + reach
    is_well_inside = box.x0 + reach_x < x < box.x1 - reach_x and box.y0 + reach_y < y < box.y1 - reach_y
    return BoxGrip(0, 0) if is_near and not is_well_inside else None
