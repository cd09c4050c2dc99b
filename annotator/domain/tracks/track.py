"""Tracks: one object through the images of a series. Its objects share ``track_id``, at most one of them an image.

A **key frame** of a track is a mask that a person made, corrected or approved. The others were carried there from key
frames, with a confidence in their ``score``. Nothing but a person changes a key frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from annotator.domain.project import Annotation, Review

PROPAGATED, INTERPOLATED, CONFIRMED = "propagated", "interpolated", "confirmed"
"""Origins of objects: carried from one side, filled in between two key frames, carried and taken by a person."""
CARRIED_ORIGINS = (PROPAGATED, INTERPOLATED)
DOUBTFUL_BELOW = 0.7
"""Carried masks of a smaller confidence (expected IoU) are to be looked at."""
LOST_KEY = "lost"
"""In an object's ``extra``: directions (1, -1) in which the track was lost right after it."""
CARRIED_KEY = "carried"
"""In a carried object's ``extra``: ``run``, ``direction`` and ``from`` (positions of the key frames)."""

Direction = Literal[1, -1]


def is_carried(origin: str, review: Review) -> bool:
    """Whether an object was carried to its image, and nobody has approved it since."""
    return origin in CARRIED_ORIGINS and review is not Review.APPROVED


def is_key(annotation: Annotation) -> bool:
    """Whether a person answers for the mask: a run starts from it and never writes over it."""
    return not is_carried(annotation.origin, annotation.review)


def lost_after(extra: Mapping[str, Any]) -> frozenset[int]:
    """The directions in which a track was lost right after an object, from its ``extra``."""
    found = extra.get(LOST_KEY)
    return frozenset(one for one in found if one in (1, -1)) if isinstance(found, list) else frozenset()


@dataclass(frozen=True, slots=True)
class TrackMember:
    """An object of a track without its mask.

    Attributes:
        position: of its image in the series, from 0.
        score: of a carried one the confidence, 0..1.
        lost: directions in which the track was lost right after it.
        carried_by: direction of the run that made a carried one, 0 for others.
        box_xywh: in image pixels; area: in pixels.
    """

    annotation_id: int
    image_id: int
    track_id: int
    category_id: int
    position: int
    is_key: bool
    score: float | None = None
    lost: frozenset[int] = frozenset()
    carried_by: int = 0
    box_xywh: tuple[int, int, int, int] = (0, 0, 0, 0)
    area: int = 0

    @property
    def is_doubtful(self) -> bool:
        """Carried with little confidence, or with none that is known."""
        return not self.is_key and (self.score is None or self.score < DOUBTFUL_BELOW)

    @property
    def needs_a_look(self) -> bool:
        """Doubtful, or the last one before the track was lost."""
        return self.is_doubtful or bool(self.lost)


@dataclass(frozen=True, slots=True)
class Track:
    """One object through a series.

    Attributes:
        members: by position; where an image has several objects of the track, the key frame of them, else the largest.
    """

    id: int
    members: Mapping[int, TrackMember]

    @property
    def keys(self) -> tuple[int, ...]:
        """Positions of the key frames, in order."""
        return tuple(sorted(at for at, one in self.members.items() if one.is_key))

    def key_beyond(self, position: int, direction: Direction) -> int | None:
        """The nearest key frame after a position in a direction; None when there is none."""
        beyond = [at for at in self.keys if (at - position) * direction > 0]
        return min(beyond, key=lambda at: abs(at - position), default=None)


def tracks_of(members: Iterable[TrackMember]) -> dict[int, Track]:
    """Tracks by id."""
    rows: dict[int, dict[int, TrackMember]] = defaultdict(dict)
    for one in members:
        here = rows[one.track_id].get(one.position)
        if here is None or (one.is_key, one.area) > (here.is_key, here.area):
            rows[one.track_id][one.position] = one
    return {track_id: Track(track_id, found) for track_id, found in rows.items()}
