"""Segment everything by SAM 2's own generator and by ours, each in a process of its own, taking turns.

A turn is 64 clicks. While one side works the others wait in a pipe, so that what else the machine does slows all of
them alike, and the memory of each is its own.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

TURN_CLICKS = 64
CONFIG = "configs/sam2.1/sam2.1_hiera_t.yaml"
RADII_CELLS = (7.0, 14.0, 26.0)
"""Of the discs that stand for the three candidates of a click, in cells of the decoder's grid of 256."""
_RESET_PEAK = "5"

Turn = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What both sides do.

    Attributes:
        points: clicks along a side; side_px: of the square image.
        iou_thresh: predicted IoU that a candidate must exceed.
        is_half: bfloat16; official: whose code.
    """

    points: int
    side_px: int
    iou_thresh: float
    is_half: bool = False
    official: bool = False


@dataclass
class Bill:
    """What a side needed, over its turns."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    extra_mib: float = 0.0
    found: int = 0


def run_in_turns(jobs: dict[str, Job]) -> dict[str, Bill]:
    """Every side from the image to its last mask; the bills by the names of the sides."""
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    processes = []
    bills = {name: Bill() for name in jobs}
    try:
        for name, job in jobs.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_child, args=(theirs, job), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            ends[name] = ours
            assert ours.recv() == "ready"  # one after the other, so that no two load at once
        while ends:
            for name in list(ends):
                ends[name].send("go")
                kind, *values = ends[name].recv()
                bill = bills[name]
                bill.wall_s.append(values[0])
                bill.cpu_s.append(values[1])
                if kind == "done":
                    bill.extra_mib, bill.found = values[2], values[3]
                    ends.pop(name).close()
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return bills


def _child(pipe: Connection, job: Job) -> None:
    import torch

    clock = [0.0, 0.0]

    def started() -> None:
        pipe.recv()
        clock[:] = time.perf_counter(), time.process_time()

    def taken() -> tuple[float, float]:
        return time.perf_counter() - clock[0], time.process_time() - clock[1]

    def turn() -> None:
        pipe.send(("turn", *taken()))
        started()

    model = random_model()
    image = photograph(job.side_px)
    work = _official(model, job) if job.official else _ours(model, job)
    before = memory_kib("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    pipe.send("ready")
    started()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        found = work(image, turn)
    pipe.send(("done", *taken(), (memory_kib("VmHWM") - before) / 1024, found))


def random_model() -> Any:
    """SAM 2.1 tiny with weights from a seed."""
    import torch

    from annotator.engine.sam2.files import build_config

    torch.manual_seed(1)
    return build_config(CONFIG).eval()


def photograph(side_px: int) -> np.ndarray:
    """Noise at three scales: side x side x 3 uint8."""
    rng = np.random.default_rng(0)
    total = np.zeros((side_px, side_px, 3), np.float64)
    for cells in (8, 32, side_px):
        noise = rng.uniform(0, 80, (cells, cells, 3))
        total += noise.repeat(-(-side_px // cells), 0).repeat(-(-side_px // cells), 1)[:side_px, :side_px]
    return total.astype(np.uint8)


def discs(points: np.ndarray, side_px: int, cells: int) -> np.ndarray:
    """Logits that stand for the masks of clicks (B x 2 in pixels): B x 3 x cells x cells float32.

    Random weights answer every click with noise that reaches everywhere: of such masks suppression leaves one. These
    are discs round the middle of the click's neighbourhood, so that clicks near each other find the same objects, and
    of three sizes; the flatter a disc, the less stable it is.
    """
    grain = np.array([2.0, 4.0, 8.0]) * cells / 32
    at = points[:, None] * cells / side_px
    middles = (np.floor(at / grain[:, None]) + 0.5) * grain[:, None]
    y, x = np.mgrid[:cells, :cells] + 0.5
    distance = np.hypot(x - middles[..., 0, None, None], y - middles[..., 1, None, None])
    slopes = 1.0 + (middles.sum(-1) * 0.37 % 1.0) * 11.0
    radii = np.array(RADII_CELLS)[:, None, None] * cells / 256
    return ((radii - distance) * slopes[..., None, None]).clip(-32, 32).astype(np.float32)


def _official(model: Any, job: Job) -> Callable[[np.ndarray, Turn], int]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

        generator = SAM2AutomaticMaskGenerator(
            model, points_per_side=job.points, pred_iou_thresh=job.iou_thresh, output_mode="coco_rle"
        )
    asked: list[np.ndarray] = []
    batch, decoder = generator._process_batch, model.sam_mask_decoder
    real = decoder.forward

    def answered(*words: Any, **options: Any) -> Any:
        masks, *others = real(*words, **options)
        drawn = torch.from_numpy(discs(asked[-1], job.side_px, masks.shape[-1])).to(masks.dtype)
        return drawn, *others

    decoder.forward = answered

    def work(image: np.ndarray, turn: Turn) -> int:
        def in_turn(points: np.ndarray, *words: Any, **options: Any) -> Any:
            asked.append(points)
            found = batch(points, *words, **options)
            turn()
            return found

        generator._process_batch = in_turn
        with torch.autocast("cpu", torch.bfloat16, enabled=job.is_half):
            return len(generator.generate(image))

    return work


def _ours(model: Any, job: Job) -> Callable[[np.ndarray, Turn], int]:
    import torch

    from annotator.domain.answering.everything import EverythingSettings
    from annotator.domain.ports.engine import ModelInfo
    from annotator.engine.sam2.segmenter import Sam2Segmenter

    dtype = torch.bfloat16 if job.is_half else torch.float32
    info = ModelInfo("bench", "0" * 64, "cpu", str(dtype).removeprefix("torch."), int(model.image_size))
    segmenter = Sam2Segmenter(model, info, dtype=dtype)
    settings = EverythingSettings(points_per_side=job.points, pred_iou_thresh=job.iou_thresh)
    decoder = segmenter.decoder
    real = decoder.decode_points

    def decode_points(embedding: Any, points: torch.Tensor) -> Any:
        output = real(embedding, points)
        places = points.float().numpy() * job.side_px / int(model.image_size)

        def masks(start: int, stop: int, rows: Any = None) -> torch.Tensor:
            made = output.masks(start, stop) if rows is None else output.masks(start, stop, rows)
            drawn = discs(places if rows is None else places[rows.numpy()], job.side_px, made.shape[-1])
            return torch.from_numpy(drawn[:, start - 1 : stop - 1])

        return replace(output, masks=masks)

    decoder.decode_points = decode_points  # type: ignore[method-assign]

    def work(image: np.ndarray, turn: Turn) -> int:
        embedding = segmenter.encode(image, "picture")
        asked = 0
        for step in segmenter.everything(embedding, image, settings):
            if step.done // TURN_CLICKS > asked and not step.is_last:
                asked = step.done // TURN_CLICKS
                turn()
        turn()  # the official one takes its last turn before it puts its masks together
        found = [proposal.mask.rle() for proposal in step.proposals or ()]
        return len(found)

    return work


def memory_kib(name: str) -> int:
    """Of this process, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
