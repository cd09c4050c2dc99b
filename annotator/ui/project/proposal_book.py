"""What the project file says of the proposals of one image, kept in step with what the person sees."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from PySide6.QtCore import QTimer

from annotator.domain.proposals.resuming import SearchMark
from annotator.domain.proposals.review import ProposalReview
from annotator.domain.proposals.table import ProposalTable
from annotator.io.project.proposals import COVERED, DROPPED, OPEN, write_items, write_search, write_states
from annotator.ui.project.session import ProjectSession

AFTER_EDIT_MS = 50
"""While a large edit is on its way into the file, it is asked so often whether it is there."""
STATES_AT_ONCE = 150
"""So many that are covered now, or not any more, are written in one turn of the window."""


class ProposalBook:
    """Serves a session, as the draft book does. Only what differs is written.

    Args:
        review: what the person sees now.
    """

    def __init__(self, session: ProjectSession, review: Callable[[], ProposalReview]) -> None:
        self._session, self._review = session, review
        self._later = QTimer(session)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._on_later)
        self._is_beside = False
        """Whether the event that wanted it is over: this timer's first turn may be part of it."""
        self._image_id = 0
        self.is_read = True
        """Whether what the file has is in the review, so that what is not there is gone."""
        self._table: ProposalTable | None = None
        """What the file has been compared with."""
        self._states: dict[int, int] = {}
        """Of every proposal in the file."""
        self._scores: dict[int, float] = {}
        self._dropped: frozenset[int] = frozenset()
        self._gone: frozenset[int] = frozenset()
        self.search: SearchMark | None = None
        """How far a search in the image has come that is not finished; written with its proposals."""
        self._kept_search: SearchMark | None = None

    def open(self, image_id: int) -> list[tuple[Any, ...]]:
        """The rows of an image, for :func:`annotator.io.project.proposals.kept_rows`."""
        rows: list[tuple[Any, ...]] = []
        store = self._session.store
        if store is not None:
            self._session.attempt(lambda: rows.extend(store.proposals.rows(image_id)))
        self.close()
        if store is not None:
            self._session.attempt(lambda: self._read_search(image_id))
        self._image_id = image_id
        self._states = {row[0]: row[-1] for row in rows if isinstance(row[0], int)}
        self._scores = {row[0]: row[4] for row in rows if isinstance(row[0], int)}
        self.is_read = not rows
        return rows

    def _read_search(self, image_id: int) -> None:
        store = self._session.store
        self.search = self._kept_search = None if store is None else store.proposals.search(image_id)

    def close(self) -> None:
        """No image."""
        self._image_id, self._table, self._states, self._scores = 0, None, {}, {}
        self._dropped = self._gone = frozenset()
        self.search = self._kept_search = None

    def keep_soon(self) -> None:
        """Beside this step, and after a large edit that is on its way: the window does not stand still for it."""
        self._is_beside = False
        self._later.start(0)

    def _on_later(self) -> None:
        if not self._is_beside:
            self._is_beside = True
            self._later.start(0)
        elif self._session.large.is_busy:
            self._later.start(AFTER_EDIT_MS)
        else:
            self.keep(self._review(), most=STATES_AT_ONCE)

    def keep(self, review: ProposalReview, *, most: int | None = None) -> None:
        """Written when it returns; through a crash, not a power cut. More than ``most`` states follow in turns of their
        own."""
        store, image_id, table = self._session.store, self._image_id, review.table
        if store is None or not image_id or store.is_read_only or not self.is_read:
            return
        dropped, gone, search = review.dropped, review.gone, self.search
        if table is self._table:
            added, left, asked = [], [], (dropped ^ self._dropped) | (gone ^ self._gone)
        else:
            added = [item for item in table.items if self._scores.get(item.id) != item.score]
            for item in added:
                self._states.pop(item.id, None)  # written anew, as one that is open
            left = [one for one in self._states if one not in table]
            asked = frozenset(table.index)
        known = dict.fromkeys((item.id for item in added), OPEN)
        now = {one: DROPPED if one in dropped else COVERED if one in gone else OPEN for one in asked}
        different = {one: state for one, state in now.items() if self._states.get(one, known.get(one)) != state}
        is_all = most is None or len(different) <= most
        different = dict(islice(different.items(), most))

        def write() -> None:
            if added or left:
                store.write_beside(lambda file: write_items(file, image_id, added=added, gone=left))
            if different:
                store.write_beside(lambda file: write_states(file, image_id, different))
            if search != self._kept_search:
                store.write_beside(lambda file: write_search(file, image_id, search))

        if self._session.attempt(write):
            for one in left:
                self._states.pop(one, None)
                self._scores.pop(one, None)
            self._states |= known | different
            self._scores |= {item.id: item.score for item in added}
            self._kept_search = search
            if is_all:
                self._table, self._dropped, self._gone = table, dropped, gone
            else:
                self._table = None  # to be compared with again
                self._later.start(0)
