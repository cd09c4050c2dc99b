"""Which images a batch is about: from folders, patterns, lists, COCO files and projects, each image once."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError, ImportFormatError, ProjectError, UserError
from annotator.domain.frame_pick import ALL_FRAMES, FramePick
from annotator.domain.media import is_video_path, split_frame_name

_OUTSIDE = "{} is not in the folder of images."
_LIST_SUFFIX, _COCO_SUFFIX, PROJECT_SUFFIX = ".txt", ".json", ".annot"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One image of a batch.

    Attributes:
        name: in the output, with forward slashes.
        frame: page or frame of the file, from 0.
        image_id: in the output, from 0, and unique in the batch; -1 while the item has none.
        problem: why it cannot be asked for; empty for nearly all.
    """

    name: str
    path: Path
    frame: int = 0
    image_id: int = -1
    problem: str = ""

    @property
    def key(self) -> str:
        """Unique in the batch, and the same on every machine."""
        return f"{self.name}#{self.frame}" if self.frame else self.name


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` (from 1) of ``of``: which images, does not depend on which others there are."""

    number: int = 1
    of: int = 1

    @property
    def ending(self) -> str:
        """Of file names; empty when there is one part alone."""
        return f"-{self.number}-of-{self.of}" if self.of > 1 else ""

    def has(self, key: str) -> bool:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1


def parse_shard(text: str) -> Shard:
    """``i/n``, i from 1 to n.

    Raises:
        ValueError: it is something else.
    """
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise ValueError(f"{text!r} is not i/n with i from 1 to n, such as 2/8")
    return Shard(int(number), int(of))


def list_work(sources: Iterable[str], *, images: Path | None = None, pick: FramePick = ALL_FRAMES) -> list[WorkItem]:
    """All images of a batch, in the order of the sources; those of folders by name, and of videos all frames.

    Args:
        sources: image files, folders, patterns (``*``, ``**``), lists (``.txt``, a path a line), COCO data sets
            (``.json``) and projects (``.annot``).
        images: the folder of COCO's file names; None: that of the COCO file.
        pick: of the frames of videos that are named, or lie in folders.

    Raises:
        UserError: a source is missing, cannot be read, or there are no images in any.
    """
    plain: list[Path] = []
    roots: list[Path] = []
    named: list[WorkItem] = []
    for source in sources:
        path = Path(source)
        suffix = "" if path.is_dir() else path.suffix.lower()
        if suffix == _COCO_SUFFIX:
            named += _of_coco(path, images or path.parent)
        elif suffix == PROJECT_SUFFIX:
            named += _of_project(path)
        else:
            found, own = _plain(source, path, suffix)
            plain += found
            roots += own
    unique: dict[tuple[str, int, str], WorkItem] = {}
    for item in [*_with_frames(_relative(plain, roots), pick), *named]:
        unique.setdefault((os.path.abspath(item.path), item.frame, item.problem), item)
    if not unique:
        raise ImageError("There are no images.", "Name image files, folders, a list, a COCO file or a project.")
    return _numbered(list(unique.values()))


def _plain(source: str, path: Path, suffix: str) -> tuple[list[Path], list[Path]]:
    """Image files, and the folders that they are named from: those stay when images come or go."""
    from annotator.io.images.reading import list_images

    if path.is_dir():
        return [path / name for name in list_images(path)], [path]
    if suffix == _LIST_SUFFIX:
        listed = _of_list(path)
        return listed, [one.parent for one in listed]
    if not path.exists() and glob.has_magic(source):
        found = sorted(Path(name) for name in glob.iglob(source, recursive=True))
        if not found:
            raise ImageError(f"No file fits {brief(source)}.", "Check the pattern.")
        parts = path.parts
        fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
        return [name for name in found if name.is_file()], [Path(*parts[:fixed])]
    return [path], [path.parent]  # one that is missing becomes a row in the report


def _of_list(path: Path) -> list[Path]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{brief(path.name)} is not UTF-8 text.", "Write one path a line.") from error
    except OSError as error:
        raise ImportFormatError(f"{brief(path)} cannot be read ({error.strerror}).", "Check the name.") from error
    return [path.parent / line.strip() for line in lines if line.strip()]


def _of_coco(path: Path, folder: Path) -> list[WorkItem]:
    from annotator.io.formats.coco.parse import whole_number
    from annotator.io.formats.coco.stream import read_coco

    items: list[WorkItem] = []
    seen: set[int] = set()
    for row in read_coco(path).images:
        name = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name:
            raise ImportFormatError(f"An image of {brief(path.name)} has no file_name.", "Is it a COCO data set?")
        number = whole_number(row.get("id"))
        if number is None or number < 0 or number in seen:
            raise ImportFormatError(
                f"{brief(name)} in {brief(path.name)} has no id of its own.", "Give each image another number."
            )
        seen.add(number)
        place = PurePosixPath(name.replace("\\", "/"))
        is_outside = place.is_absolute() or ".." in place.parts or ":" in name
        problem = _OUTSIDE.format(name) if is_outside else ""
        shown, frame = place.as_posix(), 0
        if not problem and not (folder / place).exists():
            shown, frame = split_frame_name(shown)  # as exports of this program name the frames of a file
        items.append(WorkItem(shown, folder / shown, frame, image_id=number, problem=problem))
    return items


def _of_project(path: Path) -> list[WorkItem]:
    from annotator.io.project.image_folder import is_inside
    from annotator.io.project.store import ProjectStore

    if not path.is_file():
        raise ProjectError(f"There is no project {brief(path)}.", "Check the name.")
    with ProjectStore.open(path, read_only=True) as store:
        root = store.readable_root  # a folder outside of the project's own has to be agreed to
        return [
            WorkItem(
                one.path, root / one.path, one.frame, problem="" if is_inside(one.path) else _OUTSIDE.format(one.path)
            )
            for one in store.images()
        ]


def _relative(paths: list[Path], roots: list[Path]) -> list[WorkItem]:
    """Named by the way from the deepest folder that holds all ``roots``."""
    if not paths:
        return []
    whole = [os.path.abspath(path) for path in paths]
    try:
        common = os.path.commonpath([os.path.abspath(root) for root in roots])
    except ValueError as error:  # Windows: on several drives
        raise UserError("The images lie on several drives.", "Make a batch for each.") from error
    names = [Path(os.path.relpath(path, common)).as_posix() for path in whole]
    return [WorkItem(name, path) for name, path in zip(names, paths, strict=True)]


def _with_frames(items: Iterable[WorkItem], pick: FramePick) -> Iterator[WorkItem]:
    """Videos as their frames."""
    from annotator.io.images.frame_source import video_frames

    for item in items:
        if not is_video_path(item.name) or not item.path.is_file():
            yield item
            continue
        try:
            frames = video_frames(item.path.absolute(), pick)
        except ImageError as error:
            yield replace(item, problem=str(error))
            continue
        yield from (replace(item, frame=frame) for frame in frames or (0,))


def _numbered(items: list[WorkItem]) -> list[WorkItem]:
    """With ids: those of a COCO file when all have one, else by position. Names that come twice get their folder."""
    ids = {item.image_id for item in items}
    if len(ids) < len(items) or min(ids) < 0:
        items = [replace(item, image_id=at) for at, item in enumerate(items, start=1)]
    taken: set[str] = set()
    found: list[WorkItem] = []
    for item in items:
        whole = Path(os.path.abspath(item.path)).as_posix()
        found.append(item if item.key not in taken else replace(item, name=whole))
        taken.add(item.key)
    return found
