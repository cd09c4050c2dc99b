"""From what a person asks for to the legs of a run, and what is left of a run that was cut off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from annotator.domain.tracks.run import Leg, leg_of
from annotator.domain.tracks.track import Direction, Track

RECORD_KEY = "carry_run"
"""Under this key a project remembers the run that goes on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may write in a series.

    Attributes:
        first, last: positions.
        blocked: positions of images that a person found to be empty.
        gaps: positions after which slices are missing; a run stops there unless ``crosses_gaps``.
    """

    first: int
    last: int
    blocked: frozenset[int] = frozenset()
    gaps: frozenset[int] = frozenset()
    crosses_gaps: bool = False

    def end(self, start: int, direction: Direction) -> int:
        """The last position that may be written from ``start``."""
        limit = self.last if direction > 0 else self.first
        if self.crosses_gaps:
            return limit
        edges = [at if direction > 0 else at + 1 for at in self.gaps]
        ahead = [at for at in edges if (at - start) * direction >= 0]
        return min([limit, *ahead], key=lambda at: at * direction)

    def gap_before(self, leg: Leg, direction: Direction) -> bool:
        """Whether a leg ends because slices are missing."""
        return not self.crosses_gaps and (leg.stop if direction > 0 else leg.stop - 1) in self.gaps


@dataclass(frozen=True, slots=True)
class Pass:
    """Legs of one direction."""

    direction: Direction
    legs: tuple[Leg, ...]

    @property
    def is_empty(self) -> bool:
        return not any(leg.length for leg in self.legs)


def passes_from(
    tracks: Iterable[Track], position: int, directions: Sequence[Direction], limits: Limits, *, reach: int | None = None
) -> list[Pass]:
    """From a frame outwards.

    Args:
        reach: so many frames at most; None: as far as it goes.
    """
    known = list(tracks)
    found = []
    for direction in directions:
        legs = []
        for track in known:
            limit = limits.end(position, direction)
            if reach is not None:
                limit = min(limit, position + direction * reach, key=lambda at: at * direction)
            leg = leg_of(track, position, direction, limit=limit, blocked=limits.blocked)
            nearest = min(track.keys, key=lambda at: abs(at - position), default=position)
            is_on_key = nearest == position or leg.memory
            legs.append(leg if is_on_key else replace(leg, memory=(nearest,)))
        found.append(Pass(direction, tuple(leg for leg in legs if leg.length)))
    return [one for one in found if not one.is_empty]


def passes_between(tracks: Iterable[Track], position: int) -> list[Pass]:
    """Between the key frames to both sides of a position (on a key frame: from it to the next one, else from the one
    before)."""
    forward, backward = [], []
    for track in tracks:
        left = max((at for at in track.keys if at <= position), default=None)
        right = min((at for at in track.keys if at > position), default=None)
        if right is None and left == position:
            right, left = left, max((at for at in track.keys if at < position), default=None)
        if left is not None and right is not None and right - left > 1:
            forward.append(Leg(track.id, left, right - 1))
            backward.append(Leg(track.id, right, left + 1))
    return [Pass(1, tuple(forward)), Pass(-1, tuple(backward))] if forward else []


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a project remembers of a run that goes on: enough to go on after the program was killed.

    Attributes:
        passes: those that are not over, the first one begun.
        edits: numbers of what it has written.
    """

    id: str
    series_id: int
    title: str
    origin: str
    passes: tuple[Pass, ...]
    edits: tuple[int, ...] = ()

    def to_text(self) -> str:
        passes = [[one.direction, [[leg.track_id, leg.start, leg.stop] for leg in one.legs]] for one in self.passes]
        return json.dumps([self.id, self.series_id, self.title, self.origin, passes, list(self.edits)])

    @classmethod
    def from_text(cls, text: str) -> RunRecord | None:
        """None for a text that says no such thing, as in a stranger's project."""
        try:
            run, series, title, origin, passes, edits = json.loads(text)
            read = tuple(
                Pass(1 if direction > 0 else -1, tuple(Leg(int(t), int(a), int(b)) for t, a, b in legs))
                for direction, legs in passes
            )
            return cls(str(run), int(series), str(title), str(origin), read, tuple(int(one) for one in edits))
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None

    def left(self, tracks: Mapping[int, Track]) -> tuple[Pass, ...]:
        """What is still to be done, given what is in the project by now: each leg goes on from its last mask."""
        if not self.passes:
            return ()
        first, *others = self.passes
        legs = []
        for leg in first.legs:
            track = tracks.get(leg.track_id)
            if track is None or leg.start not in track.members:
                continue
            at = leg.start
            while at != leg.stop and (after := track.members.get(at + first.direction)) is not None:
                if after.is_key or after.carried_by != first.direction:
                    break
                at += first.direction
            if first.direction not in track.members[at].lost:
                legs.append(replace(leg, start=at, memory=(leg.start,) if at != leg.start else ()))
        rest = [Pass(first.direction, tuple(legs)), *others]
        return tuple(one for one in rest if not one.is_empty)
