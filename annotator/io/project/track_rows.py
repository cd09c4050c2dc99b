"""What can be asked of an open project about its tracks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from annotator.domain.project import Annotation, Review, Row
from annotator.domain.tracks.track import CARRIED_KEY, LOST_KEY, TrackMember, is_carried, lost_after
from annotator.io.project.foreign_values import json_of, text_of

_WHOLE = ("id", "image_id", "track_id", "category_id", "x", "y", "w", "h", "area")
_COLUMNS = (*_WHOLE, "origin", "review", "score", "extra")
_DIRECTION = re.compile(r'"direction":\s*(-?1)\b')
"""Of thousands of members: all of their JSON would take too long."""


class TrackRows:
    """Part of :class:`annotator.io.project.queries.ProjectQueries`, whose way to rows it is given."""

    def __init__(self, rows: Callable[..., list[Row]], fetch: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._rows, self._fetch = rows, fetch

    def members(self, series_id: int) -> list[TrackMember]:
        """All objects of tracks in a series, without their masks, in order of place and id."""
        columns = ", ".join(f"annotation.{name}" for name in _COLUMNS)
        found = self._fetch(
            f"SELECT image.position, {columns} FROM annotation JOIN image ON image.id = annotation.image_id "
            "WHERE image.series_id = ? AND annotation.track_id > 0 ORDER BY image.position, annotation.id",
            series_id,
        )
        whole = 1 + len(_WHOLE)
        return [_member(*row) for row in found if all(isinstance(value, int) for value in row[:whole])]

    def objects(self, track_id: int) -> list[Annotation]:
        """All objects of a track, with their masks, in the order of their ids."""
        return cast(list[Annotation], self._rows("annotation", "WHERE track_id = ? ORDER BY id", track_id))


def _member(position: int, *values: Any) -> TrackMember:
    row = dict(zip(_COLUMNS, values, strict=True))
    origin, review = text_of(row["origin"]) or "", row["review"]
    text = text_of(row["extra"]) or ""
    found = _DIRECTION.search(text) if CARRIED_KEY in text else None
    has_been_carried = is_carried(origin, Review(review) if review in set(Review) else Review.OPEN)
    return TrackMember(
        row["id"],
        row["image_id"],
        row["track_id"],
        row["category_id"],
        position,
        not has_been_carried,
        row["score"] if isinstance(row["score"], int | float) else None,
        lost_after(_extra(text)) if f'"{LOST_KEY}"' in text else frozenset(),
        int(found[1]) if has_been_carried and found is not None else 0,
        (row["x"], row["y"], row["w"], row["h"]),
        row["area"],
    )


def _extra(text: str) -> dict[str, Any]:
    try:
        found = json_of(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
