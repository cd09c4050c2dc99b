"""Image files that were moved, renamed, deleted or changed after they were labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError, ProjectError
from annotator.domain.media import frame_name
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Edit, ImageRecord, RowChange, Status
from annotator.io.images.content import is_sampled, mark_of, may_be, now_of
from annotator.io.images.reading import list_images, read_size
from annotator.io.project.queries import ProjectQueries

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Move:
    """One image and the file that it is now.

    Attributes:
        path: the new one, relative to the image folder.
        twin: the image that the project made of the same frame of the new file; it has no work and goes.
        is_same: whether the file has the content that the image's objects were made on, as far as that can be said:
            of a very large file the project knows size and samples; None: not known.
    """

    image: ImageRecord
    path: str
    twin: ImageRecord | None
    is_same: bool | None

    @property
    def line(self) -> str:
        same = "same size and samples" if is_sampled(_mark(self.image)) else "same content"
        why = {True: same, False: "same name and size, other content", None: "same name and size"}
        return f"{self.image.name} -> {frame_name(self.path, self.image.frame)} ({why[self.is_same]})"


@dataclass(frozen=True, slots=True)
class MovedImages:
    """``moves`` can be re-linked in one step (:func:`relink_edit`); ``lost`` were not found."""

    moves: tuple[Move, ...]
    lost: tuple[ImageRecord, ...]

    def lines(self) -> list[str]:
        """For the command line and the window."""
        if not self.moves and not self.lost:
            return ["all images with work are in their place"]
        out = [f"{counted(len(self.moves), 'image')} found again, {len(self.lost)} not found"]
        out.extend(move.line for move in self.moves[:_SHOWN])
        if len(self.moves) > _SHOWN:
            out.append(f"... and {len(self.moves) - _SHOWN} more")
        out.extend(f"not found: {brief(image.name)}" for image in self.lost[:_SHOWN])
        if len(self.lost) > _SHOWN:
            out.append(f"... and {len(self.lost) - _SHOWN} more")
        return out


def absent_images(store: ProjectQueries) -> tuple[ImageRecord, ...]:
    """Images with objects or a status whose file is not in its place. Asks the disk for each."""
    return tuple(image for image in store.images(with_work=True) if not _is_there(store, image))


def find_moved(store: ProjectQueries, *, progress: Progress | None = None) -> MovedImages:
    """Look for the files of absent images below the image folder: by content where it is known (of very large files by
    size and samples), else by a name that only one file has, with the same size in pixels. Files of images with work of
    their own are never taken.

    Raises:
        ImageError: the image folder is gone. ProjectFolderError: it is not agreed to.
    """
    root = store.readable_root
    lost = absent_images(store)
    if not lost:
        return MovedImages((), ())
    counts = store.annotation_counts()
    by_path: dict[str, list[ImageRecord]] = {}
    for image in store.images():
        by_path.setdefault(image.path, []).append(image)
    absent = [*{image.path: image for image in reversed(lost)}.values()]  # a file once, also one of many frames
    free = [path for path in list_images(root) if not any(_has_work(twin, counts) for twin in by_path.get(path, ()))]
    found = _by_name(absent, free, root)
    unsure = [image for image in absent if _mark(image) and not (image.id in found and found[image.id][1])]
    sure = {path for path, is_same in found.values() if is_same}
    left = [path for path in free if path not in sure]
    by_content = _by_content(unsure, left, root, progress or (lambda _done, _total: None))
    found.update({image_id: (path, True) for image_id, path in by_content.items()})
    taken = Counter(path for path, _ in found.values())
    moves = tuple(
        Move(image, path, twins.get(image.frame), is_same)
        for first in sorted(absent, key=attrgetter("id"))
        if first.id in found
        for path, is_same in (found[first.id],)
        if taken[path] == 1
        for twins in ({twin.frame: twin for twin in by_path.get(path, ())},)
        for image in by_path[first.path]
    )
    known = {move.image.id for move in moves}
    return MovedImages(moves, tuple(image for image in lost if image.id not in known))


def relink_edit(moves: Sequence[Move]) -> Edit:
    """The images at their new paths, as one step that undo takes back. The twins go first: a path is used once."""
    gone = tuple(RowChange(move.twin, None) for move in moves if move.twin is not None)
    changed = tuple(RowChange(move.image, _moved(move)) for move in moves)
    return Edit(f"re-link {len(moves)} image{'s' if len(moves) > 1 else ''}", (*gone, *changed))


def _moved(move: Move) -> ImageRecord:
    """The image at its new path; in a series where its twin was."""
    if move.twin is None:
        return replace(move.image, path=move.path)
    return replace(move.image, path=move.path, series_id=move.twin.series_id, position=move.twin.position)


def _has_work(image: ImageRecord, counts: dict[int, int]) -> bool:
    return bool(counts.get(image.id)) or image.status is not Status.UNSEEN


def _is_there(store: ProjectQueries, image: ImageRecord) -> bool:
    try:
        return store.image_path(image).is_file()
    except (OSError, ProjectError):  # a name that this system does not allow, or that leaves the folder
        return False


def _by_name(absent: Iterable[ImageRecord], free: Sequence[str], root: Path) -> dict[int, tuple[str, bool | None]]:
    """By image id: the only file of that name, of the same size, and whether its content is the same."""
    bases = Counter(_base(path) for path in free)
    wanted = Counter(_base(image.path) for image in absent)
    by_base = {_base(path): path for path in free}
    found: dict[int, tuple[str, bool | None]] = {}
    for image in absent:
        base = _base(image.path)
        if wanted[base] != 1 or bases[base] != 1:
            continue
        path = by_base[base]
        if image.width <= 0 or _size(root, path) == (image.width, image.height):
            found[image.id] = path, _is_same(root, path, _mark(image))
    return found


def _by_content(unsure: Iterable[ImageRecord], free: Sequence[str], root: Path, progress: Progress) -> dict[int, str]:
    """By image id: the first file of the same content. Only files of a wanted size in pixels are read whole; samples
    are looked at in those of as many bytes."""
    wanted = {_mark(image): image for image in unsure}
    hashed = {mark for mark in wanted if not is_sampled(mark)}
    sizes = {(wanted[mark].width, wanted[mark].height) for mark in hashed}
    found: dict[int, str] = {}
    for done, path in enumerate(free, start=1):
        if len(found) == len(wanted):
            break
        progress(done, len(free))
        for mark in wanted.keys() - hashed:
            if _is_same(root, path, mark):
                found.setdefault(wanted[mark].id, path)
        if hashed and ((0, 0) in sizes or _size(root, path) in sizes):
            image = wanted.get(_mark_now(root, path, ""))
            if image is not None:
                found.setdefault(image.id, path)
    return found


def _size(root: Path, path: str) -> tuple[int, int] | None:
    try:
        return read_size(root.joinpath(*path.split("/")))
    except ImageError:  # not readable: not the file that is looked for
        return None


def _mark(image: ImageRecord) -> str:
    return mark_of(image.sha256, image.extra)


def _is_same(root: Path, path: str, mark: str) -> bool | None:
    """Whether a file has that content; None: nothing is known, or it cannot be read."""
    if not mark:
        return None
    now = _mark_now(root, path, mark)
    return now == mark if now else None


def _mark_now(root: Path, path: str, mark: str) -> str:
    """Of the kind of the given mark."""
    file = root.joinpath(*path.split("/"))
    try:
        return now_of(file, mark) if may_be(file, mark) else "another size"
    except OSError:  # not readable: as above
        return ""


def _base(path: str) -> str:
    return path.rsplit("/", 1)[-1]
