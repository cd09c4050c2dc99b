"""COCO with videos: images have ``video_id`` and ``frame_id`` (in the video, from 0), objects ``instance_id``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.domain.media import TIME_KEY
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation
from annotator.files.atomic import export_errors, write_atomic
from annotator.io.formats.clips import Clips, clips_of
from annotator.io.formats.report import CheckReport, ExportReport, attributes_of, frame_fields, shortened
from annotator.io.formats.target import check_target
from annotator.io.project.queries import ProjectQueries


def export_coco_video(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """One JSON file; masks are run lengths, exact to the pixel. Read back and compared before it is put into place.

    Raises:
        ExportError: there is no series, the file cannot be written, or reading it back gave other data.
        ProjectError: the project cannot be read.
    """
    return export_json(
        store,
        Path(out_path),
        _document,
        _check,
        include_unfinished=include_unfinished,
        all_images=all_images,
        progress=progress,
    )


def export_json(
    store: ProjectQueries,
    out_path: Path,
    document: Callable[[Clips], dict[str, Any]],
    check: Callable[[dict[str, Any], Clips], CheckReport],
    *,
    include_unfinished: bool,
    all_images: bool,
    progress: Progress | None,
) -> ExportReport:
    """Write the document that is made of a project's series, once it was read back and ``check`` finds it the same.

    Raises:
        ExportError: there is no series, the file cannot be written, or reading it back gave other data.
        ProjectError: the project cannot be read.
    """
    target = out_path.absolute()
    check_target(target, project=store.path)
    with store.snapshot(), export_errors(target):
        clips = clips_of(store, include_unfinished=include_unfinished, all_images=all_images, progress=progress)
        data = json.dumps(document(clips), allow_nan=False, separators=(",", ":")).encode()
        found = check(json.loads(data), clips)
        if not found.is_ok:
            detail = "; ".join(shortened(found.problems)[:3])
            raise ExportError(f"{brief(target.name)} was not written: reading it back gave other data ({detail}).")
        write_atomic(target, data)
    return report_of(target, clips, found)


def report_of(target: Path, clips: Clips, check: CheckReport, more: tuple[str, ...] = ()) -> ExportReport:
    """What an export of series says."""
    counts = (clips.images, clips.objects, len(clips.categories))
    return ExportReport(target, *counts, clips.selection.left_out, (*clips.warnings, *more), check)


def rle_of(annotation: Annotation) -> dict[str, Any]:
    """COCO's compressed run lengths."""
    return {"size": [annotation.image_height, annotation.image_width], "counts": annotation.rle.decode("ascii")}


def category_rows(clips: Clips) -> list[dict[str, Any]]:
    return [{"id": one.id, "name": one.name, "supercategory": ""} for one in clips.categories.values()]


def _document(clips: Clips) -> dict[str, Any]:
    videos, images, tracks, annotations = [], [], [], []
    for clip in clips.clips:
        width, height = clip.size_wh
        videos.append({"id": clip.id, "name": clip.name, "width": width, "height": height, "length": len(clip.images)})
        for frame, image in enumerate(clip.images):
            row = {"id": image.id, "file_name": image.name, "width": image.width, "height": image.height}
            time = {TIME_KEY: image.extra[TIME_KEY]} if TIME_KEY in image.extra else {}
            attributes = {**frame_fields(image), "status": image.status.value}
            place = {"video_id": clip.id, "frame_id": clip.numbers[frame], **time}
            images.append({**row, **place, "attributes": attributes})
        for track in clip.tracks:
            tracks.append({"id": track.id, "video_id": clip.id, "category_id": track.category_id})
            for _, one in sorted(track.objects.items()):
                annotations.append(
                    {
                        "id": one.id,
                        "image_id": one.image_id,
                        "video_id": clip.id,
                        "category_id": one.category_id,
                        "instance_id": track.id,
                        "track_id": track.id,
                        "segmentation": rle_of(one),
                        "area": one.area,
                        "bbox": [one.x, one.y, one.w, one.h],
                        "iscrowd": 0,
                        "attributes": {**(attributes_of(one) or {}), "track_id": track.id},
                    }
                )
    lists = {"videos": videos, "images": images, "categories": category_rows(clips), "tracks": tracks}
    return {**lists, "annotations": annotations}


def _check(found: dict[str, Any], clips: Clips) -> CheckReport:
    rows = {row["id"]: row for row in found["annotations"]}
    problems = []
    for clip in clips.clips:
        for track in clip.tracks:
            for frame, one in track.objects.items():
                row = rows.pop(one.id, None)
                if row is None or row["instance_id"] != track.id or row["category_id"] != one.category_id:
                    problems.append(f"{clips.name_of(one, clip, frame)}: it or its track is not there")
                    continue
                height, width = row["segmentation"]["size"]
                if not Mask.from_rle(row["segmentation"]["counts"], width, height).same_pixels(one.mask()):
                    problems.append(f"{clips.name_of(one, clip, frame)}: other pixels")
    problems += [f"object {number}: it is not in the project" for number in rows]
    return CheckReport(clips.objects, rle=clips.objects, problems=tuple(problems))
