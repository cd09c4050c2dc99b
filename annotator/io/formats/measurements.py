"""Measurements: one CSV file with a line for each object, or for each track of a series."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.extents import area_of_pixels, centre_of, longest_diameter, volume_ml
from annotator.domain.media import Series
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Category, ImageRecord
from annotator.domain.tracks.size import STRAIGHT, Drift, drift_of, part_of, size_of
from annotator.files.atomic import atomic_file, export_errors
from annotator.io.formats.report import CheckReport, ExportReport, Selection, select_images, writable_objects
from annotator.io.formats.target import check_target
from annotator.io.images.places import plane_of
from annotator.io.images.reading import read_places
from annotator.io.project.queries import ProjectQueries

BY_OBJECT, BY_TRACK = "object", "track"
_DIGITS = 6
_CELL_LETTERS = 32_767
"""Spreadsheets cut longer ones, and Python's own reader refuses four times as many."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class MeasurementReport(ExportReport):
    """``without_mm``: objects whose pixels' size is not known; ``rows``: lines of the file."""

    without_mm: int = 0
    rows: int = 0

    def lines(self) -> list[str]:
        """See :class:`ExportReport`."""
        first, *rest, _ = ExportReport.lines(self)
        unknown = f"without millimetres, as nothing says how large a pixel is: {counted(self.without_mm, 'object')}"
        check = f"self-check: {counted(self.rows, 'line')} read back, the areas add up to those of the masks"
        return [first, *rest, *([unknown] if self.without_mm else []), check]


def export_measurements(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    lines: str = BY_OBJECT,
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> MeasurementReport:
    """Write the file, read it back, and only then put it into place.

    Args:
        lines: "object": one for each object of an image; "track": one for each object through its slices.
        others: as in :func:`annotator.io.formats.coco.export.export_coco`.

    Raises:
        ExportError: it cannot be written, or reading back gave other areas; an existing file is untouched.
        ProjectError: the project cannot be read.
    """
    target = Path(out_path).absolute()
    check_target(target, project=store.path)
    with store.snapshot(), export_errors(target):
        selection = select_images(store, include_unfinished=include_unfinished, all_images=all_images)
        categories = {category.id: category for category in store.categories()}
        series = {one.id: one for one in store.slices.series()}
        warnings = list(selection.warnings)
        total = sum(selection.counts.get(image.id, 0) for image in selection.images)
        measured: list[_Measured] = []
        spacings = _spacings(store, selection)
        for image, annotation in writable_objects(store, selection, categories, warnings):
            about = series.get(image.series_id), categories[annotation.category_id], spacings.get(image.id)
            measured.append(_measured(annotation, image, *about))
            if progress is not None:
                progress(len(measured), total)
        drifts = _drifts(store, measured) if lines == BY_TRACK else {}
        rows = _by_track(measured, drifts) if lines == BY_TRACK else [_row_of(one) for one in measured]
        with atomic_file(target) as (stream, partial):
            stream.write(_text(rows, _TRACK if lines == BY_TRACK else _OBJECT).encode("utf-8-sig"))
            stream.flush()
            _check(partial, measured)
    count = len(measured)
    without = sum(one.spacing is None for one in measured)
    counts = (len(selection.images), count, len(categories))
    check = CheckReport(count)
    return MeasurementReport(
        target, *counts, selection.left_out, tuple(warnings), check, without_mm=without, rows=len(rows)
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """One object. ``longest`` is in millimetres where ``spacing`` is known, else in pixels."""

    annotation: Annotation
    image: ImageRecord
    series: Series | None
    category: Category
    spacing: tuple[float, float] | None
    longest: float
    centre: tuple[float, float]

    @property
    def step_mm(self) -> float | None:
        return None if self.series is None or self.spacing is None else self.series.step_mm


def _spacings(store: ProjectQueries, selection: Selection) -> dict[int, tuple[float, float]]:
    """By image id, where it is known: from the project, else from the heads of the files."""
    known = {image.id: image.spacing_mm for image in selection.images}
    asked = [image for image in selection.images if known[image.id] is None and selection.counts.get(image.id)]
    places = read_places(store.readable_root, list(dict.fromkeys(image.path for image in asked)))
    for image in asked:
        found = places.get(image.path)
        plane = plane_of(places, image.path, image.frame)
        known[image.id] = plane.spacing_xy if plane is not None else None if found is None else found.spacing_xy
    return {image_id: spacing for image_id, spacing in known.items() if spacing is not None}


def _measured(
    annotation: Annotation,
    image: ImageRecord,
    series: Series | None,
    category: Category,
    spacing: tuple[float, float] | None,
) -> _Measured:
    mask = annotation.mask()
    longest = longest_diameter(mask, spacing or (1.0, 1.0))
    return _Measured(annotation, image, series, category, spacing, longest, centre_of(mask))


_OBJECT = (
    *("object", "image", "series", "slice", "class", "track", "area_px", "area_mm2", "longest_px", "longest_mm"),
    *("centre_x_px", "centre_y_px", "x_px", "y_px", "width_px", "height_px", "origin", "score", "review"),
)
_TRACK = (
    *("track", "class", "series", "slices", "first_slice", "last_slice", "slices_without", "objects", "area_px"),
    *("volume_ml", "largest_area_mm2", "largest_area_slice", "longest_mm", "diameter_3d_mm"),
)


def _row_of(one: _Measured) -> dict[str, Any]:
    annotation, spacing = one.annotation, one.spacing
    (x, y), is_known = one.centre, spacing is not None
    return {
        "object": annotation.id,
        "image": one.image.name,
        "series": "" if one.series is None else one.series.name,
        "slice": "" if one.series is None else one.image.position + 1,
        "class": one.category.name,
        "track": annotation.track_id or "",
        "area_px": annotation.area,
        "area_mm2": "" if spacing is None else area_of_pixels(annotation.area, spacing),
        "longest_px": longest_diameter(annotation.mask()) if is_known else one.longest,
        "longest_mm": one.longest if is_known else "",
        "centre_x_px": x,
        "centre_y_px": y,
        "x_px": annotation.x,
        "y_px": annotation.y,
        "width_px": annotation.w,
        "height_px": annotation.h,
        "origin": annotation.origin,
        "score": "" if annotation.score is None else annotation.score,
        "review": annotation.review.value,
    }


def _drifts(store: ProjectQueries, measured: list[_Measured]) -> dict[int, Drift]:
    """By series id: how its slices lie above each other."""
    ends: dict[int, tuple[ImageRecord, ImageRecord]] = {}
    for one in measured:
        if one.step_mm is not None:
            first, last = ends.get(one.image.series_id, (one.image, one.image))
            ends[one.image.series_id] = (
                min(first, one.image, key=lambda image: image.position),
                max(last, one.image, key=lambda image: image.position),
            )
    places = read_places(
        store.readable_root, list(dict.fromkeys(image.path for pair in ends.values() for image in pair))
    )
    found: dict[int, Drift] = {}
    for series_id, pair in ends.items():
        planes = [plane_of(places, image.path, image.frame) for image in pair]
        if planes[0] is not None and planes[1] is not None:
            found[series_id] = drift_of(planes[0], planes[1])
    return found


def _by_track(measured: list[_Measured], drifts: dict[int, Drift]) -> list[dict[str, Any]]:
    """Objects without a track are one each; the class is part of it."""
    groups: dict[tuple[int, int, int, int], list[_Measured]] = {}
    for one in measured:
        own = one.annotation
        key = (one.image.series_id, own.track_id, own.category_id, 0 if own.track_id else own.id)
        groups.setdefault(key, []).append(one)
    return [_row_of_track(members, drifts.get(members[0].image.series_id, STRAIGHT)) for members in groups.values()]


def _row_of_track(members: list[_Measured], drift: Drift) -> dict[str, Any]:
    first, positions = members[0], sorted({one.image.position for one in members})
    areas = [None if one.spacing is None else area_of_pixels(one.annotation.area, one.spacing) for one in members]
    known = [area for area in areas if area is not None]
    is_known = len(known) == len(members)
    volumes = [
        volume_ml(one.annotation.area, one.spacing, one.step_mm)
        for one in members
        if one.spacing is not None and one.step_mm is not None
    ]
    largest = max(range(len(members)), key=lambda at: members[at].annotation.area)
    in_series = first.series is not None
    return {
        "track": first.annotation.track_id or "",
        "class": first.category.name,
        "series": first.series.name if first.series is not None else first.image.name,
        "slices": len(positions),
        "first_slice": positions[0] + 1 if in_series else "",
        "last_slice": positions[-1] + 1 if in_series else "",
        "slices_without": positions[-1] - positions[0] + 1 - len(positions) if in_series else "",
        "objects": len(members),
        "area_px": sum(one.annotation.area for one in members),
        "volume_ml": sum(volumes) if len(volumes) == len(members) else "",
        "largest_area_mm2": max(known) if is_known else "",
        "largest_area_slice": members[largest].image.position + 1 if in_series else "",
        "longest_mm": max(one.longest for one in members) if is_known else "",
        "diameter_3d_mm": _diameter(members, drift) if len(volumes) == len(members) else "",
    }


def _diameter(members: list[_Measured], drift: Drift) -> float:
    """Through the slices."""
    first = members[0]
    parts = [(one.image.position, part_of(one.annotation.mask())) for one in members]
    return size_of(parts, first.series, first.spacing, drift=drift).diameter


def _text(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\r\n")
    table.writeheader()
    for row in rows:
        table.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Numbers with six digits; words that a table would take for a formula get an apostrophe, none is too long."""
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if not isinstance(value, str):
        return value
    return (f"'{value}" if value.startswith(_FORMULA) else value)[:_CELL_LETTERS]


def _check(path: Path, measured: list[_Measured]) -> None:
    """Raises:
    ExportError: what was written says something else than the masks.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        total = sum(int(row["area_px"]) for row in csv.DictReader(stream))
    if total != sum(one.annotation.mask().area for one in measured):
        raise ExportError(f"{brief(path.name)} was not written: reading it back gave other areas.")
