"""COCO with videos in: frames by their names, else by ``frame_id`` in the series that the video is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from annotator.domain.ports.jobs import Progress
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.clips_in.document import holds_text, image_row, take_in
from annotator.io.formats.clips_in.frames import FramePlaces
from annotator.io.formats.clips_in.tracks import TrackNumbers
from annotator.io.formats.coco.import_ import ImportReport
from annotator.io.formats.coco.parse import whole_number
from annotator.io.formats.coco.stream import Rows, read_coco, read_lists
from annotator.io.project.store import ProjectStore

_TRACK_KEYS = ("track_id", "instance_id")
_FRAME_KEYS = ("frame_id", "frame_index")


def is_coco_video(path: Path) -> bool:
    """By its lists."""
    return path.is_file() and holds_text(path, b'"videos"', b'"images"', b'"video_id"')


def import_coco_video(store: ProjectStore, path: str | Path, *, progress: Progress | None = None) -> ImportReport:
    """Take in the objects with their tracks.

    Raises:
        as :func:`annotator.io.formats.coco.import_.import_coco`.
    """
    path = Path(path).absolute()
    _ = store.readable_root
    tell = progress or (lambda _done, _total: None)
    lists = read_lists(path, tick=lambda: tell(0, 1))
    if not {"images", "videos"} <= lists.keys():
        read_coco(path)  # says what is missing
    return _Import(store, path, lists).run(progress)


class _Import:
    """One file."""

    def __init__(self, store: ProjectStore, path: Path, lists: dict[str, Rows]) -> None:
        self._store, self._path, self._lists = store, path, lists
        self._tally = Tally()
        self._places, self._tracks = FramePlaces(store), TrackNumbers(store)
        self._frames: dict[int, ImageRecord] = {}
        """By the file's id of an image."""
        self._images_of: dict[int, set[int]] = {}
        """By video: ids of the project's images."""
        self._video_of: dict[int, int] = {}

    def run(self, progress: Progress | None) -> ImportReport:
        self._match()
        kept = ("licenses", "attributes", "categories")
        lists: dict[str, Iterable[Any]] = {key: self._lists[key] for key in kept if key in self._lists}
        lists |= {"images": self._images(), "annotations": self._annotations()}
        notes = self._places.notes
        return take_in(self._store, self._path, lists, tally=self._tally, notes=notes, progress=progress)

    def _match(self) -> None:
        names: dict[int, tuple[str, int]] = {}
        for row in self._lists.get("videos", ()):
            number = whole_number(row.get("id")) if isinstance(row, dict) else None
            if number is not None and isinstance(row.get("name", row.get("file_name")), str):
                names[number] = (row.get("name", row.get("file_name")), whole_number(row.get("length")) or 0)
        frames: dict[int, dict[int, tuple[int | None, Any]]] = defaultdict(dict)
        for row in self._lists["images"]:
            if isinstance(row, dict):
                image, video = whole_number(row.get("id")), whole_number(row.get("video_id"))
                if image is not None and video is not None:
                    at = next((whole_number(row[key]) for key in _FRAME_KEYS if key in row), None)
                    frames[video][image] = (at, row.get("file_name"))
                    self._video_of[image] = video
        for video, rows in frames.items():
            self._match_video(video, rows, *names.get(video, ("", 0)))

    def _match_video(self, video: int, rows: dict[int, tuple[int | None, Any]], name: str, length: int) -> None:
        """What is not matched here goes on with its own name, which may be that of a file in another folder."""
        found = self._places.by_names([str(given) for _, given in rows.values()])
        if found is not None:
            self._frames.update(zip(rows, found, strict=True))
        elif (series := self._places.of_series(name, length or len(rows))) is not None:
            counts = Counter(at for at, _ in rows.values())
            once = [at if counts[at] == 1 else None for at, _ in rows.values()]
            for image, found_there in zip(rows, series.at(once), strict=True):
                if found_there is not None:
                    self._frames[image] = found_there
        self._images_of[video] = {self._frames[image].id for image in rows if image in self._frames}

    def _images(self) -> Iterator[Any]:
        for row in self._lists["images"]:
            number = whole_number(row.get("id")) if isinstance(row, dict) else None
            image = self._frames.get(number) if number is not None else None
            if image is None or number is None:
                yield row
                continue
            kept = {key: value for key, value in row.items() if key not in ("video_id", *_FRAME_KEYS)}
            yield kept | image_row(image, number, (row.get("width"), row.get("height")))

    def _annotations(self) -> Iterator[Any]:
        for row in self._lists.get("annotations", ()):
            yield self._tracked(row) if isinstance(row, dict) else row

    def _tracked(self, row: dict[str, Any]) -> dict[str, Any]:
        image = whole_number(row.get("image_id"))
        video = self._video_of.get(image) if image is not None else None
        attributes = row.get("attributes")
        own = attributes.get("track_id") if isinstance(attributes, dict) else None
        given = [whole_number(value) for value in (own, *(row.get(key) for key in _TRACK_KEYS))]
        number = next((one for one in given if one is not None and one > 0), None)
        if video is None or number is None:
            return row
        kept = {key: value for key, value in row.items() if key not in ("video_id", *_TRACK_KEYS)}
        track = self._tracks.of(video, number, self._images_of[video])
        return {**kept, "attributes": {**(attributes if isinstance(attributes, dict) else {}), "track_id": track}}
