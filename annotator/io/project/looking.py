"""A look through the image folder: what is new in it, and what the heads of those files show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from annotator.io.images.reading import list_images, survey_files
from annotator.io.images.survey import Survey
from annotator.io.project.taking_in import TakenIn, grow, take_in

if TYPE_CHECKING:
    from annotator.io.project.store import ProjectStore

_LOOKED = "looked_into_files"
"""The project has this when the files of its first images were looked into: one of version 1 has not."""


class Look(Protocol):
    """Plans what is to be written, and gives a line for each reason why something is left out."""

    def __call__(
        self, store: ProjectStore, *, on_found: Callable[[int], None] | None
    ) -> tuple[TakenIn, tuple[str, ...]]: ...


def look_through(
    store: ProjectStore,
    *,
    on_found: Callable[[int], None] | None = None,
    within_s: float | None = None,
    counted: Collection[tuple[str, Survey]] = (),
) -> tuple[TakenIn, tuple[str, ...]]:
    """What is to be written, and a line for each reason why something is left out.

    Args:
        within_s: of a long video only the frames that so long a look shows; the others come with a later one, when they
            are counted. None: all, however long it takes.
        counted: videos whose frames are counted by now, by path.
        on_found: called with how many images there are so far; what it raises stops the look.

    Raises:
        ImageError: the folder is gone. ProjectFolderError: it is not agreed to.
    """
    is_first = store.meta_get(_LOOKED) is None
    root, paths, lines = store.readable_root, store.slices.files(), list[str]()
    new = list_images(root, known=paths, on_problem=lines.append, on_found=on_found)
    growing = [one for one in store.slices.series() if not one.is_counted] if paths else []
    if not new and not growing and not (is_first and paths):
        return TakenIn(), tuple(lines)

    def look(wanted: Sequence[str]) -> Mapping[str, Survey]:
        def tell(done: int) -> None:
            if on_found is not None:
                on_found(len(new) - len(wanted) + done)

        return survey_files(root, wanted, on_done=tell, within_s=within_s)

    known = store.images() if paths else []
    taken = take_in(new, known, store.slices.series(), look=look, new_id=store.new_id, is_first=is_first)
    if growing:
        found = dict(counted)
        others = [one.name for one in growing if one.name not in found]
        grow(taken, growing, known, {**survey_files(root, others, within_s=within_s), **found}, new_id=store.new_id)
    if is_first:
        store.meta_set(_LOOKED, "1")
    store.first_images = None if paths else taken.images
    return taken, tuple(lines)
