"""What a check of a project may find, a row each, and one thing that was found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """``error``: nobody wants that; ``warning``: mostly not; ``note``: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Repair(StrEnum):
    """What can be done about a finding by itself; each is an edit that can be undone."""

    NONE = ""
    DELETE = "delete"
    SUBTRACT = "subtract"
    FILL = "fill holes"
    DROP = "drop islands"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check.

    Attributes:
        title: of a finding, for the person.
        tip: what is looked for, one sentence.
        repair: what is offered. other: what can be done instead.
        needs_pixels: whether images are read for it, which takes far longer than all others.
    """

    id: str
    title: str
    severity: Severity
    tip: str
    repair: Repair = Repair.NONE
    other: Repair = Repair.NONE
    needs_pixels: bool = False


CHECKS: tuple[CheckSpec, ...] = (
    CheckSpec(
        "duplicate",
        "Duplicate",
        Severity.ERROR,
        "Two objects of an image are nearly the same.",
        Repair.DELETE,
        Repair.MERGE,
    ),
    CheckSpec(
        "contained",
        "Inside another",
        Severity.WARNING,
        "An object lies wholly in another.",
        Repair.SUBTRACT,
        Repair.MERGE,
    ),
    CheckSpec("overlap", "Overlap", Severity.WARNING, "Two objects share pixels.", Repair.SUBTRACT, Repair.MERGE),
    CheckSpec("speck", "Speck", Severity.ERROR, "An object has very few pixels.", Repair.DELETE),
    CheckSpec("sliver", "Sliver", Severity.WARNING, "An object is nowhere wider than two pixels.", Repair.DELETE),
    CheckSpec("islands", "Islands", Severity.WARNING, "Small parts lie apart from the main one.", Repair.DROP),
    CheckSpec("apart", "Parts far apart", Severity.WARNING, "Parts lie further apart than they are large."),
    CheckSpec("holes", "Holes", Severity.WARNING, "Small holes in an object.", Repair.FILL),
    CheckSpec("border", "Cut at the border", Severity.NOTE, "An object ends at the border of its image."),
    CheckSpec("size", "Unusual size", Severity.NOTE, "Much larger or smaller than others of its class."),
    CheckSpec("score", "Unusual score", Severity.NOTE, "The model trusted it far less than others of its class."),
    CheckSpec(
        "edges",
        "Ignores edges",
        Severity.NOTE,
        "An outline lies on no edge of the image, where images are read.",
        needs_pixels=True,
    ),
    CheckSpec("done-without", "Done without objects", Severity.WARNING, "An image is done and has no object."),
    CheckSpec("empty-with", "Empty with objects", Severity.ERROR, "An image is marked empty and has objects."),
    CheckSpec("class-names", "Class names alike", Severity.ERROR, "Names of classes differ by case or spaces alone."),
    CheckSpec("unusable", "Unusable", Severity.ERROR, "An object cannot be read."),
)
CHECK_OF = {spec.id: spec for spec in CHECKS}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        check: id of the :class:`CheckSpec`.
        image_id: 0 where it is about no image.
        object_ids: whom it is about; of two the first is the one that a repair changes.
        value: how bad: a share, a number of pixels; sorts findings of one check.
        text: what is wrong, in half a sentence.
        mark: names the finding as long as what it is about stays as it is: what is waived by it comes again when an
            object was changed.
    """

    check: str
    image_id: int
    object_ids: tuple[int, ...]
    value: float
    text: str
    mark: str

    @property
    def spec(self) -> CheckSpec:
        return CHECK_OF[self.check]


def mark_of(check: str, image_id: int, object_ids: Iterable[int], content: Iterable[bytes] = ()) -> str:
    """A short name for a finding, from what it is about and the run lengths of that."""
    digest = hashlib.sha256(b"\0".join(content)).hexdigest()[:16]
    return f"{check}:{image_id}:{','.join(map(str, object_ids))}:{digest}"
