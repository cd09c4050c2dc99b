"""YouTube-VIS in: a row a track, with a mask a frame or ``null``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.clips_in.document import holds_text, image_row, take_in
from annotator.io.formats.clips_in.frames import FramePlaces
from annotator.io.formats.clips_in.tracks import TrackNumbers
from annotator.io.formats.coco.import_ import ImportReport
from annotator.io.formats.coco.parse import shown, whole_number
from annotator.io.formats.coco.stream import Rows, read_lists
from annotator.io.project.store import ProjectStore

_WANTED = "A YouTube-VIS file has the lists videos, annotations and categories."
_BEYOND = "has a frame that its video has not"


def is_youtube_vis(path: Path) -> bool:
    """By its lists."""
    return path.is_file() and holds_text(path, b'"videos"', b'"segmentations"')


def import_youtube_vis(store: ProjectStore, path: str | Path, *, progress: Progress | None = None) -> ImportReport:
    """Take in the objects with their tracks.

    Raises:
        ImportFormatError: it has no list of videos; otherwise as
            :func:`annotator.io.formats.coco.import_.import_coco`.
    """
    path = Path(path).absolute()
    _ = store.readable_root
    tell = progress or (lambda _done, _total: None)
    lists = read_lists(path, tick=lambda: tell(0, 1))
    if "videos" not in lists:
        raise ImportFormatError(f"{brief(path.name)} is no YouTube-VIS data set: it has no list 'videos'.", _WANTED)
    found = _Import(store, lists)
    parts = {"images": found.images, "annotations": found.annotations(), "categories": lists.get("categories", ())}
    return take_in(store, path, parts, tally=found.tally, notes=found.places.notes, progress=progress)


@dataclass(frozen=True, slots=True)
class _Video:
    """``frames``: the id of each frame in the file that is made."""

    number: int
    frames: tuple[int, ...]
    image_ids: set[int]


class _Import:
    """Videos at once, annotations one at a time."""

    def __init__(self, store: ProjectStore, lists: dict[str, Rows]) -> None:
        self._rows = lists.get("annotations", ())
        self.tally, self.places, self._tracks = Tally(), FramePlaces(store), TrackNumbers(store)
        self.images: list[dict[str, Any]] = []
        self._videos: dict[int, _Video] = {}
        for at, row in enumerate(lists["videos"], start=1):
            number = whole_number(row.get("id")) if isinstance(row, dict) else None
            names = row.get("file_names") if isinstance(row, dict) else None
            if number is None or number in self._videos or not isinstance(names, list) or not names:
                self.tally.add(f"video {at}", "has no id of its own, or no file_names", noun="video")
                continue
            self._videos[number] = self._video(number, row, [str(name) for name in names])

    def _video(self, number: int, row: dict[str, Any], names: list[str]) -> _Video:
        """Frames without an image here keep their names: the import looks for them in other folders, or names them."""
        title = row.get("name") if isinstance(row.get("name"), str) else names[0].rpartition("/")[0]
        found = self.places.by_names(names)
        images: list[ImageRecord | None] = [*found] if found else [None] * len(names)
        if found is None and (series := self.places.of_series(str(title or names[0]), len(names))) is not None:
            images = series.of_list(len(names))
        size, first = (row.get("width"), row.get("height")), len(self.images) + 1
        for at, (image, name) in enumerate(zip(images, names, strict=True), start=first):
            plain = {"id": at, "file_name": name, "width": size[0], "height": size[1]}
            self.images.append(plain if image is None else image_row(image, at, size))
        here = {image.id for image in images if image is not None}
        return _Video(number, tuple(range(first, first + len(names))), here)

    def annotations(self) -> Iterator[dict[str, Any]]:
        """Rows of COCO."""
        for at, row in enumerate(self._rows, start=1):
            if not isinstance(row, dict):
                self.tally.add(f"annotation {at}", "is not an object")
                continue
            number = whole_number(row.get("video_id"))
            video = self._videos.get(number) if number is not None else None
            name = f"annotation {at} (id {shown(row.get('id'))})"
            if video is None:
                text = f"video_id {shown(row.get('video_id'))} is not in the file's videos"
                self.tally.add(f"{name}:", text, kind="video id")
            else:
                yield from self._objects(name, at, row, video)

    def _objects(self, name: str, at: int, row: dict[str, Any], video: _Video) -> Iterator[dict[str, Any]]:
        masks, boxes = row.get("segmentations"), row.get("bboxes")
        if not isinstance(masks, list):
            self.tally.add(name, "has no list of segmentations")
            return
        boxes = boxes if isinstance(boxes, list) else []
        given = next((n for key in ("track_id", "id") if (n := whole_number(row.get(key))) and n > 0), None)
        track = (
            self._tracks.new(video.number, -at)
            if given is None
            else self._tracks.of(video.number, given, video.image_ids)
        )
        for frame, mask in enumerate(masks):
            box = boxes[frame] if frame < len(boxes) else None
            if mask is None and box is None:
                continue
            if frame >= len(video.frames):
                self.tally.add(name, _BEYOND)
                continue
            found = {"image_id": video.frames[frame], "category_id": row.get("category_id"), "segmentation": mask}
            more = {"bbox": box, "iscrowd": row.get("iscrowd", 0), "attributes": {"track_id": track}}
            yield {**found, **more, **({"score": row["score"]} if "score" in row else {})}
