"""The accepted objects of the image on the canvas: their masks, decoded and kept, and what is painted of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from PySide6.QtCore import QObject, QTimer

from annotator.domain.mask import Mask
from annotator.domain.objects_in_order import found_among
from annotator.domain.palette import OKABE_ITO
from annotator.domain.project import Annotation, Change
from annotator.io.project.soundness import sound_mask
from annotator.ui.canvas.canvas import ObjectView
from annotator.ui.project.damage import note_damage
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.mask_reader import KnownMasks, MaskReader

FEW_MASKS = 40
"""Up to this many masks are decoded at once, within a frame; more of them beside the GUI thread."""
MANY_OBJECTS = 400
"""More of them are handed over to the canvas in pieces, an event for each."""
PIECE_OBJECTS = 150
_KEPT_MASKS = 4000
"""Decoded masks of images that were shown are kept up to this many, so that going back is quick."""
_Shown = tuple[bytes, str, str, int]


class CanvasObjects(QObject):
    """Follows the session.

    Args:
        is_shown: whether the canvas shows the image that is open.
    """

    def __init__(
        self, window: MainWindow, session: ProjectSession, *, is_shown: Callable[[], bool], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._is_shown = window, session, is_shown
        self._shown: dict[int, _Shown] = {}
        self._masks: KnownMasks = {}
        self._reader = MaskReader(self)
        self._reader.decoded.connect(self._on_masks)
        self._late: frozenset[int] = frozenset()
        """Objects of the image that is shown whose masks are still decoded."""
        self._tried: Mapping[int, Mask] = {}
        self._hidden: frozenset[int] = frozenset()
        self._refined: frozenset[int] = frozenset()
        self._has_own_colours = False
        self._due: list[int] = []
        """Ids of objects, ascending, that may look different on the canvas, or are not there any more."""
        self._is_painted = True
        """Whether the canvas was told to paint what it was given."""
        self._pieces = QTimer(self)
        self._pieces.setSingleShot(True)
        self._pieces.timeout.connect(self._show_piece)

    @property
    def is_complete(self) -> bool:
        """Whether the canvas has everything that it is to have."""
        return not (self._late or self._due)

    def show(self) -> None:
        """All objects anew: few of them at once, many piece by piece; those whose masks take longer than a frame to
        decode follow when they are."""
        rows, canvas = self._rows, self._window.canvas
        if len(self._masks) > _KEPT_MASKS:
            here = {row.id for row in rows}
            self._masks = {one: known for one, known in self._masks.items() if one in here}
        self._decode(rows)
        if len(rows) > MANY_OBJECTS:
            gone = self._shown.keys() - {row.id for row in rows}
            if gone:  # of another image
                canvas.objects.change((), gone)
                self._shown = {one: key for one, key in self._shown.items() if one not in gone}
            self._show_soon(row.id for row in rows)
            return
        self._due, self._is_painted = [], True
        keys = {row.id: self._key(row) for row in rows if row.id not in self._late}
        canvas.set_objects([self._view(row, keys[row.id]) for row in rows if row.id in keys])
        self._shown = keys

    def expect(self, annotation: Annotation, mask: Mask) -> None:
        """An object of this mask is about to be stored: it need not be decoded to be shown."""
        self._masks[annotation.id] = annotation.rle, mask.tight()

    def _on_masks(self, masks: KnownMasks) -> None:
        self._masks.update(masks)
        self.show()

    def sync(self, change: Change) -> None:
        """Only what differs is painted anew. Looked for among what has changed: asking thousands of objects after every
        accept would take a frame."""
        is_any, touched, rows = bool(change.category_ids), change.annotation_ids, self._rows
        session = self._session
        if len(touched) > MANY_OBJECTS or (is_any and len(rows) > MANY_OBJECTS):
            self._decode(rows)
            self._show_soon({*self._shown, *(row.id for row in rows)} if is_any else touched)
            self._window.canvas.set_selected(self._window.objects.selected_ids())
            return
        wanted = {a.id: a for a in (session.annotations if is_any else found_among(session.annotations, touched))}
        canvas = self._window.canvas
        gone = [one for one in (self._shown if is_any else touched) if one not in wanted and one in self._shown]
        for annotation_id in gone:
            self._masks.pop(annotation_id, None)
            if len(gone) <= FEW_MASKS:
                del self._shown[annotation_id]
                canvas.remove_object(annotation_id)
        stale = [a for a in wanted.values() if a.id not in self._late and self._shown.get(a.id) != self._key(a)]
        if max(len(stale), len(gone)) > FEW_MASKS:
            self.show()
        else:
            for annotation in stale:
                canvas.put_object(self._view(annotation))
                self._shown[annotation.id] = self._key(annotation)
        canvas.set_selected(self._window.objects.selected_ids())

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _rows(self) -> tuple[Annotation, ...]:
        return self._session.annotations if self._is_shown() else ()

    def _decode(self, rows: Sequence[Annotation]) -> None:
        """Read masks of these that are not known, beside the GUI thread where they are many."""
        unknown = [row for row in rows if self._known(row) is None]
        if len(unknown) > FEW_MASKS:
            self._late = frozenset(row.id for row in unknown)
            self._reader.decode(unknown)
        else:
            self._late = frozenset()
            self._reader.forget()

    def _show_soon(self, ids: Iterable[int]) -> None:
        """Those whose masks are still decoded come with them."""
        self._due = sorted({*self._due, *ids} - self._late)
        self._pieces.start(0)

    def _show_piece(self) -> None:
        some, self._due = self._due[:PIECE_OBJECTS], self._due[PIECE_OBJECTS:]
        self._bring(some)
        if self._due:
            self._pieces.start(0)

    def _bring(self, ids: Collection[int]) -> None:
        """The canvas shows these as they are now."""
        rows = found_among(self._rows, ids)
        if sum(self._known(row) is None for row in rows) > FEW_MASKS:
            self._decode(self._rows)  # they have changed since
        there = {row.id for row in rows}
        gone = [one for one in ids if one not in there and self._shown.pop(one, None) is not None]
        keys = {row.id: self._key(row) for row in rows if row.id not in self._late}
        stale = [row for row in rows if row.id in keys and self._shown.get(row.id) != keys[row.id]]
        self._is_painted &= not (gone or stale)
        if not self._is_painted:
            is_last = self._is_painted = not self._due
            self._window.canvas.objects.change([self._view(row, keys[row.id]) for row in stale], gone, is_last=is_last)
        self._shown |= keys

    def _key(self, annotation: Annotation) -> _Shown:
        category = self._session.categories.get(annotation.category_id)
        colour = category.colour if category else OKABE_ITO[0]
        if self._has_own_colours:
            colour = OKABE_ITO[annotation.id % len(OKABE_ITO)]
        return annotation.rle, colour, category.name if category else "", annotation.layer

    def _view(self, annotation: Annotation, key: _Shown | None = None) -> ObjectView:
        rle, colour, name, layer = key or self._key(annotation)
        mask = self._known(annotation)
        if mask is None:
            try:
                mask = sound_mask(annotation)
            except ValueError as error:
                mask = str(error)
            self._masks[annotation.id] = (rle, mask)
        if isinstance(mask, str):
            note_damage(self._session, annotation, mask)
            mask = Mask.empty(annotation.image_width, annotation.image_height)
        return ObjectView(annotation.id, mask, colour, name, layer)

    def _known(self, annotation: Annotation) -> Mask | str | None:
        rle, mask = self._masks.get(annotation.id, (b"", None))
        return mask if rle == annotation.rle else None

    def set_hidden(self, ids: frozenset[int]) -> None:
        """Objects that the person does not want to see."""
        self._hidden = ids
        self._window.canvas.set_hidden(ids | self._refined)

    def set_refined(self, annotation_id: int | None) -> None:
        """The object that is not painted, because its new mask is; None for none."""
        self._refined = frozenset() if annotation_id is None else frozenset({annotation_id})
        self._window.canvas.set_hidden(self._hidden | self._refined)

    def set_own_colours(self, is_wanted: bool) -> None:
        """Whether every object has a colour of its own instead of its class's."""
        self._has_own_colours = is_wanted
        self.show()
        self.set_hidden(self._hidden)

    def masks(self) -> list[tuple[Annotation, Mask]]:
        """The objects of the image with their masks; those that are damaged, or not decoded yet, are left out."""
        found = ((row, self._known(row)) for row in self._rows if row.id not in self._late)
        return [(row, mask) for row, mask in found if isinstance(mask, Mask)]

    def try_out(self, masks: Mapping[int, Mask]) -> None:
        """Paint these masks in place of the objects' own, by id; of those that are missing again the own ones."""
        before, self._tried = self._tried, masks
        for row in self._rows:
            if row.id in masks or row.id in before:
                own = self._view(row)
                self._window.canvas.put_object(replace(own, mask=masks.get(row.id, own.mask)))

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._reader.shut_down()
