"""DAVIS in, and YouTube-VOS, which adds ``meta.json`` with classes: a PNG a frame, whose values are objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError, ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.clips_in.document import image_row, take_in
from annotator.io.formats.clips_in.frames import FramePlaces
from annotator.io.formats.clips_in.tracks import TrackNumbers
from annotator.io.formats.coco.import_ import ImportReport
from annotator.io.formats.coco.parse import whole_number
from annotator.io.formats.davis import META_FILE
from annotator.io.images.reading import load_label_map
from annotator.io.project.store import ProjectStore

_IGNORED = 255
_MOST_VALUES = 255
_META_BYTES = 1 << 26
_DEEPEST = 2
"""``Annotations/480p/bear``."""
_NO_CLASS = "object"


def is_davis(path: Path) -> bool:
    """A folder with such pictures, or one of them."""
    return path.suffix.lower() == ".png" or bool(_sequences(path))


def import_davis(store: ProjectStore, path: str | Path, *, progress: Progress | None = None) -> ImportReport:
    """Take in the pictures of a folder: of a data set, of one series, or the one that a given PNG lies in.

    Raises:
        ImportFormatError: there are no such pictures; otherwise as
            :func:`annotator.io.formats.coco.import_.import_coco`.
    """
    path = Path(path).absolute()
    _ = store.readable_root
    folder = path if path.is_dir() else path.parent
    sequences = _sequences(folder)
    if not sequences or not path.exists():
        message = f"There are no PNG files in {brief(folder)}, nor in folders in it."
        raise ImportFormatError(message, "Name the folder that holds Annotations, or one of its pictures.")
    found = _Import(store, sequences, progress)
    parts: dict[str, Any] = {"annotations": found.annotations(), "images": found.images}
    return take_in(store, folder, parts | found.classes(), tally=found.tally, notes=found.notes, progress=progress)


def _sequences(folder: Path) -> list[list[Path]]:
    """The pictures of each series, in their order."""
    try:
        inner = folder / "Annotations"
        level = [inner if inner.is_dir() else folder]
        for _ in range(_DEEPEST + 1):
            found = [sorted(_pictures(one)) for one in level]
            if any(found):
                return [files for files in found if files]
            level = sorted(child for one in level for child in one.iterdir() if child.is_dir())
    except OSError:
        return []
    return []


def _pictures(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() == ".png" and file.is_file())


class _Import:
    """Pictures are read one at a time, by a reader process."""

    def __init__(self, store: ProjectStore, sequences: list[list[Path]], progress: Progress | None) -> None:
        self._sequences, self._progress = sequences, progress
        self._places, self._tracks = FramePlaces(store), TrackNumbers(store)
        self.tally, self.notes = Tally(), self._places.notes
        self.images: list[dict[str, Any]] = []
        self._meta = self._read_meta(sequences[0][0])
        self._classes: dict[str, int] = {}
        self._ignored = 0

    def classes(self) -> dict[str, Any]:
        """The list of classes, read when the objects are; none where nothing says a class."""
        if self._meta is None:
            return {}
        return {"categories": self._categories()}

    def _categories(self) -> Iterator[dict[str, Any]]:
        yield from ({"id": number, "name": name} for name, number in self._classes.items())

    def annotations(self) -> Iterator[dict[str, Any]]:
        """Rows of COCO; those of the images grow meanwhile."""
        total, done = sum(map(len, self._sequences)), 0
        for files in self._sequences:
            frames = self._frames(files)
            here = {image.id for image in frames if image is not None}
            for file, image in zip(files, frames, strict=True):
                yield from self._objects(file, image, here)
                done += 1
                if self._progress is not None:
                    self._progress(done, total)
        if self._ignored:
            self.notes.append(f"the value {_IGNORED} means nothing: left out in {counted(self._ignored, 'picture')}")

    def _frames(self, files: list[Path]) -> list[ImageRecord | None]:
        name, stems = files[0].parent.name, [file.stem for file in files]
        found = self._places.by_stems(name, stems)
        if found is not None:
            return [*found]
        series = self._places.of_series(name, len(files))
        if series is None:
            return [None] * len(files)
        numbers = [int(stem) if stem.isascii() and stem.isdigit() and len(stem) < 10 else -1 for stem in stems]
        found_there = series.at(numbers)
        if None in found_there and len(series) == len(files) and max(numbers) >= len(series):
            return series.of_list(len(files))  # counted from 1, or every fifth one
        return found_there

    def _objects(self, file: Path, image: ImageRecord | None, here: set[int]) -> Iterator[dict[str, Any]]:
        sequence = file.parent.name
        name = f"{sequence}/{file.name}"
        try:
            values = load_label_map(file)
        except ImageError as error:
            self.tally.add(name, f"cannot be used ({error.message.removesuffix('.')})", noun="picture", kind="picture")
            return
        found = [value for value in np.unique(values).tolist() if value not in (0, _IGNORED)]
        self._ignored += bool((values == _IGNORED).any())
        if len(found) > _MOST_VALUES or any(value < 0 for value in found):
            self.tally.add(name, f"has {len(found)} values: it is no picture of tracks", noun="picture", kind="values")
            return
        if image is None:
            for _ in found:
                self.tally.add(name, "is a frame of no image of this project", kind="frame")
            return
        height, width = values.shape
        self.images.append(image_row(image, len(self.images) + 1, (width, height)))
        for value in found:
            category, track = self._facts(sequence, value)
            number = self._tracks.new(sequence, value) if track is None else self._tracks.of(sequence, track, here)
            yield {
                "image_id": len(self.images),
                "category_id": self._classes.setdefault(category, len(self._classes) + 1),
                "segmentation": {
                    "size": [height, width],
                    "counts": Mask.from_full(values == value).rle().decode("ascii"),
                },
                "attributes": {"track_id": number},
            }

    def _facts(self, sequence: str, value: int) -> tuple[str, int | None]:
        """Class and track of a value, as far as ``meta.json`` says them."""
        row = self._meta
        for key in ("videos", sequence, "objects", str(value)):
            row = row.get(key) if isinstance(row, dict) else None
        if not isinstance(row, dict):
            return _NO_CLASS, None
        category, track = row.get("category"), whole_number(row.get("track_id"))
        return category if isinstance(category, str) and category.strip() else _NO_CLASS, track

    def _read_meta(self, picture: Path) -> Any:
        for folder in list(picture.parents)[: _DEEPEST + 2]:
            file = folder / META_FILE
            try:
                if file.is_file() and file.stat().st_size <= _META_BYTES:
                    return json.loads(file.read_text("utf-8-sig"))
            except (OSError, ValueError, RecursionError):
                self.notes.append(f"{META_FILE} cannot be read: objects have no classes")
                return None
        return None
