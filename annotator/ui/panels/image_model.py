"""The Qt list model of the project's images, all of them or those that a filter shows; a series is one row."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from PySide6.QtCore import QAbstractListModel, QModelIndex, Qt
from PySide6.QtGui import QPixmap

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.image_filter import ImageFilter, NameSearch, Shows
from annotator.domain.media import Series, rows_by_series
from annotator.domain.project import ImageRecord, Status
from annotator.ui.look.numbers import grouped
from annotator.ui.panels.list_models import (
    DRAFTS_ROLE,
    IS_CURRENT_ROLE,
    PROPOSALS_ROLE,
    ROW_ROLE,
    SLICES_ROLE,
    Index,
)
from annotator.ui.threads.releasing import release

Known = tuple[Mapping[int, int], frozenset[int], NameSearch | None]
"""Of a project's images: the place of each by id, ids of those that are done or empty, what searches their names."""
_ROOT = QModelIndex()
_ROLE = Qt.ItemDataRole
_FEW = 50
"""So many images are put in or left out one by one; more of them at once."""


class ImageModel(QAbstractListModel):
    """The project's images. Pictures are asked for when a row is painted and arrive later.

    A row is an image or a series that is shown, a place is one of all images. What is open is always shown. A series
    has the place of its first slice; it is shown when the filter fits any of them.
    """

    def __init__(self, ask: Callable[[ImageRecord], None], parent: object = None) -> None:
        super().__init__(parent)  # type: ignore[arg-type]
        self._ask = ask
        self._images: list[ImageRecord] = []
        self._place_of: Mapping[int, int] = {}
        self._series: Mapping[int, Series] = {}
        self._slices: dict[int, range] = {}
        """The places of a series' slices, by the first of them."""
        self._head_of: dict[int, int] = {}
        """The first place of the series that a place is in, for slices."""
        self._visited: dict[int, int] = {}
        """The place of the slice that was open last, by the first place of its series."""
        self._shown: Sequence[int] = []
        """The place of every row, ascending."""
        self._filter = ImageFilter()
        self._names: NameSearch | None = None
        """Made for the first search."""
        self._pixmaps: dict[int, QPixmap] = {}
        self._reasons: dict[int, str] = {}
        self._asked: set[int] = set()
        self._current = 0
        # Counted along: asking all rows after every accept would cost more than a frame in a large folder.
        self._finished: set[int] = set()
        self._counts: dict[int, Mapping[int, int]] = {DRAFTS_ROLE: {}, PROPOSALS_ROLE: {}}
        """Of drafts and of proposals, by the role that asks for them."""

    @property
    def images(self) -> Sequence[ImageRecord]:
        """All of them, also those that are not shown."""
        return self._images

    def set_rows(self, images: Sequence[ImageRecord], series: Mapping[int, Series], known: Known | None = None) -> None:
        """Another project: its images in order (:func:`annotator.domain.media.in_order`), all of them shown, and series
        by id.

        Args:
            known: where it is given, nothing is made of every image here.
        """
        places = {image.id: place for place, image in enumerate(images)} if known is None else known[0]
        finished = {image.id for image in images if image.is_finished} if known is None else {*known[1]}
        self.beginResetModel()
        release(self._images)
        self._images, self._place_of, self._finished = list(images), places, finished
        self._series, self._visited = series, {}
        by_series = rows_by_series(self._images) if series else {}
        self._slices = {places.start: places for places in by_series.values()}
        self._head_of = {place: head for head, places in self._slices.items() for place in places}
        self._filter, self._shown = ImageFilter(), self._heads()
        self._names = None if known is None else known[2]
        self._pixmaps, self._reasons, self._asked, self._current = {}, {}, set(), 0
        self.endResetModel()

    # --- which are shown ----------------------------------------------------------------------------------------------

    @property
    def filter(self) -> ImageFilter:
        return self._filter

    def set_filter(self, wanted: ImageFilter) -> None:
        self.beginResetModel()
        shown = self._matching(wanted)
        self._filter = wanted
        place = self._place_of.get(self._current)
        at = 0 if place is None else bisect_left(shown, place)
        if place is not None and list(shown[at : at + 1]) != [place]:
            shown = [*shown[:at], place, *shown[at:]]
        self._shown = sorted({self._head_of.get(place, place) for place in shown}) if self._slices else shown
        self.endResetModel()

    def _matching(self, wanted: ImageFilter) -> Sequence[int]:
        """Places of the images that are wanted: a letter more looks only at those that the part before it left."""
        before, rest = self._filter, wanted.but_for_name
        places: Sequence[int] | None = None
        if wanted.part:
            self._names = self._names or NameSearch(self._images)
            is_narrower = before.part and before.part in wanted.part and before.but_for_name == rest
            places = self._names.places(wanted.part, self._shown if is_narrower and not self._slices else None)
        if not rest.is_set:
            return range(len(self._images)) if places is None else places
        shows, images = rest.matcher(self._counts[DRAFTS_ROLE]), self._images
        among = range(len(images)) if places is None else places
        return [place for place in among if shows(images[place])]

    def _heads(self) -> Sequence[int]:
        """Every place that is one of a row."""
        places = range(len(self._images))
        return [place for place in places if self._head_of.get(place, place) == place] if self._slices else places

    def _is_wanted(self, place: int, shows: Shows) -> bool:
        images = [self._images[at] for at in self._slices.get(place, (place,))]
        return any(shows(image) or image.id == self._current for image in images)

    def row_of(self, image_id: int) -> int:
        """The row of an image or of its series, or -1."""
        place = self._head(image_id)
        row = -1 if place is None else bisect_left(self._shown, place)
        return row if 0 <= row < len(self._shown) and self._shown[row] == place else -1

    def place_of(self, image_id: int) -> int:
        """Where an image is among all of them, or -1."""
        return self._place_of.get(image_id, -1)

    def _head(self, image_id: int) -> int | None:
        place = self._place_of.get(image_id)
        return None if place is None else self._head_of.get(place, place)

    def _refit(self, image_ids: Sequence[int]) -> None:
        """Put images in, or leave them out, whose status has changed."""
        if not self._filter.is_set:
            return
        if len(image_ids) > _FEW:
            self.set_filter(self._filter)
            return
        shows = self._filter.matcher(self._counts[DRAFTS_ROLE])
        for image_id in image_ids:
            place = self._head(image_id)
            if place is None:
                continue
            row, at = self.row_of(image_id), bisect_left(self._shown, place)
            is_wanted = self._is_wanted(place, shows)
            if is_wanted and row < 0:
                self.beginInsertRows(_ROOT, at, at)
                self._shown = [*self._shown[:at], place, *self._shown[at:]]
                self.endInsertRows()
            elif row >= 0 and not is_wanted:
                self.beginRemoveRows(_ROOT, at, at)
                self._shown = [*self._shown[:at], *self._shown[at + 1 :]]
                self.endRemoveRows()

    # --- what they are ------------------------------------------------------------------------------------------------

    @property
    def current_id(self) -> int:
        """Id of the image that is open; 0: none."""
        return self._current

    def set_current(self, image_id: int) -> None:
        """The image that is open."""
        before, self._current = self._current, image_id
        place = self._place_of.get(image_id, -1)
        head = self._head_of.get(place)
        if head is not None:
            self._visited[head] = place
        if head is not None and head == self._head_of.get(self._place_of.get(before, -1)):
            return  # from slice to slice the tile of the series looks the same
        self._refit((before, image_id))
        for changed in {before, image_id}:
            self._tell(changed, IS_CURRENT_ROLE, ROW_ROLE)

    def set_counts(self, counts: Mapping[int, int], role: int = DRAFTS_ROLE) -> None:
        """Number of drafts, or with its role of proposals that wait, by image id."""
        before = self._counts[role]
        self._counts[role] = dict(counts)
        changed = {image_id for image_id, _count in before.items() ^ counts.items()}
        for image_id in changed:
            self._tell(image_id, role)
        if role == DRAFTS_ROLE:
            self._refit([*changed])

    def update_rows(self, images: Sequence[ImageRecord]) -> None:
        """New values of some images."""
        known = [
            image for image in images if image.id in self._place_of and image != self._images[self._place_of[image.id]]
        ]
        for image in known:
            if self._images[self._place_of[image.id]].name != image.name:
                self._names = None
            self._images[self._place_of[image.id]] = image
            (self._finished.add if image.is_finished else self._finished.discard)(image.id)
            self._tell(image.id)
        self._refit([image.id for image in known])

    def set_pixmap(self, image_id: int, pixmap: QPixmap) -> None:
        """A thumbnail arrived."""
        self._reasons.pop(image_id, None)
        self._pixmaps[image_id] = pixmap
        self._tell(image_id, int(_ROLE.DecorationRole))

    def set_unreadable(self, image_id: int, reason: str) -> None:
        """There is no thumbnail, and why."""
        self._reasons[image_id] = reason
        self._pixmaps[image_id] = QPixmap()
        self._tell(image_id, int(_ROLE.DecorationRole))

    def _tell(self, image_id: int, *roles: int) -> None:
        row = self.row_of(image_id)
        if row >= 0:
            self.dataChanged.emit(self.index(row), self.index(row), list(roles))

    def finished_count(self) -> int:
        return len(self._finished)

    # --- Qt -----------------------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = _ROLE.DisplayRole) -> object:
        place = self._shown[index.row()]
        if place in self._slices:
            return self._of_series(place, role)
        image = self._images[place]
        if role == ROW_ROLE:
            return image
        if role == _ROLE.DecorationRole:
            return self._pixmap(image)
        if role == IS_CURRENT_ROLE:
            return image.id == self._current
        if role in self._counts:
            return self._counts[role].get(image.id, 0)
        if role == _ROLE.DisplayRole:
            return image.name.rsplit("/", 1)[-1]
        if role in (_ROLE.AccessibleTextRole, _ROLE.ToolTipRole):
            return self._words(image)
        return None

    def _pixmap(self, image: ImageRecord) -> QPixmap | None:
        if image.id not in self._pixmaps and image.id not in self._asked:
            self._asked.add(image.id)
            self._ask(image)
        return self._pixmaps.get(image.id)

    def _of_series(self, head: int, role: int) -> object:
        """As :meth:`data`: the slice that was open last stands for its series, with the status of all of them."""
        places = self._slices[head]
        middle = self._images[places[len(places) // 2]]
        shown = self._images[self._visited[head]] if head in self._visited else middle
        slices = self._images[places.start : places.stop]
        if role == ROW_ROLE:
            return replace(shown, status=status_of_all(slices))
        if role == _ROLE.DecorationRole:
            return self._pixmap(middle)
        if role == IS_CURRENT_ROLE:
            return shown.id == self._current
        if role == SLICES_ROLE:
            return len(places)
        if role in self._counts:
            counts = self._counts[role]
            return sum(counts.get(image.id, 0) for image in slices) if counts else 0
        series = self._series.get(shown.series_id)
        name = shown.path if series is None else series.name
        if role == _ROLE.DisplayRole:
            return name.rsplit("/", 1)[-1]
        if role in (_ROLE.AccessibleTextRole, _ROLE.ToolTipRole):
            done = sum(image.id in self._finished for image in slices)
            notes = "" if series is None or not series.notes else f"\n{', '.join(series.notes)}"
            size = f", {shown.width} × {shown.height}" if shown.width else ""
            return f"{brief(name)}{size}: {counted(len(places), 'slice')}, {grouped(done)} done{notes}"
        return None

    def _words(self, image: ImageRecord) -> str:
        size = f", {image.width} × {image.height}" if image.width else ""
        drafts, reason = self._counts[DRAFTS_ROLE].get(image.id, 0), self._reasons.get(image.id)
        held = f", {counted(drafts)} not accepted" if drafts else ""
        if found := self._counts[PROPOSALS_ROLE].get(image.id, 0):
            held += f", {counted(found, 'proposal')}"
        return f"{brief(image.name)}{size}: {image.status.value}{held}" + (f"\n{reason}" if reason else "")


def status_of_all(images: Sequence[ImageRecord]) -> Status:
    """Of the slices of a series: done when each is finished, unseen while none was begun."""
    found = {image.status for image in images}
    if all(image.is_finished for image in images):
        return Status.EMPTY if found == {Status.EMPTY} else Status.DONE
    return Status.UNSEEN if found == {Status.UNSEEN} else Status.IN_PROGRESS
