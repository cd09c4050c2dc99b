"""The order in which accepted objects are looked at again: what the model trusted least comes first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass

Place = tuple[bool, float, int]
"""Where an object stands in the order; also where a walk is when the object itself has gone."""


@dataclass(frozen=True, slots=True)
class ReviewedObject:
    """An accepted object and its predicted IoU (0..1; None where no model made it)."""

    annotation_id: int
    image_id: int
    score: float | None

    @property
    def place(self) -> Place:
        """Scored objects by their predicted IoU, then those without one; ties in the order of acceptance."""
        return self.score is None, 0.0 if self.score is None else self.score, self.annotation_id


class ReviewOrder:
    """All objects of a project, the least certain first; kept in order while objects come, change and go."""

    def __init__(self, objects: Iterable[ReviewedObject] = ()) -> None:
        self._objects = {found.annotation_id: found for found in objects}
        self._places = sorted(found.place for found in self._objects.values())

    def __len__(self) -> int:
        return len(self._places)

    def put(self, found: ReviewedObject) -> None:
        """An object is new, or has another predicted IoU now."""
        self.remove(found.annotation_id)
        self._objects[found.annotation_id] = found
        insort(self._places, found.place)

    def remove(self, annotation_id: int) -> bool:
        """An object has gone; False when it was not there."""
        old = self._objects.pop(annotation_id, None)
        if old is None:
            return False
        del self._places[bisect_left(self._places, old.place)]
        return True

    def after(self, place: Place | None) -> ReviewedObject | None:
        """The next object beyond a place (None: the least certain one); None at the end."""
        at = 0 if place is None else bisect_right(self._places, place)
        return self._objects[self._places[at][2]] if at < len(self._places) else None

    def before(self, place: Place | None) -> ReviewedObject | None:
        """The object before a place (None: the most certain one); None at the beginning."""
        at = (len(self._places) if place is None else bisect_left(self._places, place)) - 1
        return self._objects[self._places[at][2]] if at >= 0 else None

    def rank(self, found: ReviewedObject) -> int:
        """From 1, the least certain."""
        return bisect_left(self._places, found.place) + 1
