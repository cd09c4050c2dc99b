"""A whole series in memory, to be cut in other directions: read on a thread of its own, the nearest slice first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QThreadPool, Signal, Slot

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.domain.media import Series
from annotator.domain.project import ImageRecord
from annotator.domain.reslice import Space, space_of, thinning
from annotator.domain.windowing import Native
from annotator.io.images.places import plane_of
from annotator.io.images.reading import load_image, read_places
from annotator.ui.threads.loading import PoolJob

_TOLD_EVERY = 8
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(slots=True, eq=False)
class Stack:
    """The slices of a series; those that are still to come are zero.

    Attributes:
        values: places x rows x columns, as the files have them, thinned out to every ``thin``-th pixel.
        is_filled: by place.
        like: a slice as it was read: how its numbers are meant.
    """

    series_id: int
    space: Space
    values: npt.NDArray[np.generic]
    is_filled: npt.NDArray[np.bool_]
    thin: int
    like: Native

    @property
    def shape(self) -> tuple[int, int, int]:
        places, rows, columns = self.values.shape
        return places, rows, columns


class StackReader(QObject):
    """One series at a time."""

    grown = Signal(object)
    """Stack: some more slices of it are there."""
    failed = Signal(str)
    """Why nothing can be shown."""
    _arrived = Signal(int, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._generation = 0
        self.max_pixels = 1 << 40
        self._arrived.connect(self._on_arrived)

    def read(
        self,
        series: Series,
        slices: Sequence[ImageRecord],
        root: Path,
        *,
        nearest: int,
        spacing: tuple[float, float] | None,
    ) -> None:
        """Read a series from a place on outward; what was read of another one is given up."""
        self._generation += 1
        generation, max_pixels = self._generation, self.max_pixels
        order = sorted(range(len(slices)), key=lambda at: abs(at - nearest))

        def work() -> None:
            space = _space(series, slices, root, spacing)
            stack: Stack | None = None
            for done, position in enumerate(order):
                if generation != self._generation:
                    return
                native = _native(root, slices[position], max_pixels)
                if native is None:
                    continue
                stack = stack or _empty(series.id, space, native)
                _put(stack, space.slots[position], native)
                if done % _TOLD_EVERY == 0:
                    self._arrived.emit(generation, stack, None)
            if stack is None:
                raise ImageError(f"No slice of {brief(series.name)} can be read.", "Look into its files.")
            self._arrived.emit(generation, stack, None)

        def done(_result: object, error: Exception | None) -> None:
            if error is not None:
                self._arrived.emit(generation, None, error)

        self._pool.start(PoolJob(work, done))

    def forget(self) -> None:
        """Nothing is wanted any more."""
        self._generation += 1
        self._pool.clear()

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self.forget()
        self._pool.waitForDone()

    @Slot(int, object, object)
    def _on_arrived(self, generation: int, stack: object, error: object) -> None:
        if generation != self._generation:
            return
        if isinstance(error, ImageError | MemoryError):
            self.failed.emit(str(error) or "There is not enough memory for all slices at once.")
        elif isinstance(error, Exception):
            raise error
        else:
            self.grown.emit(stack)


def _space(series: Series, slices: Sequence[ImageRecord], root: Path, spacing: tuple[float, float] | None) -> Space:
    places = read_places(root, list(dict.fromkeys(image.path for image in slices)))
    planes = [plane for image in slices if (plane := plane_of(places, image.path, image.frame)) is not None]
    known = planes if len(planes) == len(slices) else None
    return space_of(len(slices), known, spacing, series.step_mm)


def _native(root: Path, image: ImageRecord, max_pixels: int) -> Native | None:
    """None for a slice that cannot be read, which is said where it is shown itself."""
    path = root.joinpath(*image.path.split("/"))
    try:
        loaded = load_image(path, frame=image.frame, max_pixels=max_pixels, is_native=True)
    except ImageError:
        return None
    return loaded.source


def _empty(series_id: int, space: Space, like: Native) -> Stack:
    width, height = like.size_wh
    dtype = np.dtype(np.uint8) if like.values.ndim == 3 else like.values.dtype
    thin = thinning(space.count, (width, height), dtype.itemsize)
    shape = (space.count, -(-height // thin), -(-width // thin))
    return Stack(series_id, space, np.zeros(shape, dtype), np.zeros(space.count, np.bool_), thin, like)


def _put(stack: Stack, place: int, native: Native) -> None:
    """A slice into its place, in the numbers of the others; one of another size is left out."""
    values, like = native.values[:: stack.thin, :: stack.thin], stack.like
    if values.ndim == 3:
        values = np.rint(values[:, :, :3].astype(np.float32) @ _GREY)
    if values.shape != stack.values.shape[1:]:
        return
    if (native.slope, native.intercept) != (like.slope, like.intercept):
        values = (values * native.slope + (native.intercept - like.intercept)) / like.slope
    if stack.values.dtype.kind in "iu" and values.dtype != stack.values.dtype:
        limits = np.iinfo(stack.values.dtype)  # type: ignore[type-var]
        values = np.clip(np.rint(values), limits.min, limits.max)
    stack.values[place] = values
    stack.is_filled[place] = True
