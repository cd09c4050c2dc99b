"""``annotator track``: objects carried through a series from masks, without a person."""

from __future__ import annotations

import argparse
import sys
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.frame_options import add_frame_options, pick_of
from annotator.domain.brevity import brief
from annotator.domain.counting import counted

if TYPE_CHECKING:
    from annotator.commands.track_masks import KeyMasks
    from annotator.domain.errors import ImageError
    from annotator.domain.ports.engine import Segmenter
    from annotator.domain.ports.tracking import Propagator
    from annotator.domain.tracks.run import CarryRun
    from annotator.domain.tracks.track import Direction
    from annotator.io.formats.coco.video import VideoObjects
    from annotator.io.images.frame_source import FrameSource
    from annotator.jobs.job import Job


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "series", type=Path, metavar="SERIES", help="a folder of frames or slices, a file of many pages, or a video"
    )
    parser.add_argument(
        "--mask",
        type=Path,
        action="append",
        required=True,
        metavar="M.png",
        help="where the objects are: 0 outside, every other value is an object of its own; may be repeated, each with "
        "its --at: the same value is the same object there",
    )
    parser.add_argument(
        "--at", type=int, action="append", required=True, metavar="N", help="the frame of the mask, counted from 0"
    )
    parser.add_argument("--both", action="store_true", help="carry them backward, too; without this only forward")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first frame that may be written")
    parser.add_argument("--last", type=int, metavar="N", help="the last frame that may be written")
    add_frame_options(parser, what="of the series, beside those of the masks")
    parser.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="an object ends when it looks lost so many frames running (default: 2, in a video 5)",
    )
    parser.add_argument("--category", default="object", metavar="NAME", help="the class of the objects")
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    parser.add_argument("--out", type=Path, required=True, metavar="F.json", help="COCO with videos and frames")


def run(args: argparse.Namespace) -> int:
    """Carry, write, and say where objects were lost. Exit code 1 when frames could not be read; the others are written.

    Raises:
        UserError: no series, masks that do not fit it, a model that cannot be loaded, an unwritable output.
    """
    import json

    from annotator.commands.job_bar import run_with_bar
    from annotator.commands.output import check_output
    from annotator.commands.predict import notes_on
    from annotator.commands.track_masks import read_masks
    from annotator.domain.errors import ExportError
    from annotator.domain.frame_pick import ALL_FRAMES
    from annotator.engine.load import load_segmenter
    from annotator.files.atomic import export_errors, write_atomic
    from annotator.io.formats.coco.video import VideoObjects, video_coco
    from annotator.io.images.frame_source import open_frames
    from annotator.io.project.windows import AsShown
    from annotator.jobs.job import Job

    if args.out.suffix.lower() != ".json":
        raise ExportError(f"{brief(args.out)} has an unknown kind.", "Name a .json file.")
    check_output(args.out, sources=(*args.mask, args.model, args.series if args.series.is_file() else None))
    pick, load = pick_of(args) or ALL_FRAMES, AsShown(are_slices=True).load
    source = open_frames(args.series, load=load, pick=pick, needed=args.at)
    keys = read_masks(args.mask, args.at, source)
    segmenter = load_segmenter(args.model, device=args.device, config=args.config)
    for note in notes_on(segmenter.info):
        print(f"annotator: {note}", file=sys.stderr)
    carrying = Carrying(source, keys, args, VideoObjects(keys.tracks))
    run_with_bar(
        Job("Carry objects", unit="frame"), lambda job: carrying.through(segmenter, job), stays=True, everywhere=False
    )
    name, info = args.series.resolve().name, segmenter.info
    data = video_coco(carrying.objects, source, name=name, category=args.category, size_wh=keys.size_wh)
    data["info"] = {"description": "annotator track", "model": info.name, "model_sha256": info.sha256}
    with export_errors(args.out):
        write_atomic(args.out, json.dumps(data, indent=1).encode())
    for line in carrying.lines:
        print(f"annotator: {line}", file=sys.stderr)
    found = counted(len(carrying.objects), "mask")
    print(f"{args.out}: {counted(len(keys.tracks), 'object')}, {found} on {counted(len(source), 'frame')}")
    return 1 if carrying.has_unreadable else 0


class Carrying:
    """One or two passes over a series, and what was found.

    ``lines`` are what is to be said at the end; ``has_unreadable`` whether frames were left out.
    """

    def __init__(self, source: FrameSource, keys: KeyMasks, args: argparse.Namespace, objects: VideoObjects) -> None:
        self._source, self._keys, self._args = source, keys, args
        self.objects = objects
        self.lines: list[str] = []
        self.has_unreadable = False
        for (track_id, at), mask in keys.masks.items():
            objects.add_key(track_id, at, mask)

    def through(self, segmenter: Segmenter, job: Job) -> None:
        """Forward, and with ``--both`` backward: where both have a mask the more confident one counts.

        Raises:
            WorkCancelled: the job was stopped.
        """
        from annotator.engine.tracking.propagators import propagator_of

        ways: tuple[Direction, ...] = (1, -1) if self._args.both else (1,)
        passes = []
        for direction in ways:
            propagator = propagator_of(
                segmenter,
                frames=len(self._source),
                direction=direction,
                embedding_of=lambda frame, stop: segmenter.encode(frame.image, frame.image_key, is_cancelled=stop),
            )
            passes.append((propagator, self._run(direction, finds_again=propagator.finds_again)))
        if passes[0][0].note:
            self.lines.append(passes[0][0].note)
        total, before = sum(run.total for _, run in passes), 0
        for propagator, run in passes:
            self._pass(propagator, run, job, before=before, total=total)
            before += run.total
        job.progress(total, total)

    def _run(self, direction: Direction, *, finds_again: bool) -> CarryRun:
        from annotator.domain.tracks.run import FINDING_PATIENCE, PATIENCE, VIDEO_PATIENCE, CarryRun, legs_between_keys

        numbers = self._source.numbers
        last = len(numbers) - 1 if self._args.last is None else max(0, bisect_right(numbers, self._args.last) - 1)
        limit = last if direction > 0 else min(len(numbers) - 1, bisect_left(numbers, self._args.first))
        legs = [leg for track in self._keys.tracks.values() for leg in legs_between_keys(track, direction, limit=limit)]
        usual = FINDING_PATIENCE if finds_again else VIDEO_PATIENCE
        patience = self._args.patience or (usual if self._source.is_video else PATIENCE)
        return CarryRun(legs, direction, patience=max(1, patience))

    def _pass(self, propagator: Propagator, run: CarryRun, job: Job, *, before: int, total: int) -> None:
        from annotator.domain.ports.tracking import TrackFrame
        from annotator.jobs.carrying import carry

        def read(position: int) -> TrackFrame:
            loaded = self._source.read(position)
            return TrackFrame(position, loaded.rgb, loaded.image_key)

        def on_unreadable(position: int, error: ImageError) -> None:
            self.has_unreadable = True
            self.lines.append(f"frame {self._source.numbers[position]} is left out: {error}")

        masks = self._keys.masks
        outcomes = carry(
            run,
            propagator,
            read=read,
            mask_at=lambda track_id, at: masks[track_id, at],
            on_unreadable=on_unreadable,
            is_cancelled=lambda: job.is_cancelled,
        )
        for outcome in outcomes:
            for answer in outcome.found:
                self.objects.add_carried(answer)
            for ending in outcome.ended:
                if ending.is_lost:
                    way = "after" if run.direction > 0 else "before"
                    last = self._source.numbers[ending.last]
                    self.lines.append(f"object {ending.leg.track_id} is lost {way} frame {last}")
            job.progress(before + run.done, total)
