"""A series in all three directions: its slices are read beside the window, cut on another thread, shown in a panel.

The cross-hair is linked: its place along the normal is the slice on the canvas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from annotator.domain.errors import UserError
from annotator.domain.mask import Mask
from annotator.domain.media import is_video_path
from annotator.domain.project import Category, Change, ImageRecord
from annotator.domain.prompt import PointPrompt
from annotator.domain.reslice import Place, Slab, View, cut_through, painted, views_of
from annotator.domain.window import Window
from annotator.domain.windowing import show
from annotator.io.project.soundness import sound_mask
from annotator.io.project.store import ProjectStore
from annotator.ui.canvas.latest import Latest
from annotator.ui.labelling.panel_controls import ControlParts
from annotator.ui.panels.planes import Drawn, PlanesPanel
from annotator.ui.threads.stack_reader import Stack, StackReader

_NO_SERIES = "Open a series of slices to see it in all directions."
_OPACITY = 0.45
_MOST_NUMBERS = 255


class Planes(QObject):
    """One per window."""

    def __init__(self, parts: ControlParts) -> None:
        super().__init__(parts.window)
        self._window, self._session = window, session = parts.window, parts.session
        self._slices, self._greys = parts.commands.slices, parts.greys
        self._panel = cast(PlanesPanel, window.panels["planes"])
        self._reader, self._cutter = StackReader(self), Latest(self)
        self._objects = _Objects()
        self._stack: Stack | None = None
        self._wanted = 0
        """The series that is read or shown; 0: none."""
        self._is_seen = False
        """Whether the panel is open, and not behind another one."""
        self._row_column = (0, 0)
        """Of the cross-hair, in pixels of the slices as they are kept."""
        self._reader.grown.connect(self._on_grown)
        self._reader.failed.connect(self._panel.show_note)
        self._panel.slab_changed.connect(self.draw)
        self._greys.changed.connect(self.draw)
        session.image_changed.connect(lambda _image: self._follow())
        session.opened.connect(self._leave)
        session.changed.connect(self._on_change)
        window.canvas.pointed.connect(self._on_pointed)
        window.docks["planes"].visibilityChanged.connect(self._on_seen)
        for axis, view in enumerate(self._panel.views):
            view.picked.connect(lambda across, down, axis=axis: self._pick(axis, across, down))
            view.turned.connect(lambda steps, axis=axis: self._turn(axis, steps))
            view.stepped.connect(lambda across, down, axis=axis: self._step(axis, across, down))

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._reader.shut_down()
        self._cutter.shut_down()

    def draw(self) -> None:
        """Cut the stack anew, if somebody sees it; what was asked before is not wanted any more."""
        if not self._is_seen:
            return
        stack, store, image, window = self._stack, self._session.store, self._session.image, self._greys.now
        if stack is None or store is None or image is None or image.series_id != stack.series_id:
            return
        slab, thickness = self._panel.chosen
        wish = _Wish(stack, self._place(stack, image), window, slab, thickness / 2, store.path)
        colours = dict(self._session.categories)
        self._cutter.start(lambda: _draw(wish, self._objects, colours), self._panel.show_drawn)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _on_seen(self, is_seen: bool) -> None:
        self._is_seen = is_seen
        self._follow()

    def _follow(self) -> None:
        """Another image is open, or the panel came or went: read what is needed, and no more."""
        image, store = self._session.image, self._session.store
        series = self._session.slices.series_of(image)
        if self._window.docks["planes"].isHidden() or series is None or image is None or store is None:
            self._leave()
            return
        if series.id == self._wanted:
            self.draw()
            return
        self._leave()
        if not self._is_seen:
            return
        slices = self._session.slices.slices_of(image)
        if is_video_path(series.name):
            self._panel.show_note("A video has no planes across its frames.")
            return
        self._wanted = series.id
        self._panel.show_note("Reading the slices…")
        self._reader.read(series, slices, store.readable_root, nearest=image.position, spacing=image.spacing_mm)

    def _leave(self) -> None:
        self._reader.forget()
        self._cutter.forget()
        self._stack, self._wanted, self._objects = None, 0, _Objects()
        self._panel.show_drawn(())
        self._panel.show_note(_NO_SERIES)

    def _on_grown(self, stack: Stack) -> None:
        if stack is not self._stack:
            self._stack = stack
            _, rows, columns = stack.shape
            self._row_column = (rows // 2, columns // 2)
            self._panel.set_unit("mm" if stack.space.is_mm else "px")
        self._panel.show_note("Tilted: across the slices it is sheared." if stack.space.is_tilted else "")
        self.draw()

    def _on_change(self, change: Change) -> None:
        if change.annotation_ids or change.category_ids:
            self._objects.is_old = True
            self.draw()

    # --- the cross-hair -----------------------------------------------------------------------------------------------

    def _place(self, stack: Stack, image: ImageRecord) -> Place:
        return (stack.space.slots[image.position], *self._row_column)

    def _on_pointed(self, point: PointPrompt) -> None:
        """A click on the canvas."""
        if self._stack is not None and self._session.image is not None:
            thin = self._stack.thin
            at = self._place(self._stack, self._session.image)
            self._go((at[0], int(point.y) // thin, int(point.x) // thin))

    def _pick(self, axis: int, across: float, down: float) -> None:
        stack, image = self._stack, self._session.image
        if stack is not None and image is not None:
            view = views_of(stack.space)[axis]
            self._go(view.place_at(across, down, self._place(stack, image), stack.shape))

    def _step(self, axis: int, across: int, down: int) -> None:
        stack, image = self._stack, self._session.image
        if stack is not None and image is not None:
            view, at = views_of(stack.space)[axis], list(self._place(stack, image))
            at[view.horizontal] += -across if view.flips_h else across
            at[view.vertical] += -down if view.flips_v else down
            self._go((at[0], at[1], at[2]))

    def _turn(self, axis: int, steps: int) -> None:
        stack, image = self._stack, self._session.image
        if stack is not None and image is not None:
            at = list(self._place(stack, image))
            at[axis] += steps
            self._go((at[0], at[1], at[2]))

    def _go(self, at: Place) -> None:
        """The cross-hair is to be there; the slice nearest to it is shown."""
        stack, image = self._stack, self._session.image
        if stack is None or image is None:
            return
        _, rows, columns = stack.shape
        self._row_column = (min(max(at[1], 0), rows - 1), min(max(at[2], 0), columns - 1))
        slots = stack.space.slots
        position = min(range(len(slots)), key=lambda one: abs(slots[one] - at[0]))
        if position != image.position:
            self._slices.go_to(position)  # which draws
        else:
            self.draw()


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """What is to be cut."""

    stack: Stack
    at: Place
    window: Window | None
    slab: Slab
    half: float
    """Of the slab, in the unit of the stack."""
    project: Path


class _Objects:
    """The masks of a series. Read and kept by the thread that cuts."""

    def __init__(self) -> None:
        self.is_old = True
        self._masks: dict[int, tuple[bytes, Mask]] = {}
        self._found: list[tuple[int, int, Mask]] = []

    def read(self, wish: _Wish) -> list[tuple[int, int, Mask]]:
        """(place along the normal, class id, mask) of each, in the order of their ids."""
        if not self.is_old:
            return self._found
        self.is_old = False
        slots, kept, found = wish.stack.space.slots, {}, []
        with ProjectStore.open(wish.project, read_only=True) as store:
            places = store.slices.positions(wish.stack.series_id)
            for image_id in store.slices.annotated(wish.stack.series_id):
                for row in store.annotations(image_id):
                    known = self._masks.get(row.id)
                    try:
                        mask = known[1] if known is not None and known[0] == row.rle else sound_mask(row)
                    except ValueError:  # damaged, which is said where the objects are shown
                        continue
                    kept[row.id] = row.rle, mask
                    found.append((row.id, slots[places[image_id]], row.category_id, mask))
        self._masks = kept
        self._found = [(place, category, mask) for _, place, category, mask in sorted(found, key=lambda one: one[0])]
        return self._found


def _draw(wish: _Wish, objects: _Objects, categories: Mapping[int, Category]) -> tuple[Drawn, ...]:
    try:
        found = objects.read(wish)
    except UserError:  # a lock, or the file is gone for a moment: at the next change
        found, objects.is_old = [], True
    numbers = {category: at % _MOST_NUMBERS + 1 for at, category in enumerate(categories)}
    shown = [(place, numbers[category], mask) for place, category, mask in found if category in numbers]
    colours = {numbers[one.id]: one.colour for one in categories.values()}
    return tuple(_draw_view(wish, view, shown, colours) for view in views_of(wish.stack.space))


def _draw_view(wish: _Wish, view: View, objects: list[tuple[int, int, Mask]], colours: Mapping[int, str]) -> Drawn:
    stack, axis = wish.stack, view.axis
    sizes = [step * (stack.thin if one else 1) for one, step in enumerate(stack.space.steps)]
    reach = round(wish.half / sizes[axis])
    cut = cut_through(stack.values, stack.is_filled, axis, wish.at[axis], reach=reach, slab=wish.slab)
    empty = None if axis == 0 else np.repeat(~stack.is_filled[:, None], cut.shape[1], axis=1)
    native = replace(stack.like, values=cut, empty=empty, opacity=None, plain=None)
    rgb = show(native, wish.window).copy()
    labels = painted(stack.shape, stack.thin, axis, wish.at[axis], objects)
    for number in np.unique(labels[labels > 0]).tolist():
        colour = np.array([int(colours[number][at : at + 2], 16) for at in (1, 3, 5)], np.float32)
        inside = labels == number
        rgb[inside] = np.rint((1 - _OPACITY) * rgb[inside] + _OPACITY * colour)
    laid = np.ascontiguousarray(view.laid_out(rgb))
    height, width = laid.shape[:2]
    image = QImage(laid.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    extent = width * sizes[view.horizontal], height * sizes[view.vertical]
    return Drawn(image, extent, view.name, view.letters, view.shares_of(wish.at, stack.shape))
