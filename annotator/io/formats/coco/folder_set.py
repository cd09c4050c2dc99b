"""A COCO file and a folder of images, as evaluation and training read them: the verdicts are those of an import."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError, ImportFormatError
from annotator.domain.media import split_frame_name
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.coco.categories import usable_categories
from annotator.io.formats.coco.matching import Matched, Place, match_images, names_of
from annotator.io.formats.coco.objects import CocoObject, ObjectReader
from annotator.io.formats.coco.stream import CocoFile, read_coco
from annotator.io.images.reading import list_images, read_size


@dataclass(slots=True)
class FolderSet:
    """A file whose images were found in a folder; :meth:`objects` goes through it once.

    Attributes:
        images: by the file's id: paths relative to ``folder``, with sizes from the files' headers.
        sha256: of the JSON file's bytes.
    """

    path: Path
    folder: Path
    images: Matched
    sha256: str
    _coco: CocoFile
    _tally: Tally
    _notes: list[str] = field(default_factory=list)
    _crowds: int = 0

    def objects(self) -> Iterator[tuple[int, CocoObject]]:
        """Every usable object with its id: the file's own, or the next free one. Crowds are left out."""
        classes = usable_categories(self._coco.categories, self._tally, self._notes)
        known = None if classes is None else {item.source_id for item in classes}
        reader = ObjectReader(self.images, known, tally=self._tally, notes=self._notes)
        nameless: list[CocoObject] = []
        largest = 0
        for item in reader.read(self._coco):
            if item is None:
                continue
            if item.is_crowd:
                self._crowds += 1
            elif item.id is None:
                nameless.append(item)
            else:
                largest = max(largest, item.id)
                yield item.id, item
        yield from enumerate(nameless, start=largest + 1)

    def class_names(self) -> dict[int, str]:
        """By the file's category id; empty for a file without categories."""
        return {item.source_id: item.name for item in usable_categories(self._coco.categories, Tally(), []) or ()}

    def path_of(self, image: ImageRecord) -> Path:
        """Absolute: other processes read the images, too."""
        return self.folder.absolute().joinpath(*image.path.split("/"))

    def remarks(self) -> tuple[str, ...]:
        """After :meth:`objects`: a line for each reason why something was not taken, and for what was decided."""
        crowds = (counted(self._crowds, "crowd object"),) if self._crowds else ()
        return (*(f"left out: {line}" for line in (*self._tally.lines(), *crowds)), *self._notes)

    def nothing(self) -> ImportFormatError:
        """What to raise when there was no object."""
        lines = self._tally.lines()
        why = f" ({lines[0]})" if lines else ""
        return ImportFormatError(
            f"{brief(self.path)} holds no objects with masks that can be used{why}.", "Check the set."
        )


def _frames(coco: CocoFile, listed: list[str]) -> list[str]:
    """Names of later frames that the file speaks of, whose files are there."""
    there = frozenset(listed)
    named = {name for row in coco.images for name in names_of(row)} - there
    return sorted(name for name in named if split_frame_name(name)[0] in there)


def open_folder_set(path: Path, folder: Path) -> FolderSet:
    """Read the file's outline and find its images.

    Raises:
        ImportFormatError: the file as a whole cannot be used, or there is no such folder.
    """
    digest = hashlib.sha256()
    coco = read_coco(path, on_bytes=digest.update)
    if not folder.is_dir():
        raise ImportFormatError(f"There is no folder {brief(folder)}.", "Check --images.")
    tally, notes = Tally(), list(coco.notes)
    try:
        listed = list_images(folder)
    except ImageError as error:
        raise ImportFormatError(error.message, error.advice) from error

    def measure(image: ImageRecord) -> ImageRecord:
        try:
            width, height = read_size(folder.joinpath(*image.path.split("/")), frame=image.frame)
        except ImageError:  # reported by the caller, who knows what is lost by it
            return image
        return replace(image, width=width, height=height)

    records = [ImageRecord(number, name) for number, name in enumerate(listed, start=1)]
    for number, name in enumerate(_frames(coco, listed), start=len(listed) + 1):
        source, frame = split_frame_name(name)
        records.append(ImageRecord(number, source, frame=frame))
    place = Place(records, folder.resolve().name, str(folder), measure)
    matched = match_images(coco, place, tally=tally, notes=notes)
    return FolderSet(path, folder, matched, digest.hexdigest(), coco, tally, notes)
