"""MOTS: a text file a series, a line an object: frame, id (class * 1000 + instance), class, size, run lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.domain.ports.jobs import Progress
from annotator.files.atomic import export_errors
from annotator.io.formats.clips import PAINTED_BYTES, Clip, clips_of
from annotator.io.formats.coco_video import report_of
from annotator.io.formats.report import CheckReport, ExportReport
from annotator.io.formats.staging import check_folder, put_files, staging
from annotator.io.project.queries import ProjectQueries

MOST_OF_A_CLASS = 999
MOST_CLASSES = 9
"""10 is the class of what is ignored."""
CLASSES_FILE = "classes.txt"


def export_mots(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    first_frame: int = 0,
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """``instances_txt/SERIES.txt``, and ``classes.txt`` with a class name a line, the first one's number being 1. The
    format forbids overlaps: where objects overlap the later track is on top, and the others lose these pixels.

    Args:
        first_frame: number of a series' first frame: 0 as in KITTI MOTS, 1 as in MOTSChallenge.

    Raises:
        ExportError: there is no series, there are too many classes or tracks, a file cannot be written, or reading it
            back gave other data; nothing was put into place then.
        ProjectError: the project cannot be read.
    """
    target = Path(out_path).absolute()
    check_folder(target)
    with store.snapshot(), export_errors(target), staging(target) as made:
        clips = clips_of(store, include_unfinished=include_unfinished, all_images=all_images, progress=progress)
        used = sorted({track.category_id for clip in clips.clips for track in clip.tracks})
        if len(used) > MOST_CLASSES:
            in_use = counted(len(used), "class", "classes")
            message = f"MOTS holds at most {MOST_CLASSES} kinds of objects; {in_use} are in use."
            raise ExportError(message, "Export it as COCO video or YouTube-VIS.")
        numbers = {category_id: number for number, category_id in enumerate(used, start=1)}
        cut = [
            _write(clip, made / "instances_txt" / f"{clip.folder}.txt", numbers, first_frame) for clip in clips.clips
        ]
        lines = [" ".join(clips.categories[category_id].name.split()) for category_id in used]
        (made / CLASSES_FILE).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        put_files(made, target)
    lost, gone = sum(pixels for pixels, _ in cut), sum(objects for _, objects in cut)
    more = [f"{counted(lost, 'pixel')} of objects lie under others, and are not in the files"] if lost else []
    more += [f"{counted(gone, 'object')} left out: wholly under others"] if gone else []
    return report_of(target, clips, CheckReport(clips.objects - gone, rle=clips.objects - gone), tuple(more))


def _write(clip: Clip, file: Path, numbers: dict[int, int], first_frame: int) -> tuple[int, int]:
    """How many pixels were cut off, and of how many objects nothing was left."""
    ids = _ids(clip, numbers)
    budget.ask(clip.name, PAINTED_BYTES * clip.size_wh[0] * clip.size_wh[1], error=ExportError)
    rows: list[tuple[int, int, Mask]] = []
    lost = gone = 0
    for frame in range(len(clip.images)):
        taken = np.zeros(clip.size_wh[::-1], bool)
        here = []
        for track, one in reversed(list(clip.painted(frame))):
            mask = one.mask().full()
            seen = mask & ~taken
            taken |= mask
            lost += int(mask.sum() - seen.sum())
            gone += not seen.any()
            if seen.any():
                here.append((clip.numbers[frame] + first_frame, ids[track.id], Mask.from_full(seen)))
        rows += here[::-1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(_line(*row) for row in rows), "ascii")
    _check(file, rows, clip)
    return lost, gone


def _line(frame: int, number: int, mask: Mask) -> str:
    return f"{frame} {number} {number // 1000} {mask.height} {mask.width} {mask.rle().decode('ascii')}\n"


def _ids(clip: Clip, numbers: dict[int, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    counts = dict.fromkeys(numbers.values(), 0)
    for track in clip.tracks:
        kind = numbers[track.category_id]
        counts[kind] += 1
        if counts[kind] > MOST_OF_A_CLASS:
            message = (
                f"{brief(clip.name)} has more than {MOST_OF_A_CLASS} tracks of one class, which MOTS does not hold."
            )
            raise ExportError(message, "Export it as COCO video or YouTube-VIS.")
        found[track.id] = kind * 1000 + counts[kind]
    return found


def _check(file: Path, rows: list[tuple[int, int, Mask]], clip: Clip) -> None:
    for line, (frame, number, mask) in zip(file.read_text("ascii").splitlines(), rows, strict=True):
        at, found, kind, height, width, counts = line.split(" ")
        is_same = (int(at), int(found), int(kind)) == (frame, number, number // 1000)
        if not is_same or not Mask.from_rle(counts, int(width), int(height)).same_pixels(mask):
            raise ExportError(
                f"{brief(file.name)} of {brief(clip.name)} was not written: reading it back gave other data."
            )
