"""Key frames, doubtful frames and carried masks of tracks: what a person does with what was carried."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.domain.project import Annotation, Edit, RowChange
from annotator.domain.tracks.edits import delete_carried_edit, key_edit, split_track_edit
from annotator.domain.tracks.track import LOST_KEY, Track, is_key, tracks_of
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow


class TrackEdits(QObject):
    """One per window."""

    def __init__(self, window: MainWindow, session: ProjectSession) -> None:
        super().__init__(window)
        self._session, self._objects, self._notices = session, window.objects, window.notices
        self._wanted: tuple[int, int] | None = None
        """An image, and the object that is to be selected once it is shown."""

    def toggle_key(self) -> None:
        """Make key frames of the selected objects, or where they are that already, give it up."""
        rows = [row for row in self._chosen() if row.track_id]
        if not rows:
            self._tell("There is no object of a track here.")
        elif self._apply(key_edit(rows)):
            were_keys = all(map(is_key, rows))
            self._tell("No key frame any more." if were_keys else "A key frame now: runs leave it as it is.")

    def go_doubtful(self, step: int) -> None:
        """The next frame of the selected track, else of any, that needs a look (+1), or the one before (-1)."""
        image = self._session.image
        if image is None:
            return
        chosen = {row.track_id for row in self._selected() if row.track_id}
        members = [
            one
            for track in self._tracks().values()
            for one in track.members.values()
            if one.needs_a_look and (not chosen or one.track_id in chosen)
        ]
        beyond = [one for one in members if (one.position - image.position) * step > 0]
        found = min(beyond, key=lambda one: one.position * step, default=None)
        if found is None:
            which = "after" if step > 0 else "before"
            self._tell(f"Nothing doubtful {which} this frame." if members else "Nothing is doubtful here.")
            return
        self._wanted = (found.image_id, found.annotation_id)
        self._session.go_to(found.image_id)

    def on_picture(self, image_id: int) -> None:
        """An image is on the canvas: the object that was walked to is selected."""
        wanted, self._wanted = self._wanted, None
        if wanted is None or wanted[0] != image_id:
            return
        row = next((one for one in self._session.annotations if one.id == wanted[1]), None)
        if row is not None:
            self._objects.select_ids(frozenset({row.id}))
            lost = " The track was lost beyond it." if LOST_KEY in row.extra else ""
            trust = "no confidence" if row.score is None else f"confidence {row.score:.2f}"
            self._notices.tell(f"Frame {self._place()}: {trust}.{lost}", about=Subject.SELECTION)

    def delete_carried(self) -> None:
        """Take the carried masks of the selected tracks, else of all on this image, away from here on."""
        image = self._session.image
        store, chosen = self._session.store, {row.track_id for row in self._chosen() if row.track_id}
        if image is None or store is None or not chosen:
            self._tell("There is no object of a track here.")
            return
        ids = [
            one.annotation_id
            for track_id, track in self._tracks().items()
            for at, one in track.members.items()
            if track_id in chosen and at >= image.position and not one.is_key
        ]
        edit = delete_carried_edit([store.annotation(one) for one in ids])
        if not edit.changes:
            self._tell("There are no carried masks from here on.")
        elif self._apply(edit):
            self._tell(f"{counted(len(edit.changes), 'carried mask')} deleted; key frames stay.")

    def split(self) -> None:
        """From this frame on the selected tracks are others."""
        image = self._session.image
        store, tracks = self._session.store, self._tracks()
        chosen = [tracks[row.track_id] for row in self._chosen() if row.track_id in tracks]
        if image is None or store is None or not chosen:
            self._tell("There is no object of a track here.")
            return
        changes: list[RowChange] = []
        for track in chosen:
            ids = [one.annotation_id for at, one in track.members.items() if at >= image.position]
            changes += split_track_edit([store.annotation(one) for one in ids], store.new_id("track")).changes
        if self._apply(Edit("split track", tuple(changes))):
            self._tell("From this frame on it is a track of its own.")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _tracks(self) -> dict[int, Track]:
        """Those of the series that the image is a slice of."""
        store, series = self._session.store, self._session.slices.series_of(self._session.image)
        return {} if store is None or series is None else tracks_of(store.tracks.members(series.id))

    def _selected(self) -> list[Annotation]:
        ids = self._objects.selected_ids()
        return [row for row in self._session.annotations if row.id in ids]

    def _chosen(self) -> Sequence[Annotation]:
        """The selected objects, else all of the image."""
        return self._selected() or list(self._session.annotations)

    def _place(self) -> int:
        return 0 if self._session.image is None else self._session.image.position + 1

    def _apply(self, edit: Edit) -> bool:
        return self._session.is_writable and self._session.attempt(lambda: self._session.apply(edit))

    def _tell(self, text: str) -> None:
        self._notices.tell(text, about=Subject.SELECTION)
