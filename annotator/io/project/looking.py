"""A look through the image folder: what is new in it, and what the heads of those files show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from annotator.io.images.reading import list_images, survey_files
from annotator.io.images.survey import Survey
from annotator.io.project.taking_in import TakenIn, take_in

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
    store: ProjectStore, *, on_found: Callable[[int], None] | None = None
) -> tuple[TakenIn, tuple[str, ...]]:
    """What is to be written, and a line for each reason why something is left out.

    Args:
        on_found: called with how many images there are so far; what it raises stops the look.

    Raises:
        ImageError: the folder is gone. ProjectFolderError: it is not agreed to.
    """
    is_first = store.meta_get(_LOOKED) is None
    root, paths, lines = store.readable_root, store.slices.files(), list[str]()
    new = list_images(root, known=paths, on_problem=lines.append, on_found=on_found)
    if not new and not (is_first and paths):
        return TakenIn(), tuple(lines)

    def look(wanted: Sequence[str]) -> Mapping[str, Survey]:
        def tell(done: int) -> None:
            if on_found is not None:
                on_found(len(new) - len(wanted) + done)

        return survey_files(root, wanted, on_done=tell)

    known = store.images() if paths else []
    taken = take_in(new, known, store.slices.series(), look=look, new_id=store.new_id, is_first=is_first)
    if is_first:
        store.meta_set(_LOOKED, "1")
    store.first_images = None if paths else taken.images
    return taken, tuple(lines)
