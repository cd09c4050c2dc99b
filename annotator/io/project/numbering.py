"""Numbered files of a folder as the slices of one series: made and taken apart by a person's choice.

The series' row is what is remembered: files that are copied into the folder later join it, and one that was taken apart
stays so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.media import Series, SeriesKind
from annotator.domain.numbered import Numbered, numbered_files
from annotator.domain.project import ImageRecord
from annotator.io.images.reading import read_size
from annotator.io.project.taking_in import TakenIn

if TYPE_CHECKING:
    from annotator.io.project.store import ProjectStore

APART_KEY = "is_apart"
"""In the ``extra`` of a series that was taken apart."""


@dataclass(frozen=True, slots=True)
class NumberedWish:
    """What is to become of numbered files.

    Attributes:
        takes_all: every group becomes a series; identities: those groups do, and ``apart`` no longer are one.
    """

    takes_all: bool = False
    identities: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()

    def makes(self, group: Numbered, known: Series | None) -> bool:
        """Whether a group is to be a series."""
        if group.identity in self.apart:
            return False
        is_one = known is not None and not known.extra.get(APART_KEY)
        return is_one or self.takes_all or group.identity in self.identities


NO_WISH = NumberedWish()


def arrange_numbered(
    store: ProjectStore, wish: NumberedWish = NO_WISH, *, on_found: Callable[[int], None] | None = None
) -> None:
    """Do what is wished, and let new files join the series that they belong to. Not undoable.

    Args:
        on_found: called with how many files were looked into; what it raises stops it, and nothing is changed.

    Raises:
        ProjectError: as :meth:`ProjectStore.sync_folder`.
    """
    series = [one for one in store.slices.series() if one.kind is SeriesKind.FOLDER]
    if wish == NO_WISH and not any(not one.extra.get(APART_KEY) for one in series):
        return
    if store.is_read_only:
        return
    store.sync_folder(on_found=on_found, look=partial(_look, wish=wish, series=series))
    store.first_images = None


def _look(
    store: ProjectStore, *, on_found: Callable[[int], None] | None, wish: NumberedWish, series: Sequence[Series]
) -> tuple[TakenIn, tuple[str, ...]]:
    own = {one.id for one in series}
    images = {image.path: image for image in store.images() if image.frame == 0 and (image.series_id in own | {0})}
    several = {image.path for image in store.images() if image.frame > 0}
    groups = numbered_files(path for path in images if path not in several)
    plan = _Plan(store, images, {one.identity: one for one in series}, on_found)
    for group in groups:
        known = plan.known.get(group.identity)
        if wish.makes(group, known):
            plan.make(group, known)
        elif known is not None and group.identity in wish.apart:
            plan.part(known)
    return plan.out, store.left_out


class _Plan:
    """Rows to write."""

    def __init__(
        self,
        store: ProjectStore,
        images: dict[str, ImageRecord],
        known: dict[str, Series],
        on_found: Callable[[int], None] | None,
    ) -> None:
        self._store, self._images, self.known = store, images, known
        self._on_found, self._looked = on_found, 0
        self.out = TakenIn()

    def make(self, group: Numbered, known: Series | None) -> None:
        """The files of a group that have its usual size, in the order of their numbers."""
        sizes = {path: self._size(path) for path in group.paths}
        counts = Counter(size for size in sizes.values() if size is not None)
        usual = max(counts, key=counts.__getitem__, default=None)
        kept = [at for at, path in enumerate(group.paths) if usual is not None and sizes[path] == usual]
        if len(kept) < 2:
            return
        files = replace(
            group, paths=tuple(group.paths[at] for at in kept), numbers=tuple(group.numbers[at] for at in kept)
        )
        others = [path for path in group.paths if sizes[path] != usual]
        one = self._series(files, known, len(others))
        for position, path in enumerate(files.paths):
            self._move(path, one.id, position)
        for path in others:
            self._move(path, 0, 0)

    def part(self, known: Series) -> None:
        """Its slices are images of their own again."""
        self.out.changed.append((known, replace(known, extra={APART_KEY: True})))
        for path, image in self._images.items():
            if image.series_id == known.id:
                self._move(path, 0, 0)

    def _series(self, files: Numbered, known: Series | None, others: int) -> Series:
        extra: dict[str, Any] = {}
        if files.gaps:
            extra["gaps"] = [list(gap) for gap in files.gaps]
        notes = [f"{counted(files.missing, 'file')} missing"] if files.missing else []
        if others:
            notes.append(f"{counted(others, 'file')} of another size left out")
        if notes:
            extra["notes"] = notes
        if known is None:
            made = Series(self._store.new_id("series"), SeriesKind.FOLDER, files.name, files.identity, extra)
            self.out.series.append(made)
        else:
            made = replace(known, extra=extra)
            if made == known:
                return made
            self.out.changed.append((known, made))
        if notes:
            self.out.notes.append(f"{files.name}: {', '.join(notes)}.")
        return made

    def _size(self, path: str) -> tuple[int, int] | None:
        """None for a file that cannot be read."""
        image = self._images[path]
        self._looked += 1
        if self._on_found is not None:
            self._on_found(self._looked)
        if image.width and image.height:
            return image.width, image.height
        try:
            return read_size(self._store.image_path(image))
        except ImageError:
            return None

    def _move(self, path: str, series_id: int, position: int) -> None:
        image = self._images[path]
        after = replace(image, series_id=series_id, position=position)
        if after != image:
            self.out.changed.append((image, after))
