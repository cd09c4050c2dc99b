"""What a run writes into the project: in pieces while it goes on, as one step back when it is over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from annotator.domain.ports.tracking import CarryResult
from annotator.domain.project import Annotation, Edit, ImageRecord, RowChange
from annotator.domain.tracks.edits import (
    CarriedMask,
    RunFacts,
    beginning_changes,
    carried_changes,
    lost_change,
    stale_changes,
)
from annotator.domain.tracks.plan import RECORD_KEY, Pass, RunRecord
from annotator.domain.tracks.run import Ending, Outcome
from annotator.domain.tracks.track import is_key
from annotator.io.project.joined_edits import join_edits
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import utc_now

FRAMES_AT_ONCE, SECONDS_AT_ONCE = 16, 1.0


class CarryWriter:
    """Of one run.

    Args:
        likes: an object of each track, by its id.
        slices: all images of the series, by position.
    """

    def __init__(
        self,
        session: ProjectSession,
        record: RunRecord,
        likes: dict[int, Annotation],
        slices: Sequence[ImageRecord],
    ) -> None:
        self._session, self.record, self.likes, self._slices = session, record, likes, tuple(slices)
        self._facts = RunFacts(record.id, record.origin, author=session.author, created_at=utc_now())
        self._waiting: list[CarriedMask] = []
        self._ends: list[tuple[Ending, int]] = []
        self._frames, self._since_s = 0, time.monotonic()
        self.written = 0
        """Masks so far."""

    def begin(self, rows: Sequence[Annotation], direction: int) -> bool:
        """The objects that it starts from become tracks. False when that could not be written."""
        store = self._session.store
        if store is None:
            return False
        changes = beginning_changes(rows, direction, new_track=lambda: store.new_id("track"))
        is_written = self._apply(changes)
        self.remember(self.record.passes)
        return is_written

    def take(self, outcome: Outcome, starts: dict[int, int], direction: int, result: CarryResult) -> None:
        """What a frame has led to; it is written with the next :meth:`commit`."""
        self._facts = replace(
            self._facts, model=result.model.name, model_sha256=result.model.sha256, adapter=result.adapter
        )
        for answer in outcome.found:
            like, image = self.likes[answer.track_id], self._slices[answer.position]
            start = starts.get(answer.track_id, answer.position)
            self._waiting.append(CarriedMask(answer, image, None, like, direction, start))
        self._ends += [(ending, direction) for ending in outcome.ended if ending.is_lost]
        self._frames += 1

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        return self._frames >= FRAMES_AT_ONCE or time.monotonic() - self._since_s >= SECONDS_AT_ONCE

    def commit(self) -> tuple[bool, list[int]]:
        """Write what waits. Whether that worked, and the tracks that a person has taken over meanwhile."""
        store = self._session.store
        waiting, self._waiting, ends, self._ends = self._waiting, [], self._ends, []
        self._frames, self._since_s = 0, time.monotonic()
        if store is None or not (waiting or ends):
            return store is not None, []
        placed = [
            replace(one, image=store.image(one.image.id), here=self._here(one.image.id, one.answer.track_id))
            for one in waiting
        ]
        changes, taken_over = carried_changes(placed, self._facts, new_id=lambda: store.new_id("annotation"))
        is_written = self._apply(changes)
        self.written += sum(isinstance(change.after, Annotation) for change in changes) if is_written else 0
        if is_written and ends:
            is_written = self._apply([change for ending, way in ends for change in self._end(ending, way)])
        return is_written, taken_over

    def remember(self, passes: Sequence[Pass]) -> None:
        """What is still to be done, for a program that is killed meanwhile."""
        self.record = replace(self.record, passes=tuple(passes))
        self._session.remember(RECORD_KEY, self.record.to_text())

    def finish(self) -> None:
        """It is over: one step takes it back, and nothing is left to go on with."""
        store = self._session.store
        if store is not None:
            self._session.attempt(lambda: join_edits(store, self.record.edits, self.record.title), "join edits")
            self._session.remember(RECORD_KEY, "")

    def _here(self, image_id: int, track_id: int) -> Annotation | None:
        store = self._session.store
        rows = [row for row in store.annotations(image_id) if row.track_id == track_id] if store is not None else []
        return max(rows, key=lambda row: (is_key(row), row.area), default=None)

    def _end(self, ending: Ending, direction: int) -> list[RowChange]:
        """The track was lost after a frame: that is marked, and what an earlier run left beyond goes."""
        leg, store = ending.leg, self._session.store
        if store is None:
            return []
        last = self._here(self._slices[ending.last].id, leg.track_id)
        changes = [lost_change(last, direction)] if last is not None else []
        beyond = range(ending.last + direction, leg.stop + direction, direction)
        rows = (self._here(self._slices[at].id, leg.track_id) for at in beyond)
        return [*filter(None, changes), *stale_changes(filter(None, rows), direction)]

    def _apply(self, changes: Sequence[RowChange]) -> bool:
        store = self._session.store
        if not changes or store is None:
            return True
        edit = Edit(self.record.title, tuple(changes))
        if not self._session.attempt(lambda: self._session.apply(edit)):
            return False
        self.record = replace(self.record, edits=(*self.record.edits, store.edit_mark()[0]))
        return True
