"""Objects that were drawn as polygons: their own corners, for formats that have polygons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from annotator.domain.mask import Mask
from annotator.domain.outline import kept_outline
from annotator.domain.polygon import PolygonPart


def drawn_parts(prompts: Mapping[str, Any], mask: Mask) -> tuple[PolygonPart, ...]:
    """The rings that an object was drawn with, grouped into parts with holes; empty when it was not drawn, was changed
    by something else since, leaves the image, or crosses itself: then its pixels say what it is."""
    outline = kept_outline(prompts, mask)
    if outline is None:
        return ()
    corners = np.array([point for ring in outline for point in ring])
    if corners.min() < 0 or (corners > (mask.width, mask.height)).any():
        return ()
    polygons = [shapely.Polygon(ring) for ring in outline]
    if not all(polygon.is_valid and polygon.area > 0 for polygon in polygons):
        return ()
    ranked = sorted(polygons, key=lambda polygon: -polygon.area)
    parts: list[tuple[shapely.Polygon, list[shapely.Polygon]]] = []
    for polygon in ranked:
        around = next(((whole, holes) for whole, holes in parts if whole.contains(polygon)), None)
        if around is None and not any(whole.intersects(polygon) for whole, _ in parts):
            parts.append((polygon, []))
        elif around is not None and not any(hole.intersects(polygon) for hole in around[1]):
            around[1].append(polygon)
        else:
            return ()  # parts that touch, or a part in a hole: nothing that a simple polygon says
    return tuple(
        PolygonPart(_ring(whole, is_hole=False), tuple(_ring(hole, is_hole=True) for hole in holes))
        for whole, holes in parts
    )


def _ring(polygon: shapely.Polygon, *, is_hole: bool) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Clockwise on the screen, holes the other way round; not closed."""
    ring = np.asarray(polygon.exterior.coords, np.float64)[:-1]
    return ring[::-1] if polygon.exterior.is_ccw is is_hole else ring
