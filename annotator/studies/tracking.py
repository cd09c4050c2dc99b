"""How well objects are carried through the sequences of labelled sets: the figures of ``docs/propagation.md``.

    python -m annotator.studies.tracking SET... [--objects 12] [--reach 12] [--from click] [--json out.json]

A set is a folder with ``annotations.json`` (COCO) whose images have ``sequence`` and ``frame``. One mask is given, that
of an object's middle frame, or (``--from``) the model's answer to one click or box there; the object is carried from
it to both sides, and beyond its ends.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Segmenter
from annotator.domain.ports.tracking import Propagator, TrackFrame, TrackSeed, TrackState
from annotator.domain.prompt import Prompts
from annotator.domain.tracks.track import Direction
from annotator.engine.tracking.shapes import deepest_point
from annotator.io.images.reading import load_image

BEYOND = 2
LEAST_FRAMES, LEAST_AREA_PX = 5, 150


@dataclass(frozen=True, slots=True, eq=False)
class KnownTrack:
    """An object of a sequence: its files by position, and its masks where it is."""

    name: str
    files: tuple[Path, ...]
    masks: dict[int, Mask]

    @property
    def middle(self) -> int:
        """The position of its middle frame."""
        return sorted(self.masks)[len(self.masks) // 2]


@dataclass(frozen=True, slots=True)
class Hop:
    """One answer. ``iou`` is None beyond the object's end."""

    method: str
    track: str
    hop: int
    iou: float | None
    confidence: float
    is_lost: bool


def known_tracks(folder: Path) -> Iterator[KnownTrack]:
    """Objects of a set, linked from frame to frame by their class and the largest overlap."""
    data = json.loads((folder / "annotations.json").read_text("utf-8"))
    sequences: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for image in data["images"]:
        sequences[str(image["sequence"])].append(image)
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in data["annotations"]:
        rows[row["image_id"]].append(row)
    for name, images in sorted(sequences.items()):
        images.sort(key=lambda image: image["frame"])
        yield from _linked(f"{folder.name}/{name}", folder, images, rows)


def _linked(
    name: str, folder: Path, images: Sequence[dict[str, Any]], rows: dict[int, list[dict[str, Any]]]
) -> Iterator[KnownTrack]:
    files = tuple(folder / image["file_name"] for image in images)
    open_tracks: dict[tuple[str, int], dict[int, Mask]] = {}
    number = 0
    for position, image in enumerate(images):
        for row in rows[image["id"]]:
            label = str(row.get("source_label", row["category_id"]))
            mask = Mask.from_rle(row["segmentation"]["counts"], image["width"], image["height"])
            before = [
                (masks[position - 1].intersection_area(mask), key)
                for key, masks in open_tracks.items()
                if key[0] == label and position - 1 in masks and position not in masks
            ]
            shared, key = max(before, default=(0, ("", 0)))
            if shared == 0:
                number += 1
                key = (label, number)
                open_tracks[key] = {}
            open_tracks[key][position] = mask
    for (label, at), masks in open_tracks.items():
        middle = sorted(masks)[len(masks) // 2]
        if len(masks) >= LEAST_FRAMES and masks[middle].area >= LEAST_AREA_PX:
            yield KnownTrack(f"{name}/{label} {at}", files, masks)


def measured(
    track: KnownTrack, seed: Mask, method: str, propagator: Propagator, direction: Direction, reach: int
) -> list[Hop]:
    """From a mask of the middle frame in one direction, ``BEYOND`` frames past the object's end."""
    middle = track.middle
    end = max(track.masks) + BEYOND if direction > 0 else min(track.masks) - BEYOND
    end = min(max(end, 0), len(track.files) - 1)
    positions = range(middle + direction, end + direction, direction)[:reach]
    if seed.is_empty:  # nothing to carry is nothing found
        return [Hop(method, track.name, abs(at - middle), 0.0, 0.0, True) for at in positions if at in track.masks]
    propagator.seed(_frame(track, middle), [TrackSeed(1, seed)], is_cancelled=lambda: False)
    found = []
    for position in positions:
        (answer,) = propagator.step(_frame(track, position), [1], is_cancelled=lambda: False)
        truth = track.masks.get(position)
        iou = None if truth is None else answer.mask.iou(truth)
        hop = abs(position - middle)
        found.append(Hop(method, track.name, hop, iou, answer.confidence, answer.state is TrackState.LOST))
    return found


def seed_of(track: KnownTrack, source: str, segmenter: Segmenter) -> Mask:
    """What is carried: the known mask of the middle frame, or the model's answer to one click or box there."""
    truth = track.masks[track.middle]
    if source == "mask":
        return truth
    x, y, w, h = truth.bbox_xywh
    point = deepest_point(truth.full())
    prompts = Prompts(box=Box(x, y, x + w, y + h)) if source == "box" or point is None else Prompts((point,))
    frame = _frame(track, track.middle)
    return segmenter.decode(segmenter.encode(frame.image, frame.image_key), prompts).chosen.mask


def _frame(track: KnownTrack, position: int) -> TrackFrame:
    loaded = load_image(track.files[position])
    return TrackFrame(position, loaded.rgb, loaded.image_key)


def summary(hops: Sequence[Hop]) -> dict[str, float]:
    """Mean J of all, of the first hop and of the fifth and later ones; share of J >= 0.7; how ends were noticed."""
    inside = [hop for hop in hops if hop.iou is not None]
    beyond = [hop for hop in hops if hop.iou is None]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else float("nan")

    return {
        "answers": len(inside),
        "J": mean([hop.iou or 0.0 for hop in inside]),
        "J 1": mean([hop.iou or 0.0 for hop in inside if hop.hop == 1]),
        "J 5+": mean([hop.iou or 0.0 for hop in inside if hop.hop >= 5]),
        "J >= 0.7": mean([float((hop.iou or 0.0) >= 0.7) for hop in inside]),
        "beyond": len(beyond),
        "beyond noticed": mean([float(hop.is_lost) for hop in beyond]),
        "good doubted": mean([float(hop.is_lost) for hop in inside if (hop.iou or 0.0) >= 0.6]),
        "bad doubted": mean([float(hop.is_lost) for hop in inside if (hop.iou or 0.0) < 0.6]),
    }


def main() -> None:
    """Print a table."""
    from annotator.engine.load import load_segmenter
    from annotator.studies.tracking_methods import METHODS, loaded_methods

    parser = argparse.ArgumentParser(description="objects carried through labelled sequences")
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--objects", type=int, default=12, help="so many of each set, drawn at random")
    parser.add_argument("--reach", type=int, default=12, help="frames to each side at most")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--model", default="nano")
    parser.add_argument("--from", dest="source", choices=("mask", "click", "box"), default="mask")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    segmenter = load_segmenter(args.model)
    make = loaded_methods(segmenter)
    hops: list[Hop] = []
    for folder in args.sets:
        tracks = list(known_tracks(folder))
        order = np.random.default_rng(0).permutation(len(tracks))[: args.objects]
        for track in (tracks[at] for at in sorted(order)):
            seed = seed_of(track, args.source, segmenter)
            for method in args.methods:
                directions: tuple[Direction, Direction] = (1, -1)
                for direction in directions:
                    hops += measured(track, seed, method, make(method), direction, args.reach)
            own = [hop for hop in hops if hop.track == track.name]
            line = {method: summary([hop for hop in own if hop.method == method])["J"] for method in args.methods}
            given = round(seed.iou(track.masks[track.middle]), 2)
            print(track.name, len(track.masks), given, {method: round(J, 2) for method, J in line.items()}, flush=True)
        if args.json is not None:
            args.json.write_text(json.dumps([asdict(hop) for hop in hops]), "utf-8")
    for method in args.methods:
        found = summary([hop for hop in hops if hop.method == method])
        print(method, {key: round(value, 3) for key, value in found.items()})


if __name__ == "__main__":
    main()
