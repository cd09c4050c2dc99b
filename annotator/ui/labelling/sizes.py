"""How large things are: tracks in the rows of their objects, and what is selected or being made in the status line.

Measured beside the window's thread: a track of a stack has hundreds of masks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.domain.drafts.state import RefineState
from annotator.domain.errors import UserError
from annotator.domain.extents import Spacing, longest_diameter
from annotator.domain.mask import Mask
from annotator.domain.media import Series, is_video_path
from annotator.domain.objects_in_order import found_among
from annotator.domain.project import Annotation, Change, ImageRecord
from annotator.domain.tracks.size import STRAIGHT, Drift, Part, TrackSize, drift_of, part_of, size_of
from annotator.io.images.places import plane_of
from annotator.io.images.reading import read_places
from annotator.io.project.soundness import sound_mask
from annotator.io.project.store import ProjectStore
from annotator.ui.canvas.latest import Latest
from annotator.ui.look.numbers import area_text, diameter_text, track_text
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow

Sizes = dict[int, TrackSize]
"""By the track's number."""


class ObjectSizes(QObject):
    """One per window."""

    def __init__(self, window: MainWindow, session: ProjectSession) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._state = RefineState()
        self._tracks, self._now = Latest(self), Latest(self)
        self._measured = _Measured(0)
        self.sizes: Sizes = {}
        session.opened.connect(self._on_opened)
        session.image_changed.connect(self._on_image)
        session.changed.connect(self._on_change)
        window.objects.selection_changed.connect(lambda _ids: self._say())

    def show_refine(self, state: RefineState) -> None:
        """Another state of the current object."""
        before, self._state = self._state, state
        if state.mask is not before.mask:
            self._say()

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._tracks.shut_down()
        self._now.shut_down()

    def _on_opened(self) -> None:
        self._measured = _Measured(0)
        self._show({})

    def _on_image(self, _image: ImageRecord | None) -> None:
        self._measure()
        self._say()

    def _on_change(self, change: Change) -> None:
        if change.annotation_ids or change.name == "image facts":  # the size of pixels may have come
            self._measure()
            self._say()

    # --- tracks -------------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """All tracks that have an object on this slice."""
        session, image = self._session, self._session.image
        series = session.slices.series_of(image)
        rows = session.annotations if series is not None else ()
        ids = frozenset(row.track_id for row in rows if row.track_id)
        if session.store is None or image is None or series is None or not ids:
            self._tracks.forget()
            self._show({})
            return
        if self._measured.series_id != series.id:
            self._measured = _Measured(series.id)
        slices = session.slices.slices_of(image)
        ends = slices[0], slices[-1]
        work = partial(self._measured.sizes, session.store.path, series, ids, image.spacing_mm, ends)
        self._tracks.start(_or_nothing(work), self._on_sizes)

    def _on_sizes(self, sizes: Sizes | None) -> None:
        if sizes is not None:
            self._show(sizes)

    def _show(self, sizes: Sizes) -> None:
        if not sizes and not self.sizes:
            return
        self.sizes = sizes
        self._window.objects.model.set_tracks({track: self._words(size) for track, size in sizes.items()})
        self._say()

    def _words(self, size: TrackSize) -> str:
        series = self._session.slices.series_of(self._session.image)
        is_video = series is not None and is_video_path(series.name)
        return track_text(size, has_volume=not is_video)

    # --- the status line ----------------------------------------------------------------------------------------------

    def _say(self) -> None:
        """The size of the current object, else of what is selected."""
        image, status = self._session.image, self._window.status
        spacing = None if image is None else image.spacing_mm
        mask = self._state.mask
        if mask is not None:  # what is selected is not counted at every click
            self._now.start(lambda: _mask_text(mask, spacing), status.set_size)
            return
        ids = self._window.objects.selected_ids()
        rows = found_among(self._session.annotations, ids)
        if len(rows) == 1:
            size = self.sizes.get(rows[0].track_id)
            words = "" if size is None else f"track {rows[0].track_id}: {self._words(size)}"
            self._now.start(lambda: _object_text(rows[0], spacing, words), status.set_size)
        else:
            self._now.forget()
            total = area_text(sum(row.area for row in rows), spacing)
            status.set_size(f"{counted(len(rows), 'object')}  ·  {total}" if rows else "")


class _Measured:
    """Tracks of one series: what was measured of each mask is kept. Used by one thread at a time."""

    def __init__(self, series_id: int) -> None:
        self.series_id = series_id
        self._parts: dict[int, tuple[bytes, Part]] = {}
        """By object: its run lengths, and what they were measured as."""
        self._drift: Drift | None = None

    def sizes(
        self,
        project: Path,
        series: Series,
        ids: frozenset[int],
        spacing_mm: Spacing | None,
        ends: tuple[ImageRecord, ImageRecord],
    ) -> Sizes:
        """Of tracks of the series. Reads the project, and the heads of the first and the last slice."""
        found: Sizes = {}
        with ProjectStore.open(project, read_only=True) as store:
            if self._drift is None:
                self._drift = _drift(store, ends) if series.step_mm is not None else STRAIGHT
            places = store.slices.positions(series.id)
            for track_id in ids:
                rows = [row for row in store.tracks.objects(track_id) if row.image_id in places]
                parts = [(places[row.image_id], part) for row in rows if (part := self._part_of(row)) is not None]
                found[track_id] = size_of(parts, series, spacing_mm, drift=self._drift)
        return found

    def _part_of(self, row: Annotation) -> Part | None:
        known = self._parts.get(row.id)
        if known is not None and known[0] == row.rle:
            return known[1]
        try:
            part = part_of(sound_mask(row))
        except ValueError:  # damaged, which is said where the objects are shown
            return None
        self._parts[row.id] = row.rle, part
        return part


def _drift(store: ProjectStore, ends: tuple[ImageRecord, ImageRecord]) -> Drift:
    found = read_places(store.readable_root, list(dict.fromkeys(image.path for image in ends)))
    first, last = (plane_of(found, image.path, image.frame) for image in ends)
    return STRAIGHT if first is None or last is None else drift_of(first, last)


def _or_nothing(work: Callable[[], Sizes]) -> Callable[[], Sizes | None]:
    """What cannot be read just now (a lock, a folder that is gone) is measured at the next change."""

    def measured() -> Sizes | None:
        try:
            return work()
        except UserError:
            return None

    return measured


def _mask_text(mask: Mask, spacing: Spacing | None) -> str:
    if mask.is_empty:
        return ""
    longest = diameter_text(longest_diameter(mask, spacing or (1.0, 1.0)), is_mm=spacing is not None)
    return f"{area_text(mask.area, spacing)}  ·  {longest}"


def _object_text(row: Annotation, spacing: Spacing | None, track: str) -> str:
    try:
        here = _mask_text(sound_mask(row), spacing)
    except ValueError:  # damaged, which is said where the objects are shown
        return ""
    return f"{here}  ·  {track}" if track else here
