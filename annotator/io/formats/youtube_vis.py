"""YouTube-VIS: one JSON file in which a track is one row with a list of masks, ``null`` where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from annotator.domain.mask import Mask
from annotator.domain.ports.jobs import Progress
from annotator.io.formats.clips import Clips
from annotator.io.formats.coco_video import category_rows, export_json, rle_of
from annotator.io.formats.report import CheckReport, ExportReport
from annotator.io.project.queries import ProjectQueries


def export_youtube_vis(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Raises:
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


def _document(clips: Clips) -> dict[str, Any]:
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for clip in clips.clips:
        width, height = clip.size_wh
        names = [image.name for image in clip.images]
        size = {"width": width, "height": height, "length": len(names)}
        videos.append({"id": clip.id, "name": clip.name, **size, "file_names": names})
        for track in clip.tracks:
            shown = [track.objects.get(frame) for frame in range(len(names))]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "track_id": track.id,
                    "video_id": clip.id,
                    "category_id": track.category_id,
                    "iscrowd": 0,
                    **size,
                    "segmentations": [None if one is None else rle_of(one) for one in shown],
                    "bboxes": [None if one is None else [one.x, one.y, one.w, one.h] for one in shown],
                    "areas": [None if one is None else one.area for one in shown],
                }
            )
    info = {"description": "", "version": "1.0"}
    return {
        "info": info,
        "licenses": [],
        "videos": videos,
        "categories": category_rows(clips),
        "annotations": annotations,
    }


def _check(found: dict[str, Any], clips: Clips) -> CheckReport:
    rows = iter(found["annotations"])
    problems = []
    for clip in clips.clips:
        for track in clip.tracks:
            row = next(rows)
            for frame, given in enumerate(row["segmentations"]):
                one = track.objects.get(frame)
                if one is None or given is None:
                    if one is not None or given is not None:
                        problems.append(f"track {track.id}, frame {frame}: there is an object in one of them alone")
                    continue
                height, width = given["size"]
                if not Mask.from_rle(given["counts"], width, height).same_pixels(one.mask()):
                    problems.append(f"{clips.name_of(one, clip, frame)}: other pixels")
    return CheckReport(clips.objects, rle=clips.objects, problems=tuple(problems))
