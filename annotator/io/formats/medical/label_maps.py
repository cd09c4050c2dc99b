"""Label maps out: a NIfTI or ``.seg.nrrd`` file for each series, on the grid of its images, with a table of labels.

Written by our own code, read back by nibabel or pynrrd; every voxel and the place of every segment are compared before
a file counts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Category
from annotator.domain.tally import Tally
from annotator.files.atomic import export_errors
from annotator.io.formats.medical.check import check_nifti, check_nrrd
from annotator.io.formats.medical.codes import Codes
from annotator.io.formats.medical.nifti_file import MOST_PIXELS, write_nifti
from annotator.io.formats.medical.nrrd_file import write_nrrd
from annotator.io.formats.medical.segments import Segment, by_image, layers_of, painted, segments_of
from annotator.io.formats.medical.volumes import Volume, volumes_of
from annotator.io.formats.report import (
    CheckReport,
    ExportReport,
    Selection,
    select_images,
    shortened,
    writable_objects,
)
from annotator.io.formats.staging import put_files, staging
from annotator.io.project.place import is_project_file
from annotator.io.project.queries import ProjectQueries

_MOST = np.iinfo(np.uint16).max
_LAYER_BYTES = 6
"""Of a pixel and layer."""


@dataclass(frozen=True, slots=True)
class LabelMapReport(ExportReport):
    """``files``: how many label maps; ``said``: what was decided, a line each; ``off_mm``: how far the centre of a
    segment lies from where its images have it, at most."""

    files: int = 0
    said: tuple[str, ...] = ()
    off_mm: float = 0.0

    def lines(self) -> list[str]:
        """See :class:`ExportReport`."""
        first, *rest, _ = ExportReport.lines(self)
        said = [f"note: {line}" for line in shortened(self.said)]
        check = (
            f"self-check: {counted(self.check.objects, 'object')} read back by another library, every voxel compared"
        )
        place = (
            f"geometry: centres of segments lie within {max(self.off_mm, 1e-6):.0e} mm of where the images have them"
        )
        return [f"{first} in {counted(self.files, 'file')}", *said, *rest, check, place]


def export_nifti(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    labels: str = "class",
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> LabelMapReport:
    """Write ``OUT/NAME_dseg.nii.gz`` and a table ``NAME_dseg.tsv`` for each series or image.

    Args:
        out_path: a folder outside of the images; made when missing.
        labels: "class" or "object": what a number stands for.
        others: as in :func:`annotator.io.formats.coco.export.export_coco`.

    Raises:
        ExportError: it cannot be written, or reading back gave other data; nothing in the folder was changed.
        ProjectError: the project cannot be read.
    """

    def write(path: Path, volume: Volume, segments: list[Segment]) -> list[str]:
        if max(volume.shape) > MOST_PIXELS:
            raise ExportError(f"{brief(volume.name)} is too large for NIfTI (more than {MOST_PIXELS} along an axis).")
        at, dtype, lost = by_image(segments), _dtype(segments), dict[int, int]()
        write_nifti(path, volume, _frames(volume, at, dtype, lost), dtype)
        path.with_name(path.name.removesuffix(".nii.gz") + ".tsv").write_text(_table(segments), "utf-8")
        areas = {segment.number: sum(one.area for one in segment.objects) for segment in segments}
        names = {segment.number: segment.name for segment in segments}
        return [
            f"{brief(volume.name)}: {brief(names[number])} loses {counted(count, 'pixel')} of {areas[number]:,} to "
            "objects over it"
            for number, count in sorted(lost.items())
        ]

    run = _Run(store, Path(out_path), "_dseg.nii.gz", labels, progress)
    return run.write(write, check_nifti, include_unfinished=include_unfinished, all_images=all_images)


def export_nrrd(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    labels: str = "object",
    codes: str = "",
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> LabelMapReport:
    """Write ``OUT/NAME.seg.nrrd`` for each series or image; objects that overlap are in layers of their own.

    Args:
        codes: a table of coded terms of the person's own; see :mod:`.codes`.
        others, raises: as :func:`export_nifti`.
    """
    terms = Codes.load(codes)

    def write(path: Path, volume: Volume, segments: list[Segment]) -> list[str]:
        layers, dtype = layers_of(segments), _dtype(segments)
        count = max(layers.values(), default=0) + 1
        budget.ask(path.name, _LAYER_BYTES * count * volume.shape[0] * volume.shape[1], error=ExportError)
        frames = _layered(volume, by_image(segments), dtype, layers, count)
        write_nrrd(path, volume, frames, dtype, segments=segments, layers=layers, codes=terms)
        return []

    run = _Run(store, Path(out_path), ".seg.nrrd", labels, progress, parts_times=True)
    return run.write(write, check_nrrd, include_unfinished=include_unfinished, all_images=all_images)


class _Run:
    """One export of label maps."""

    def __init__(
        self,
        store: ProjectQueries,
        out_path: Path,
        ending: str,
        by: str,
        progress: Progress | None,
        *,
        parts_times: bool = False,
    ) -> None:
        self._store, self._target, self._ending, self._by = store, out_path.absolute(), ending, by
        self._progress, self._parts_times = progress, parts_times
        self._said: list[str] = []
        self._done = self._total = self._objects = 0
        self._off_mm = 0.0

    def write(self, write: Any, check: Any, *, include_unfinished: bool, all_images: bool) -> LabelMapReport:
        target, store = self._target, self._store
        check_folder(target, store)
        with store.snapshot(), export_errors(target), staging(target) as made:
            selection = select_images(store, include_unfinished=include_unfinished, all_images=all_images)
            categories = {category.id: category for category in store.categories()}
            warnings = list(selection.warnings)
            objects = objects_of(store, selection, categories, warnings)
            tally = Tally()
            volumes = volumes_of(store, selection, tally)
            volumes = [part for volume in volumes for part in (volume.times() if self._parts_times else [volume])]
            self._total = sum(len(volume.images) for volume in volumes)
            for volume in volumes:
                segments = segments_of(volume, objects, categories, by=self._by)
                self._one(made, volume, segments, write, check)
            warnings += tally.lines()
            if not volumes:
                why = "; ".join(warnings[:2]) or "no image has objects or is marked done"
                raise ExportError(f"There is nothing to write: {why}.")
            put_files(made, target)
        counts = (sum(len(volume.images) for volume in volumes), self._objects, len(categories))
        report = CheckReport(self._objects, rle=self._objects)
        said = tuple(self._said)
        return LabelMapReport(
            target, *counts, selection.left_out, tuple(warnings), report, len(volumes), said, self._off_mm
        )

    def _one(self, staging: Path, volume: Volume, segments: list[Segment], write: Any, check: Any) -> None:
        if len(segments) > _MOST or max((segment.number for segment in segments), default=0) > _MOST:
            raise ExportError(
                f"{brief(volume.name)} has more than {_MOST:,} segments.", "Export a number for each class."
            )
        path = staging.joinpath(*f"{volume.name}{self._ending}".split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._said += [*volume.notes, *write(path, volume, segments)]
        problems, off_mm = check(path, volume, segments)
        if problems:
            detail = "; ".join(problems[:3])
            raise ExportError(f"{brief(path.name)} was not written: reading it back gave other data ({detail}).")
        self._off_mm = max(self._off_mm, off_mm)
        self._objects += sum(len(segment.objects) for segment in segments)
        self._done += len(volume.images)
        if self._progress is not None:
            self._progress(self._done, self._total)


def check_folder(target: Path, store: ProjectQueries) -> None:
    """Raises:
    ExportError: it is a file, the name of a project, or lies among the images.
    """
    if is_project_file(target) or (target.exists() and not target.is_dir()):
        raise ExportError(f"{brief(target)} is a file, or the name of a project.", "Name a folder.")
    if target.is_relative_to(store.image_root):
        raise ExportError(
            f"What is written to {brief(target)} would be taken for images of this project.",
            "Choose a folder elsewhere.",
        )


def objects_of(
    store: ProjectQueries, selection: Selection, categories: dict[int, Category], warnings: list[str]
) -> dict[int, list[Annotation]]:
    """The objects that go out, by image id."""
    found: dict[int, list[Annotation]] = {}
    for image, one in writable_objects(store, selection, categories, warnings):
        found.setdefault(image.id, []).append(one)
    return found


def _dtype(segments: list[Segment]) -> str:
    return "uint8" if max((segment.number for segment in segments), default=0) < 256 else "uint16"


def _frames(
    volume: Volume, at: dict[int, list[tuple[Segment, Annotation]]], dtype: str, lost: dict[int, int]
) -> Iterator[npt.NDArray[Any]]:
    """Frames as they are stored, j x i; pixels that others have taken are counted in ``lost``."""
    i, j = volume.shape[:2]
    for image in volume.frames:
        members = [] if image is None else at.get(image.id, [])
        if not members or image is None:
            yield np.zeros((j, i), dtype)
            continue
        plane, taken = painted(members, image.width, image.height, dtype)
        for number, count in taken.items():
            lost[number] = lost.get(number, 0) + count
        yield volume.turn.stored(plane)


def _layered(
    volume: Volume,
    at: dict[int, list[tuple[Segment, Annotation]]],
    dtype: str,
    layers: dict[int, int],
    count: int,
) -> Iterator[npt.NDArray[Any]]:
    """Frames as they are stored, j x i x layers."""
    parts = []
    for layer in range(count):
        mine = {image: [pair for pair in pairs if layers[pair[0].number] == layer] for image, pairs in at.items()}
        parts.append(_frames(volume, mine, dtype, {}))
    for planes in zip(*parts, strict=True):
        yield np.stack(planes, axis=2)


def _table(segments: list[Segment]) -> str:
    """BIDS' table of labels: number, name, colour; and of an object its track."""
    text = io.StringIO()
    rows = csv.writer(text, delimiter="\t", lineterminator="\n")
    rows.writerow(("index", "name", "color", "class", "track"))
    for segment in segments:
        track = segment.track_id or "n/a"
        names = (" ".join(name.split()) for name in (segment.name, segment.category.name))
        name, category = names
        rows.writerow((segment.number, name, segment.category.colour, category, track))
    return text.getvalue()
