"""Which objects are the examples of a search, and which image of a folder is searched next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from annotator.domain.project import Annotation

T = TypeVar("T")
MOST_EXAMPLES = 12
"""More teach nothing new, and each has to be looked at."""


def choose_examples(
    annotations: Sequence[Annotation],
    *,
    selected: Collection[int],
    before: Collection[int],
    fresh: Collection[int],
) -> tuple[Annotation, ...]:
    """Of the objects of an image: those that are selected; else the examples of the search before with what was
    accepted since; else the newest. All of one class, that of the newest.

    Args:
        before: ids of the examples of the last search. fresh: ids of objects that came since.
    """
    wanted = [one for one in annotations if one.id in selected]
    if not wanted:
        wanted = [one for one in annotations if one.id in before or one.id in fresh] or list(annotations[-1:])
    if not wanted:
        return ()
    kind = wanted[-1].category_id
    return few_of([one for one in wanted if one.category_id == kind or one.id in selected])


def few_of(objects: Sequence[T]) -> tuple[T, ...]:
    """The examples of so many objects, of which the newest are the last."""
    return tuple(objects[-MOST_EXAMPLES:])


def next_image(order: Sequence[int], current: int, left: Collection[int]) -> int | None:
    """Of the images that are left the one that the person comes to first: from the current one on, then backwards.

    Args:
        order: ids of all images. current: id of the one that is shown; it is left out.
    """
    at = order.index(current) if current in order else 0
    return next((one for one in (*order[at:], *reversed(order[:at])) if one in left and one != current), None)
