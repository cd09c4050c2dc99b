"""Tracks as bars: nothing is left out, and none lies over another."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.tracks.bars import CELLS, bars_of, coarse, row_count
from annotator.domain.tracks.track import TrackMember

PLACES = st.sets(st.integers(0, 30), min_size=1)


def members_of(tracks: dict[int, set[int]], doubtful: frozenset[int] = frozenset()) -> list[TrackMember]:
    return [
        TrackMember(100 * track + at, at + 1, track, 1, at, at % 7 == 0, 0.2 if at in doubtful else 0.9)
        for track, places in tracks.items()
        for at in places
    ]


@given(st.dictionaries(st.integers(1, 12), PLACES, max_size=12), st.frozensets(st.integers(0, 30)))
def test_bars_hold_every_object_and_share_rows_without_meeting(tracks, doubtful) -> None:
    bars = bars_of(members_of(tracks, doubtful))
    assert {bar.track_id: {at for span in bar.spans for at in range(*span)} for bar in bars} == tracks
    taken: dict[int, set[int]] = {}
    for bar in bars:
        whole = set(range(bar.spans[0][0], bar.spans[-1][1]))
        assert not whole & taken.setdefault(bar.row, set())
        taken[bar.row] |= whole
        marked = {at for span in bar.doubtful for at in range(*span)}
        assert marked == {at for at in tracks[bar.track_id] & doubtful if at % 7}
        assert set(bar.keys) == {at for at in tracks[bar.track_id] if at % 7 == 0}
    assert set(taken) == set(range(row_count(bars)))


def test_those_that_are_looked_at_come_first() -> None:
    tracks = {1: {0, 1, 2}, 2: {1, 2, 3}, 3: {9, 10}}
    assert [(bar.track_id, bar.row) for bar in bars_of(members_of(tracks))] == [(1, 0), (2, 1), (3, 0)]
    assert [(bar.track_id, bar.row) for bar in bars_of(members_of(tracks), {2})] == [(2, 0), (1, 1), (3, 0)]


@given(st.dictionaries(st.integers(1, 3), st.sets(st.integers(0, 999), min_size=1), max_size=3), st.integers(1, 9))
def test_a_long_series_has_few_runs_and_none_of_its_objects_is_hidden(tracks, times) -> None:
    bars, count = bars_of(members_of(tracks, frozenset(range(0, 1000, 3)))), 1000 * times
    unit = max(1, count // CELLS)
    for bar, shown in zip(bars, coarse(bars, count), strict=True):
        for exact, drawn in ((bar.spans, shown.spans), (bar.doubtful, shown.doubtful)):
            covered = {at for span in drawn for at in range(*span)}
            assert {at for span in exact for at in range(*span)} <= covered
            assert all(after[0] - before[1] >= unit for before, after in itertools.pairwise(drawn))
            assert len(drawn) <= count // unit + 1
        assert {key // unit for key in bar.keys} == {key // unit for key in shown.keys}
        assert len(shown.keys) <= count // unit + 1
    assert unit > 1 or coarse(bars, count) == bars
