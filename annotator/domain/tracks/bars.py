"""Tracks as bars along a series: where each is, its key frames, and where it is doubtful. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from annotator.domain.tracks.track import Track, TrackMember, tracks_of

CELLS = 200
"""Into so many a series is parted at least, where not every slice can be told from the next."""
Span = tuple[int, int]
"""First position and the one after the last."""


@dataclass(frozen=True, slots=True)
class TrackBar:
    """One track.

    Attributes:
        category_id: of its first object.
        row: of the bars, from 0; tracks that are never on the same slice may share one.
        spans: where it has objects; doubtful: where these are to be looked at; both in order.
        keys: positions of key frames; lost: the last ones before it was lost.
    """

    track_id: int
    category_id: int
    row: int
    spans: tuple[Span, ...]
    doubtful: tuple[Span, ...] = ()
    keys: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()


def bars_of(members: Iterable[TrackMember], first: Collection[int] = ()) -> tuple[TrackBar, ...]:
    """Bars of all tracks, packed into few rows: by where they begin, and before all others those named in ``first``."""
    tracks = [track for track in tracks_of(members).values() if track.members]
    tracks.sort(key=lambda track: (track.id not in first, min(track.members), track.id))
    ends: list[int] = []
    """Of each row: the position after its last bar."""
    found = []
    for track in tracks:
        begin, end = min(track.members), max(track.members) + 1
        row = next((at for at, taken in enumerate(ends) if taken < begin), len(ends))
        ends[row:] = [end, *ends[row + 1 :]]
        found.append(_bar(track, row))
    return tuple(found)


def coarse(bars: Iterable[TrackBar], count: int) -> tuple[TrackBar, ...]:
    """The bars of a long series of ``count`` slices with what nobody could tell apart as one: runs grow
    together over small gaps, and none goes."""
    unit = max(1, count // CELLS)
    return tuple(
        replace(
            bar,
            spans=_coarse_spans(bar.spans, unit),
            doubtful=_coarse_spans(bar.doubtful, unit),
            keys=tuple({at // unit: at for at in reversed(bar.keys)}.values())[::-1],
        )
        for bar in bars
    )


def row_count(bars: Iterable[TrackBar]) -> int:
    return max((bar.row + 1 for bar in bars), default=0)


def _bar(track: Track, row: int) -> TrackBar:
    members = track.members
    places = sorted(members)
    return TrackBar(
        track.id,
        members[places[0]].category_id,
        row,
        _spans(places),
        _spans([at for at in places if members[at].is_doubtful]),
        track.keys,
        tuple(at for at in places if members[at].lost),
    )


def _coarse_spans(spans: tuple[Span, ...], unit: int) -> tuple[Span, ...]:
    """Runs whose gaps are shorter than a unit are one."""
    found: list[Span] = []
    for begin, end in spans:
        if found and begin - found[-1][1] < unit:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return tuple(found)


def _spans(places: list[int]) -> tuple[Span, ...]:
    """Runs of positions that follow each other."""
    found: list[Span] = []
    for at in places:
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return tuple(found)
