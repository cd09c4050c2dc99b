"""What tells classes apart beside their colour: a number and a shape."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from annotator.domain.project import Category

FIRST_WITHOUT_KEY = 10


class Shape(StrEnum):
    SQUARE = "square"
    CIRCLE = "circle"
    DIAMOND = "diamond"
    HOUSE = "house"
    HEXAGON = "hexagon"


_SHAPES = tuple(Shape)


def shape_of(category_id: int) -> Shape:
    """The same for a class all its life; classes made one after the other differ."""
    return _SHAPES[(category_id - 1) % len(_SHAPES)]


def numbers_of(categories: Iterable[Category]) -> dict[int, int]:
    """The number of each class by its id: the key that picks it, and those without one count on from 10."""
    found, following = {}, FIRST_WITHOUT_KEY
    for category in categories:
        found[category.id] = category.key or following
        following += not category.key
    return found
