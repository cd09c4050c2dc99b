"""Masks that a person gives for frames of a series: PNG files whose values are objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from annotator.domain.brevity import brief
from annotator.domain.errors import PromptError
from annotator.domain.mask import Mask
from annotator.domain.tracks.track import Track, TrackMember, tracks_of

if TYPE_CHECKING:
    from annotator.io.images.frame_source import FrameSource

MOST_OBJECTS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class KeyMasks:
    """What is certain: masks by (track id, position), and the same as tracks; ``size_wh`` of the frames in pixels."""

    masks: dict[tuple[int, int], Mask]
    tracks: dict[int, Track]
    size_wh: tuple[int, int]


def read_masks(files: Sequence[Path], places: Sequence[int], source: FrameSource) -> KeyMasks:
    """Args:
        places: numbers of frames in the whole series, which the source has.

    Raises:
        PromptError: files and places do not pair up, a place is not in the series, or a mask is empty or of another
            size. ImageError: a mask cannot be read.
    """
    if len(files) != len(places):
        raise PromptError(f"{len(files)} --mask and {len(places)} --at were given.", "Give one --at for each --mask.")
    masks: dict[tuple[int, int], Mask] = {}
    size = (0, 0)
    for file, at in zip(files, places, strict=True):
        if not 0 <= at < source.total:
            raise PromptError(f"There is no frame {at}.", f"The series has frames 0 to {source.total - 1}.")
        position = source.numbers.index(at)
        values, frame = _values(file), source.read(position)
        size = (frame.width, frame.height)
        if values.shape != frame.rgb.shape[:2]:
            theirs = f"{values.shape[1]} x {values.shape[0]}"
            raise PromptError(f"{brief(file.name)} is {theirs}, frame {at} is {frame.width} x {frame.height}.")
        objects = [int(value) for value in np.unique(values) if value]
        if not objects:
            raise PromptError(f"{brief(file.name)} is empty.", "Objects are where it is not 0.")
        if len(objects) > MOST_OBJECTS:
            raise PromptError(
                f"{brief(file.name)} has {len(objects)} values.", "Save masks as PNG: every value is an object."
            )
        for value in objects:
            masks[value, position] = Mask.from_full(values == value)
    members = [TrackMember(0, 0, track_id, 1, at, True) for track_id, at in masks]
    return KeyMasks(masks, tracks_of(members), size)


def _values(file: Path) -> np.ndarray[tuple[int, int], np.dtype[np.integer]]:
    """H x W whole numbers: of a picture with a palette its indices."""
    from annotator.io.images.reading import load_label_map

    return load_label_map(file).astype(np.int64)
