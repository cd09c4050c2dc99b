"""Counts in words: one object, two objects."""

from __future__ import annotations


def noun_for(count: int, noun: str, plural: str = "") -> str:
    """``noun`` as it is said of so many; ``plural`` where that is not the noun and an s."""
    return noun if count == 1 else plural or f"{noun}s"


def number_text(number: int) -> str:
    """With its thousands set apart by a space that never breaks."""
    return f"{number:,}".replace(",", "\u202f")


def counted(count: int, noun: str = "object", plural: str = "") -> str:
    """The count and its noun: 1 object, 2 objects, 0 classes; thousands are set apart by a space that never breaks."""
    return f"{number_text(count)} {noun_for(count, noun, plural)}"
