"""What CVAT shows of a file for videos of ours: shapes by track and frame."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotator.domain.mask import Mask
from annotator.domain.polygon import rings_to_mask


@dataclass(frozen=True, slots=True)
class Shape:
    """An object on a frame."""

    label: str
    mask: Mask | None
    is_occluded: bool


def read_shapes(
    file: Path, *, size_wh: tuple[int, int], numbers: Sequence[int]
) -> tuple[dict[tuple[int, int], Shape], list[str]]:
    """The shapes by (track, frame), and where CVAT would show something else: a shape that it drops, or one that it
    draws by itself because no ``outside`` ends it.

    Args:
        numbers: of the frames that the task has.
    """
    place = {number: at for at, number in enumerate(numbers)}
    found: dict[tuple[int, int], Shape] = {}
    problems: list[str] = []
    for track in _tracks(file):
        shapes = sorted((shape for shape in track if shape.tag in ("polygon", "mask")), key=_frame)
        stops = [*(place.get(_frame(shape), -1) for shape in shapes[1:]), len(numbers)]
        for shape, stop in zip(shapes, stops, strict=True):
            frame = _frame(shape)
            values = {row.get("name"): row.text for row in shape.findall("attribute")}
            number = int(values["track_id"] or 0)
            if shape.get("keyframe") != "1" or frame not in place:
                problems.append(f"track {number}, frame {frame}: dropped")
            if shape.get("outside") == "1":
                continue
            if stop != place.get(frame, -2) + 1:
                problems.append(f"track {number}, frame {frame}: does not end")
            is_occluded = shape.get("occluded") == "1"
            found[number, frame] = Shape(str(track.get("label")), _mask(shape, *size_wh), is_occluded)
    return found, problems


def _tracks(file: Path) -> Iterator[ElementTree.Element]:
    root: ElementTree.Element | None = None
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        root = element if root is None else root
        if event == "end" and element.tag == "track":
            yield element
            root.clear()


def _frame(shape: ElementTree.Element) -> int:
    return int(shape.get("frame", "-1"))


def _mask(shape: ElementTree.Element, width: int, height: int) -> Mask:
    if shape.tag == "polygon":
        pairs = (pair.split(",") for pair in shape.get("points", "").split(";"))
        return rings_to_mask([np.array([(float(x), float(y)) for x, y in pairs])], width=width, height=height)
    left, top, w, h = (int(shape.get(key, "0")) for key in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.get("rle", "").split(",")]
    crop = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)
    return Mask(crop, left, top, width, height)
