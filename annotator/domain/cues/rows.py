"""The kinds of cues, a row each, and their data in files and requests."""

from __future__ import annotations

from typing import Any

from annotator.domain.cues.cue import Cue, PlacedCue
from annotator.domain.cues.scribble import Scribble

KINDS: tuple[type[Cue], ...] = (Scribble,)
BY_NAME = {kind.kind: kind for kind in KINDS}
_DAMAGED = "a cue is damaged"


def cue_from_json(data: object) -> Cue:
    """Of ``{"kind": name, ...}``.

    Raises:
        ValueError: there is no such kind, or its data are damaged; with a sentence.
    """
    name = data.get("kind") if isinstance(data, dict) else None
    kind = BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(data, dict):
        raise ValueError(f"there is no kind of prompt {str(name)[:40]!r}; there are: {', '.join(sorted(BY_NAME))}")
    try:
        return kind.from_json(data)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"the {kind.title} is damaged: {error}") from None


def cue_to_json(cue: Cue) -> dict[str, Any]:
    """The other way."""
    return {"kind": cue.kind, **cue.to_json()}


def placed_to_json(placed: PlacedCue) -> dict[str, Any]:
    """With its place among the clicks of the object."""
    return {**cue_to_json(placed.cue), "first": placed.first, "count": placed.count}


def placed_from_json(rows: object, clicks: int) -> tuple[PlacedCue, ...]:
    """The cues of an object of so many clicks. One of a kind that is not known here (of a later version) leaves its
    clicks as they are.

    Raises:
        ValueError: they are damaged.
    """
    found, end = [], 0
    if not isinstance(rows, list):
        raise ValueError(_DAMAGED)
    for row in rows:
        if not isinstance(row, dict) or not all(type(row.get(name)) is int for name in ("first", "count")):
            raise ValueError(_DAMAGED)
        first, count = int(row["first"]), int(row["count"])
        if first < end or count < 1 or first + count > clicks:
            raise ValueError(_DAMAGED)
        end = first + count
        if row.get("kind") in BY_NAME:
            found.append(PlacedCue(cue_from_json(row), first, count))
    return tuple(found)
