"""Segmentations in: DICOM-SEG, RTSTRUCT and label maps as objects of the images that they lie on, a track a segment."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError, ImportFormatError
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import ImageRecord
from annotator.io.formats.coco.import_ import ImportReport, import_coco
from annotator.io.formats.medical.codes import CODES_KEY
from annotator.io.formats.medical.volumes import plane_of
from annotator.io.images.places import FilePlaces
from annotator.io.images.reading import read_places, read_segments, read_size
from annotator.io.project.store import ProjectStore
from annotator.io.segments.found import Found, Picture, Segment

_AT_ONCE = 128
_TABLE_BYTES = 1 << 22
_NUMBERED = re.compile(r"(.+?)[ _-]?\d+")
ATTRIBUTE = "segment"


def import_label_map(store: ProjectStore, path: str | Path, *, progress: Progress | None = None) -> ImportReport:
    """Take in a NIfTI or NRRD label map. Its labels are looked up at the places of the images' pixels, so it may have
    another direction or spacing; where neither says where it lies, slice by slice.

    Names are those of Slicer's header, or of a BIDS table (``.tsv``) beside the file.

    Raises:
        ImportFormatError: it is no label map, or lies on none of the images; nothing was changed.
        ProjectError: as :func:`annotator.io.formats.coco.import_.import_coco`.
    """
    return _Import(store, Path(path).absolute(), progress, at_once=_AT_ONCE).run()


def import_dicom(store: ProjectStore, path: str | Path, *, progress: Progress | None = None) -> ImportReport:
    """Take in a DICOM segmentation or structure set, by the images that it names, else by its place.

    Raises:
        as :func:`import_label_map`.
    """
    return _Import(store, Path(path).absolute(), progress, at_once=0).run()


@dataclass(frozen=True, slots=True)
class _Name:
    """What a label stands for: its class, and its colour."""

    category: str
    colour: str = ""


class _Import:
    """One file."""

    def __init__(self, store: ProjectStore, path: Path, progress: Progress | None, *, at_once: int) -> None:
        self._store, self._path, self._at_once = store, path, at_once
        self._tell: Callable[[int, int], None] = progress or (lambda _done, _total: None)
        self._images: list[ImageRecord] = []
        self._pictures: list[Picture] = []
        self._notes: list[str] = []

    def run(self) -> ImportReport:
        _ = self._store.readable_root
        about = self._ask([])
        self._choose_pictures(about)
        found = self._read()
        if not found.masks:
            message = f"Nothing in {brief(self._path.name)} lies on an image of this project."
            raise ImportFormatError(message, "Open the folder with the images that it was made on.")
        with tempfile.TemporaryDirectory(prefix="annotator-segments-") as folder:
            document = Path(folder) / self._path.name  # the name of the step to undo
            document.write_text(json.dumps(self._document(found)), "utf-8")
            report = import_coco(self._store, document, progress=self._tell)
        if found.loose:
            self._notes.append(f"on no image of this project: {counted(found.loose, 'slice')} of segments, left out")
        notes = (*self._notes, *dict.fromkeys(found.notes), *report.notes)
        return replace(report, path=self._path, notes=notes)

    # --- which images -------------------------------------------------------------------------------------------------

    def _choose_pictures(self, about: Found) -> None:
        images = self._store.images()
        paths = list(dict.fromkeys(image.path for image in images))
        root = self._store.readable_root
        places = read_places(root, paths, on_done=lambda done: self._tell(0, max(1, len(paths) - done)))
        placed = [image for image in images if plane_of(image, places) is not None] if about.has_space else []
        if placed:
            self._add_placed(placed, places)
        if self._at_once and not placed:
            self._add_by_slices(images, about)

    def _add_placed(self, images: Sequence[ImageRecord], places: dict[str, FilePlaces]) -> None:
        for image in images:
            file = places[image.path]
            slices = file.volume.shape[2] if file.volume is not None else 1
            time = image.frame // slices if file.volume is not None else 0
            self._add(image, plane_of(image, places), uid=file.uid, time=time)

    def _add_by_slices(self, images: Sequence[ImageRecord], about: Found) -> None:
        """Of the series that has as many slices, in its order; of several, the one of the file's name."""
        groups: dict[int, list[ImageRecord]] = {}
        for image in images:
            groups.setdefault(image.series_id or -image.id, []).append(image)
        count = about.shape[2] * about.shape[3]
        fitting = [members for members in groups.values() if len(members) == count and self._fits(members[0], about)]
        if len(fitting) > 1:
            stem = self._path.name.split(".")[0].removesuffix("_dseg").lower()
            own = [members for members in fitting if Path(members[0].path).name.lower().split(".")[0] == stem]
            fitting = own or fitting
        if len(fitting) != 1:
            many = f"{len(fitting)} fit" if fitting else "none has its size and number of slices"
            raise ImportFormatError(
                f"{brief(self._path.name)} does not say where it lies, and of the images of this project {many}.",
                "Name it like the file that it belongs to.",
            )
        for slot, image in enumerate(sorted(fitting[0], key=lambda image: image.position)):
            self._add(image, None, slot=slot % about.shape[2], time=slot // about.shape[2])
        self._notes.append("taken slice by slice in their order: nothing says where it lies")

    def _fits(self, image: ImageRecord, about: Found) -> bool:
        return self._size(image) == about.shape[:2]

    def _add(self, image: ImageRecord, plane: Any, *, uid: str = "", slot: int = 0, time: int = 0) -> None:
        width, height = self._size(image)
        if width > 0:
            self._images.append(image)
            self._pictures.append(Picture(width, height, plane, uid, image.frame, slot, time))

    def _size(self, image: ImageRecord) -> tuple[int, int]:
        if image.width > 0:
            return image.width, image.height
        try:
            return read_size(self._store.image_path(image), frame=image.frame)
        except ImageError:  # it is reported when it is to be shown
            return 0, 0

    # --- what the file has --------------------------------------------------------------------------------------------

    def _read(self) -> Found:
        """Of a label map some pictures at a time, which can be stopped in between."""
        if not self._at_once:
            return self._ask(self._pictures)
        whole = Found()
        segments: dict[int, Segment] = {}
        for first in range(0, len(self._pictures), self._at_once):
            part = self._ask(self._pictures[first : first + self._at_once])
            segments.update({segment.key: segment for segment in part.segments})
            whole.masks += [(first + at, key, rle) for at, key, rle in part.masks]
            whole.notes += part.notes
            self._tell(min(first + self._at_once, len(self._pictures)), len(self._pictures))
        whole.segments = [segments[key] for key in sorted(segments)]
        return whole

    def _ask(self, pictures: Sequence[Picture]) -> Found:
        try:
            return read_segments(self._path, pictures)
        except ImageError as error:
            raise ImportFormatError(error.message, error.advice) from error

    # --- as a data set ------------------------------------------------------------------------------------------------

    def _document(self, found: Found) -> dict[str, Any]:
        """The objects as COCO, whose import does the rest."""
        names = self._names(found.segments)
        ids = {name: number for number, name in enumerate(dict.fromkeys(one.category for one in names.values()), 1)}
        first = {name: key for key in reversed(names) for name in (names[key].category,)}
        codes = {segment.key: segment.code for segment in found.segments}
        categories = [
            {
                "id": number,
                "name": name,
                **({"color": names[first[name]].colour} if names[first[name]].colour else {}),
                **({CODES_KEY: codes[first[name]]} if codes.get(first[name]) else {}),
            }
            for name, number in ids.items()
        ]
        tracks = self._tracks(found)
        images: dict[int, dict[str, Any]] = {}
        annotations: list[dict[str, Any]] = []
        for at, key, rle in found.masks:
            image, picture = self._images[at], self._pictures[at]
            size = {"width": picture.width, "height": picture.height}
            images.setdefault(image.id, {"id": image.id, "file_name": image.name, **size})
            row: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image.id,
                "category_id": ids[names[key].category],
                "segmentation": {"size": [picture.height, picture.width], "counts": rle},
            }
            if key in tracks:
                row["attributes"] = {"track_id": tracks[key]}
            annotations.append(row)
        return {"images": list(images.values()), "annotations": annotations, "categories": categories}

    def _tracks(self, found: Found) -> dict[int, int]:
        """A number for each segment on several images that no track of the project has."""
        several = [key for key, count in Counter(key for _, key, _ in found.masks).items() if count > 1]
        return {key: self._store.new_id("track") for key in sorted(several)}

    def _names(self, segments: Sequence[Segment]) -> dict[int, _Name]:
        """By key. "liver 2" is a liver where the project has that class, and no class of the whole name."""
        table, known = self._table(), {category.name for category in self._store.categories()}
        found: dict[int, _Name] = {}
        for segment in segments:
            name = table.get(segment.key) or _Name(segment.name or f"label {segment.key}", segment.colour)
            if segment.category:
                found[segment.key] = _Name(segment.category, segment.colour)
                continue
            numbered = _NUMBERED.fullmatch(name.category)
            if name.category not in known and numbered and numbered[1] in known:
                name = replace(name, category=numbered[1])
            found[segment.key] = name
        return found

    def _table(self) -> dict[int, _Name]:
        """What a table of labels beside the file says."""
        name = self._path.name
        for ending in (".nii.gz", ".nii", ".nrrd"):
            name = name.removesuffix(ending)
        file = self._path.with_name(f"{name}.tsv")
        try:
            if not file.is_file() or file.stat().st_size > _TABLE_BYTES:
                return {}
            rows = list(csv.DictReader(file.read_text("utf-8-sig").splitlines(), delimiter="\t"))
        except (OSError, UnicodeDecodeError, csv.Error):
            self._notes.append(f"{brief(file.name)} cannot be read: labels have numbers for names")
            return {}
        found: dict[int, _Name] = {}
        for row in rows:
            index, label = str(row.get("index") or ""), str(row.get("class") or row.get("name") or "").strip()
            colour = str(row.get("color") or "")
            if index.isdigit() and label and int(index) not in found:
                found[int(index)] = _Name(label, colour if re.fullmatch(r"#[0-9a-fA-F]{6}", colour) else "")
        return found
