"""What has to happen outside when the work on an image changes, in this order."""

from __future__ import annotations

from dataclasses import dataclass

from annotator.domain.drafts.draft import OpenImage
from annotator.domain.project import Annotation


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the person a quiet sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class GiveUpWaiting:
    """What was to be done once no accept waits is not done: the person has to see to one of them first."""


@dataclass(frozen=True, slots=True)
class DropDecodes:
    """The engine need not answer drafts before this epoch."""

    before_epoch: int


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """The engine is to look at an image."""

    image: OpenImage


@dataclass(frozen=True, slots=True)
class Settle:
    """Store what can be stored, ask what has to be asked, report what is to be reported."""


@dataclass(frozen=True, slots=True, eq=False)
class Reclass:
    """Store another class for an object."""

    annotation: Annotation
    category_id: int


Effect = Say | GiveUpWaiting | DropDecodes | Encode | Settle | Reclass
Effects = tuple[Effect, ...]
