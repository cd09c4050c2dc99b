"""DICOM-SEG and RTSTRUCT out: a file for each series, that names the images it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pydicom

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, ImageRecord
from annotator.domain.tally import Tally
from annotator.files.atomic import export_errors
from annotator.io.formats.medical.codes import Codes
from annotator.io.formats.medical.consent import check_consent, said_of
from annotator.io.formats.medical.dicom_common import Names, heads_of
from annotator.io.formats.medical.label_maps import LabelMapReport, check_folder, objects_of
from annotator.io.formats.medical.rtstruct_file import check_rtstruct, sources_in_space, write_rtstruct
from annotator.io.formats.medical.seg_file import SourceRefusedError, Sources, check_seg, highdicom, write_seg
from annotator.io.formats.medical.segments import Segment, segments_of
from annotator.io.formats.medical.volumes import Volume, groups_of, places_of, plane_of
from annotator.io.formats.report import CheckReport, Selection, select_images
from annotator.io.formats.staging import put_files, staging
from annotator.io.images.places import FilePlaces
from annotator.io.project.queries import ProjectQueries


def export_seg(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    identifiers: str = "none",
    labels: str = "object",
    codes: str = "",
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> LabelMapReport:
    """Write ``OUT/NAME.dcm`` for each DICOM series or image with objects.

    Args:
        out_path: a folder outside of the images; made when missing.
        identifiers: "uids" or "patient": the person has agreed that these go out; "none" is refused.
        labels: "class" or "object": what a segment is.
        codes: a table of coded terms of the person's own.
        others: as in :func:`annotator.io.formats.coco.export.export_coco`.

    Raises:
        ExportError: the person has not agreed, highdicom is missing, it cannot be written, or reading back gave other
            data; nothing in the folder was changed.
        ProjectError: the project cannot be read.
    """
    highdicom()
    terms = Codes.load(codes)
    names = Names(store)

    def write(path: Path, sources: Sources, segments: list[Segment]) -> None:
        write_seg(path, sources, segments, terms, names)

    run = _Run(store, Path(out_path).absolute(), "DICOM-SEG", identifiers, labels, write, check_seg)
    report = run.export(include_unfinished=include_unfinished, all_images=all_images, progress=progress)
    return replace(report, said=(*report.said, *_said_of_codes(terms)))


def export_rtstruct(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    identifiers: str = "none",
    labels: str = "object",
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> LabelMapReport:
    """Write a structure set ``OUT/NAME.dcm`` for each DICOM series or image with objects. Contours run on the edges of
    pixels; holes are reached by a cut, as the format has none.

    Args, raises: as :func:`export_seg`.
    """
    bridged = 0

    def write(path: Path, sources: Sources, segments: list[Segment]) -> None:
        nonlocal bridged
        bridged += write_rtstruct(path, sources, segments)

    run = _Run(store, Path(out_path).absolute(), "RTSTRUCT", identifiers, labels, write, check_rtstruct)
    run.why_not = sources_in_space
    report = run.export(include_unfinished=include_unfinished, all_images=all_images, progress=progress)
    holes = (f"holes are reached by a cut, as the format has none: {counted(bridged, 'contour')}",) if bridged else ()
    return replace(report, said=(*report.said, *holes))


class _Run:
    """One export of DICOM objects, a file for each series."""

    def __init__(
        self,
        store: ProjectQueries,
        target: Path,
        title: str,
        identifiers: str,
        labels: str,
        write: Callable[[Path, Sources, list[Segment]], None],
        check: Callable[[Path, Sources, list[Segment]], tuple[list[str], float]],
    ) -> None:
        self._store, self._target, self._title, self._identifiers = store, target, title, identifiers
        self._labels, self._write, self._check = labels, write, check
        self.why_not: Callable[[Sources], str] = lambda _sources: ""
        """Why there is no file of some images; empty when there is one."""
        self._objects, self._off_mm = 0, 0.0

    def export(self, *, include_unfinished: bool, all_images: bool, progress: Progress | None) -> LabelMapReport:
        check_consent(self._identifiers, self._title)
        check_folder(self._target, self._store)
        target, tally = self._target, Tally()
        with self._store.snapshot(), export_errors(target), staging(target) as made:
            selection = select_images(self._store, include_unfinished=include_unfinished, all_images=all_images)
            categories = {category.id: category for category in self._store.categories()}
            warnings = list(selection.warnings)
            objects = objects_of(self._store, selection, categories, warnings)
            work = _sources(self._store, selection, objects, tally, identifiers=self._identifiers)
            written: list[Sources] = []
            for done, sources in enumerate(work, start=1):
                why = self.why_not(sources)
                if why:
                    tally.add(sources.name, why, noun="series")
                else:
                    segments = segments_of(_as_volume(sources), objects, categories, by=self._labels)
                    refusal = self._one(made, sources, segments)
                    warnings += [refusal] if refusal else []
                    written += [] if refusal else [sources]
                if progress is not None:
                    progress(done, len(work))
            warnings += tally.lines()
            if not written:
                why = "; ".join(warnings[:2]) or "no DICOM image has objects"
                raise ExportError(f"There is nothing to write: {why}.")
            put_files(made, target)
        images = sum(len(sources.images) for sources in written)
        return LabelMapReport(
            target,
            images,
            self._objects,
            len(categories),
            selection.left_out,
            tuple(warnings),
            CheckReport(self._objects, rle=self._objects),
            len(written),
            (said_of(self._identifiers, images),),
            self._off_mm,
        )

    def _one(self, staging: Path, sources: Sources, segments: list[Segment]) -> str:
        """Write a file and read it back; why it cannot be made of these images, else nothing."""
        path = staging.joinpath(*f"{sources.name}.dcm".split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._write(path, sources, segments)
        except SourceRefusedError as error:
            return error.message
        problems, off_mm = self._check(path, sources, segments)
        if problems:
            detail = "; ".join(problems[:3])
            raise ExportError(f"{brief(path.name)} was not written: reading it back gave other data ({detail}).")
        self._off_mm = max(self._off_mm, off_mm)
        self._objects += sum(len(segment.objects) for segment in segments)
        return ""


def _sources(
    store: ProjectQueries,
    selection: Selection,
    objects: Mapping[int, list[Annotation]],
    tally: Tally,
    *,
    identifiers: str,
) -> list[Sources]:
    """What there are files of; images that are no DICOM are counted in ``tally``."""
    groups = groups_of(store, selection)
    images = [image for _, _, members in groups for image in members]
    wanted = [image for image in images if image.id in objects]
    heads, places = heads_of(store, wanted, identifiers=identifiers), places_of(store, wanted)
    found: list[Sources] = []
    for name, _, members in groups:
        for own, several in enumerate(_parts(members, objects, heads, tally)):
            made = _one(name if own == 0 else f"{name}-{own + 1}", several, heads, places)
            if len({(image.width, image.height) for image in made.images}) == 1:
                found.append(made)
            else:
                tally.add(name, "is left out: it has slices of different sizes", noun="series")
    return found


def _parts(
    members: list[ImageRecord],
    objects: Mapping[int, list[Annotation]],
    heads: Mapping[str, pydicom.Dataset],
    tally: Tally,
) -> list[list[ImageRecord]]:
    """Images by their DICOM series: a SEG file is about one."""
    parts: dict[str, list[ImageRecord]] = {}
    for image in members:
        head = heads.get(image.path)
        if head is not None:
            parts.setdefault(str(head.SeriesInstanceUID), []).append(image)
        elif image.id in objects:
            why = "is left out: it is no DICOM image with UIDs"
            tally.add(image.name, why, noun="image")
    return [part for part in parts.values() if any(image.id in objects for image in part)]


def _one(
    name: str, images: list[ImageRecord], heads: Mapping[str, pydicom.Dataset], places: Mapping[str, FilePlaces]
) -> Sources:
    is_frames = any(int(heads[image.path].get("NumberOfFrames") or 1) > 1 for image in images)
    if is_frames:
        images = sorted(images, key=lambda image: (image.path, image.frame))
    planes = tuple(plane_of(image, places) for image in images)
    return Sources(name, tuple(images), heads, planes, is_frames)


def _as_volume(sources: Sources) -> Volume:
    first = sources.images[0]
    shape = (first.width, first.height, len(sources.images), 1)
    return Volume(sources.name, sources.images, sources.planes, shape, None, None)


def _said_of_codes(codes: Codes) -> list[str]:
    if not codes.unknown:
        return []
    names = ", ".join(brief(name) for name in sorted(codes.unknown)[:5])
    return [f'coded as "Tissue", as no term is known for {counted(len(codes.unknown), "class", "classes")}: {names}']
