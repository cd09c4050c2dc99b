"""The objects of an image in the order of their ids: found and replaced without a look at all of them."""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence

from annotator.domain.project import Annotation, Edit

_ID = operator.attrgetter("id")
_FEW = 100
_SEARCH_STEPS = 16


def found_among(rows: Sequence[Annotation], ids: Iterable[int]) -> list[Annotation]:
    """Those of ``rows`` (by id, ascending) that have these ids, in their order."""
    return [rows[place] for place in places_among(rows, frozenset(ids))]


def places_among(rows: Sequence[Annotation], ids: Collection[int]) -> list[int]:
    """Where in ``rows`` (by id, ascending) those with these ids are, ascending."""
    if len(ids) * _SEARCH_STEPS > len(rows):  # one look at all of them is quicker than a search for each
        return [place for place, row in enumerate(rows) if row.id in ids]
    places = ((one, bisect_left(rows, one, key=_ID)) for one in sorted(ids))
    return [place for one, place in places if place < len(rows) and rows[place].id == one]


def with_objects(rows: Sequence[Annotation], fresh: Mapping[int, Annotation | None]) -> tuple[Annotation, ...]:
    """``rows`` (by id, ascending) with others of these ids; None: without."""
    if len(fresh) > _FEW:  # one look at all of them is quicker than a search and a shift for each
        kept = [row for row in rows if row.id not in fresh]
        return tuple(sorted([*kept, *(row for row in fresh.values() if row is not None)], key=_ID))
    result = list(rows)
    for object_id, row in fresh.items():
        place = bisect_left(result, object_id, key=_ID)
        has_one = place < len(result) and result[place].id == object_id
        result[place : place + has_one] = [] if row is None else [row]
    return tuple(result)


def after_edit(rows: Sequence[Annotation], edit: Edit, image_id: int) -> tuple[Annotation, ...]:
    """``rows``, the objects of an image (by id, ascending), as an edit leaves them."""
    changed = [one for one in edit.changes if isinstance(one.row, Annotation)]
    fresh: dict[int, Annotation | None] = {one.row.id: None for one in changed}
    for one in changed:
        if isinstance(one.after, Annotation) and one.after.image_id == image_id:
            fresh[one.after.id] = one.after
    return with_objects(rows, fresh)
