"""Objects of a project that do not overlap: what an accept does to the objects that are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from annotator.domain.errors import UserError
from annotator.domain.mask import Mask
from annotator.domain.object_edits import by_hand
from annotator.domain.operations import union
from annotator.domain.project import Annotation, Edit, RowChange


class Overlap(StrEnum):
    """Kept in the project file."""

    ALLOWED = "allowed"
    YIELDS = "the new one yields"
    TAKES = "the new one takes"

    @classmethod
    def of(cls, text: str | None) -> Overlap:
        """What a project file has; anything unknown: allowed."""
        return cls(text) if text in set(cls) else cls.ALLOWED


def without_overlap(
    edit: Edit, neighbours: Iterable[tuple[Annotation, Mask]], rule: Overlap, *, locked: frozenset[int] = frozenset()
) -> Edit:
    """The edit of an accept, changed so that objects share no pixel.

    Args:
        edit: its first change is the object that is accepted.
        neighbours: the other objects of the image, at least those whose boxes meet.
        locked: ids of objects that may not be changed: to these a new one always yields.

    Raises:
        UserError: nothing would be left of the new object, or of one that is there.
    """
    new = edit.changes[0].after if edit.changes else None
    if rule is Overlap.ALLOWED or not isinstance(new, Annotation):
        return edit
    mask = new.mask()
    met = [(row, there) for row, there in neighbours if row.id != new.id and mask.intersection_area(there)]
    given = [there for row, there in met if rule is Overlap.YIELDS or row.id in locked]
    left = mask.subtract(union(tuple(given), width=mask.width, height=mask.height)) if given else mask
    if left.is_empty:
        raise UserError(
            "Nothing would be left of this object: others cover it, and objects do not overlap in this project.",
            "Erase the others there first, or choose another rule under Object, Overlap.",
        )
    changes = [RowChange(edit.changes[0].before, new.with_mask(left) if given else new)]
    if rule is Overlap.TAKES:
        for row, there in met:
            if row.id in locked:
                continue
            rest = there.subtract(left)
            changes.append(RowChange(row, None if rest.is_empty else by_hand(row, rest)))
    return replace(edit, changes=(*changes, *edit.changes[1:]))
