"""A run: which frames it reads, which tracks it asks for there, and when a track ends. Pure bookkeeping, no pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annotator.domain.ports.tracking import TrackAnswer, TrackState
from annotator.domain.tracks.track import Direction, Track

PATIENCE, VIDEO_PATIENCE, FINDING_PATIENCE = 2, 5, 30
"""So many frames running an object has to look lost before its track ends: in a stack; in a video; in a video with a
model that finds objects again."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a run: one track from a frame where it is certain.

    Attributes:
        start: position of the frame whose mask is carried; it is not written.
        stop: the last position to be answered; nothing is to be done where it is ``start``.
        memory: positions of frames before ``start`` that are certain, too, the oldest first.
    """

    track_id: int
    start: int
    stop: int
    memory: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        return abs(self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Ending:
    """A leg is over: ``last`` is the position of its last mask (``start`` where there is none)."""

    leg: Leg
    last: int
    is_lost: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a frame's answers lead to: masks that hold (also of frames before, which had to wait), and ends."""

    found: tuple[TrackAnswer, ...] = ()
    ended: tuple[Ending, ...] = ()


@dataclass(slots=True)
class _Going:
    leg: Leg
    last: int
    waiting: list[TrackAnswer]
    """Answers that look lost: they hold when the object is seen again, and are dropped when it is not."""


class CarryRun:
    """One pass over the frames of a series in one direction.

    Args:
        legs: of one track they follow each other and do not overlap.
        patience: so many answers running have to look lost before a track ends.
    """

    def __init__(self, legs: Sequence[Leg], direction: Direction, *, patience: int = PATIENCE) -> None:
        self._direction, self._patience = direction, patience
        self._coming = sorted((leg for leg in legs if leg.length), key=lambda leg: leg.start * direction)
        self._going: dict[int, _Going] = {}
        self._position = self._coming[0].start if self._coming else None
        self.total = len({at for leg in self._coming for at in positions(leg, direction)})
        self.done = 0

    @property
    def direction(self) -> Direction:
        return self._direction

    @property
    def position(self) -> int | None:
        """The frame that is needed now; None when the run is over."""
        return self._position

    @property
    def wanted(self) -> tuple[int, ...]:
        """Tracks that are to be answered at the position."""
        return tuple(self._going)

    @property
    def starting(self) -> tuple[Leg, ...]:
        """Legs whose mask is taken up at the position, after the answers."""
        return tuple(leg for leg in self._coming if leg.start == self._position)

    def take(self, answers: Iterable[TrackAnswer]) -> Outcome:
        """The answers at the position; the run goes on to the next one."""
        if self._position is None:
            raise ValueError("the run is over")
        found: list[TrackAnswer] = []
        ended: list[Ending] = []
        for answer in answers:
            going = self._going.get(answer.track_id)
            if going is None:
                continue
            held, ending = self._judged(going, answer)
            found += held
            if ending is not None:
                ended.append(ending)
                del self._going[answer.track_id]
        self.done += bool(self._going or ended)
        for leg in self.starting:
            self._going[leg.track_id] = _Going(leg, leg.start, [])
        self._coming = [leg for leg in self._coming if leg.start != self._position]
        self._advance()
        return Outcome(tuple(found), tuple(ended))

    @property
    def starts(self) -> dict[int, int]:
        """Where each track that is carried now was certain last, by its id."""
        return {track_id: one.leg.start for track_id, one in self._going.items()}

    def be_patient(self, patience: int) -> None:
        """Wait at least so long for objects to be seen again."""
        self._patience = max(self._patience, patience)

    def leave_out(self, reason_position: int) -> None:
        """The frame at the position cannot be read: it is passed over, tracks go on after it."""
        if self._position == reason_position:
            self._coming = [leg for leg in self._coming if leg.start != self._position]
            ended = [track_id for track_id, one in self._going.items() if one.leg.stop == self._position]
            for track_id in ended:
                del self._going[track_id]
            self.done += 1
            self._advance()

    def stop_track(self, track_id: int) -> None:
        """A person has taken the track over: it is not carried any further."""
        self._going.pop(track_id, None)
        self._coming = [leg for leg in self._coming if leg.track_id != track_id]

    def _judged(self, going: _Going, answer: TrackAnswer) -> tuple[list[TrackAnswer], Ending | None]:
        leg, is_last = going.leg, answer.position == going.leg.stop
        if answer.state is TrackState.LOST:
            going.waiting.append(answer)
            is_gone = answer.mask.is_empty and self._patience <= VIDEO_PATIENCE
            if len(going.waiting) >= self._patience or is_gone:
                return [], Ending(leg, going.last, True)
            if not is_last:
                return [], None
        else:
            going.waiting.append(answer)
        held = [one for one in going.waiting if not one.mask.is_empty]
        going.waiting = []
        going.last = held[-1].position if held else going.last
        is_lost = is_last and answer.mask.is_empty
        return held, Ending(leg, going.last, is_lost) if is_last else None

    def _advance(self) -> None:
        if self._position is None:
            return
        if self._going:
            self._position += self._direction
        else:
            self._position = self._coming[0].start if self._coming else None


def positions(leg: Leg, direction: Direction) -> range:
    """The positions that a leg answers."""
    return range(leg.start + direction, leg.stop + direction, direction)


def leg_of(track: Track, start: int, direction: Direction, *, limit: int, blocked: Iterable[int] = ()) -> Leg:
    """From a frame of a track up to the next key frame, or as far as allowed.

    Args:
        limit: the last position that may be written: an end of the series, or a mark.
        blocked: positions of images that a person has found to be empty: the object is not there, nor beyond.
    """
    ends = [at - direction for at in (track.key_beyond(start, direction),) if at is not None]
    ends += [at - direction for at in blocked if (at - start) * direction > 0]
    stop = min([limit, *ends], key=lambda at: at * direction)
    stop = start if (stop - start) * direction < 0 else stop
    keys = [at for at in track.keys if (start - at) * direction > 0]
    return Leg(track.id, start, stop, tuple(sorted(keys, key=lambda at: at * direction)[-1:]))


def legs_between_keys(track: Track, direction: Direction, *, limit: int) -> list[Leg]:
    """From every key frame of a track to the next one, and from the last one on."""
    return [leg_of(track, at, direction, limit=limit) for at in track.keys]
