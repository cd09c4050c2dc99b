"""DAVIS: ``Annotations/SERIES/00000.png``, a palette picture a frame, whose values are the tracks, numbered from 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.ports.jobs import Progress
from annotator.files.atomic import export_errors
from annotator.io.formats.clips import PAINTED_BYTES, Clip, Clips, clips_of
from annotator.io.formats.coco_video import report_of
from annotator.io.formats.report import CheckReport, ExportReport
from annotator.io.formats.staging import check_folder, put_files, staging
from annotator.io.project.queries import ProjectQueries

META_FILE = "meta.json"
"""Of YouTube-VOS: classes of the values, and ours: their tracks."""
MOST_TRACKS = 254
"""Of a series: 255 is "ignore" in most readers."""


def export_davis(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """A value holds one object, so where objects overlap the track with the higher number is on top. Classes and tracks
    of the values stand in ``meta.json``, in YouTube-VOS's form.

    Raises:
        ExportError: there is no series, one has more than 254 tracks, a file cannot be written, or reading it back
            gave other data; nothing was put into place then.
        ProjectError: the project cannot be read.
    """
    target = Path(out_path).absolute()
    check_folder(target)
    with store.snapshot(), export_errors(target), staging(target) as made:
        clips = clips_of(store, include_unfinished=include_unfinished, all_images=all_images, progress=progress)
        for clip in clips.clips:
            if len(clip.tracks) > MOST_TRACKS:
                message = f"{brief(clip.name)} has {len(clip.tracks)} tracks; DAVIS holds {MOST_TRACKS} in a series."
                raise ExportError(message, "Export it as COCO video or YouTube-VIS.")
        hidden = 0
        for clip in clips.clips:
            hidden += _write(clip, made / "Annotations" / clip.folder)
        (made / META_FILE).write_text(json.dumps(_meta(clips), indent=1), "utf-8")
        put_files(made, target)
    more = [f"{counted(hidden, 'pixel')} of objects lie under others, and are not in the pictures"] if hidden else []
    more += [f"classes are not in the pictures, but in {META_FILE}"] if len(clips.categories) > 1 else []
    return report_of(target, clips, CheckReport(clips.objects), tuple(more))


def _meta(clips: Clips) -> dict[str, Any]:
    videos = {}
    for clip in clips.clips:
        objects = {}
        for value, track in enumerate(clip.tracks, start=1):
            frames = [f"{clip.numbers[frame]:05d}" for frame in sorted(track.objects)]
            category = clips.categories[track.category_id].name
            objects[str(value)] = {"category": category, "track_id": track.id, "frames": frames}
        videos[clip.folder] = {"objects": objects}
    return {"videos": videos}


def _write(clip: Clip, folder: Path) -> int:
    """How many pixels of objects are under others."""
    folder.mkdir(parents=True)
    number = {track.id: place for place, track in enumerate(clip.tracks, start=1)}
    width, height = clip.size_wh
    budget.ask(clip.name, PAINTED_BYTES * width * height, error=ExportError)
    hidden = 0
    for frame in range(len(clip.images)):
        values = np.zeros((height, width), np.uint8)
        for track, one in clip.painted(frame):
            mask = one.mask().full()
            hidden += int((values[mask] > 0).sum())
            values[mask] = number[track.id]
        file = folder / f"{clip.numbers[frame]:05d}.png"
        _paletted(values).save(file)
        with Image.open(file) as read:
            if not np.array_equal(np.asarray(read), values):
                raise ExportError(
                    f"{brief(file.name)} of {brief(clip.name)} was not written: reading it back gave other data."
                )
    return hidden


def _paletted(values: npt.NDArray[np.uint8]) -> Image.Image:
    picture = Image.frombytes("P", (values.shape[1], values.shape[0]), values.tobytes())
    picture.putpalette(_PALETTE)
    return picture


def _palette() -> bytes:
    """PASCAL VOC's colours, which DAVIS uses: the bits of the number, spread over the three channels from the top."""
    colours = bytearray()
    for number in range(256):
        for channel in range(3):
            colours.append(sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)))
    return bytes(colours)


_PALETTE = _palette()
