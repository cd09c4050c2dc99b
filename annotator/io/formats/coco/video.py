"""COCO for objects that are carried through a series: ``videos``, frames with ``frame_id``, one annotation a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from annotator.domain.mask import Mask
from annotator.domain.ports.tracking import TrackAnswer
from annotator.domain.tracks.track import PROPAGATED, Track


class NamedFrames(Protocol):
    """The frames of a series."""

    def __len__(self) -> int: ...
    def name(self, position: int) -> str: ...
    @property
    def numbers(self) -> tuple[int, ...]: ...
    @property
    def times_ms(self) -> tuple[float, ...]: ...


@dataclass(frozen=True, slots=True)
class _Object:
    """A mask as it is written. ``score`` is None for one that was given."""

    bbox_xywh: tuple[int, int, int, int]
    area: int
    rle: bytes
    size_wh: tuple[int, int]
    score: float | None


class VideoObjects:
    """Masks of tracks by frame, as run lengths: a given one counts, else the most confident."""

    def __init__(self, tracks: Mapping[int, Track]) -> None:
        self.track_ids = tuple(sorted(tracks))
        self._found: dict[tuple[int, int], _Object] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add_key(self, track_id: int, position: int, mask: Mask) -> None:
        """A mask that was given."""
        size = (mask.width, mask.height)
        self._found[position, track_id] = _Object(mask.bbox_xywh, mask.area, mask.rle(), size, None)

    def add_carried(self, answer: TrackAnswer) -> None:
        """A mask that was carried there."""
        there, mask = self._found.get((answer.position, answer.track_id)), answer.mask
        if there is None or (there.score is not None and there.score < answer.confidence):
            self._found[answer.position, answer.track_id] = _Object(
                mask.bbox_xywh, mask.area, answer.rle, (mask.width, mask.height), answer.confidence
            )

    def rows(self, image_ids: Mapping[int, int]) -> list[dict[str, Any]]:
        """COCO's annotations, by frame and track."""
        found = []
        for number, ((position, track_id), one) in enumerate(sorted(self._found.items(), key=_place), start=1):
            width, height = one.size_wh
            attributes: dict[str, Any] = {"track_id": track_id}
            row: dict[str, Any] = {
                "id": number,
                "image_id": image_ids[position],
                "video_id": 1,
                "category_id": 1,
                "instance_id": track_id,
                "track_id": track_id,
                "iscrowd": 0,
                "area": one.area,
                "bbox": list(one.bbox_xywh),
                "segmentation": {"size": [height, width], "counts": one.rle.decode("ascii")},
            }
            if one.score is not None:
                row["score"] = round(one.score, 4)
                attributes |= {"origin": PROPAGATED, "score": round(one.score, 4)}
            found.append(row | {"attributes": attributes})
        return found


def _place(item: tuple[tuple[int, int], _Object]) -> tuple[int, int]:
    return item[0]


def video_coco(
    objects: VideoObjects, frames: NamedFrames, *, name: str, category: str, size_wh: tuple[int, int]
) -> dict[str, Any]:
    """The file's content: all frames are in ``images``, also those without objects; ``frame_id`` is the
    number in the whole series, from 0."""
    width, height = size_wh
    images = [
        {
            "id": frames.numbers[position] + 1,
            "file_name": frames.name(position),
            "video_id": 1,
            "frame_id": frames.numbers[position],
            "width": width,
            "height": height,
            **({"time_ms": round(frames.times_ms[position], 3)} if frames.times_ms else {}),
        }
        for position in range(len(frames))
    ]
    tracks = [{"id": track_id, "video_id": 1, "category_id": 1} for track_id in objects.track_ids]
    return {
        "videos": [{"id": 1, "name": name, "width": width, "height": height, "length": len(frames)}],
        "images": images,
        "categories": [{"id": 1, "name": category}],
        "tracks": tracks,
        "annotations": objects.rows({position: number + 1 for position, number in enumerate(frames.numbers)}),
    }
