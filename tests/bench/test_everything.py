"""Segment everything against SAM 2's own generator: time and memory in one run, in turns; and whether the masks agree.

Only agreement is asserted; times and memory are printed, because they belong to the machine.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from annotator.domain.answering.everything import EverythingSettings
from annotator.domain.ports.engine import AnswersEverything, ModelInfo
from annotator.engine import weights
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import load_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.io.images.reading import load_image
from tests.bench.everything_sides import Bill, Job, photograph, random_model, run_in_turns
from tests.official_masks import matched, official_masks, our_masks

pytestmark = [pytest.mark.bench, pytest.mark.timeout(7200)]

POINTS = int(os.environ.get("BENCH_POINTS", "32"))
SIDE_PX = int(os.environ.get("BENCH_SIDE", "1024"))
SHARE_LEFT = float(os.environ.get("BENCH_SHARE", "0.4"))
"""Of the candidates, after the threshold of predicted IoU: it decides how much of the work can be left out."""
PHOTOGRAPHS = (
    "animals_openimages", "balloons", "bottles", "building_facades", "coco_people", "coco_permissive", "coco_scenes",
    "fruits_nuts", "kuih_cakes", "pets_small", "snack_packets", "strawberry_plants",
)  # fmt: skip
SIDES = os.environ.get("BENCH_SIDES", "official fp32,official bf16,fp32,bf16").split(",")


def threshold() -> float:
    """The predicted IoU above which a share of the random model's candidates lies."""
    segmenter = Sam2Segmenter(random_model(), ModelInfo("bench", "0" * 64, "cpu", "float32", 1024))
    embedding = segmenter.encode(photograph(SIDE_PX), "picture")
    points = np.random.default_rng(2).uniform(0, SIDE_PX, (48, 2)).astype(np.float32)
    answer = segmenter.decoder.decode_points(embedding, torch.from_numpy(points) * 1024 / SIDE_PX)
    return float(np.quantile(answer.iou[:, 1:4].numpy(), 1 - SHARE_LEFT))


def test_time_and_memory_against_the_official_generator() -> None:
    wanted = threshold()
    jobs = {name: Job(POINTS, SIDE_PX, wanted, is_half="bf16" in name, official="official" in name) for name in SIDES}
    bills = run_in_turns(jobs)
    title = f"SAM 2.1 tiny, {SIDE_PX} x {SIDE_PX}, {POINTS} x {POINTS} points, threads: {torch.get_num_threads()}"
    print(
        f"\n### {title}\n\n| side | wall s | processor s | extra MiB at most | masks |\n| --- | --- | --- | --- | --- |"
    )
    for name, bill in bills.items():
        row = (f"{sum(bill.wall_s):.1f}", f"{sum(bill.cpu_s):.1f}", f"{bill.extra_mib:.0f}", str(bill.found))
        print(f"| {name} | {' | '.join(row)} |")
    first = bills[SIDES[0]]
    for name in SIDES[1:]:
        bill = bills[name]
        times = sum(first.wall_s) / sum(bill.wall_s)
        computing = sum(first.cpu_s) / sum(bill.cpu_s)
        memory = bill.extra_mib / max(first.extra_mib, 1)
        rates = f"{times:.1f}x {SIDES[0]} by the clock, {computing:.1f}x in processor time ({by_turn(first, bill)})"
        print(f"{name}: {rates}, {memory:.0%} of its memory")
    exact = [bill.found for name, bill in bills.items() if "bf16" not in name]
    assert min(exact) > 0
    assert max(exact) - min(exact) <= 0.02 * max(exact) + 1


def by_turn(other: Bill, bill: Bill) -> str:
    """The ratio of the turns with clicks alone: the first has the encode, too."""
    ratios = [a / b for a, b in zip(other.wall_s[1:-1], bill.wall_s[1:-1], strict=False) if b > 0]
    return f"a turn of clicks {statistics.median(ratios):.1f}x" if ratios else "one turn"


def dev_images() -> list[Path]:
    """The first image of every set for development."""
    root = Path(os.environ.get("ANNOTATOR_DATA", "/nowhere")) / "dev"
    found = [next(iter(sorted((folder / "images").glob("*.jpg"))), None) for folder in sorted(root.glob("*"))]
    return [path for path in found if path is not None]


@pytest.mark.skipif(not dev_images(), reason="no images for development")
def test_the_masks_are_those_of_the_official_generator() -> None:
    """The embedded model's weights on both sides, without its drawn prompts, which the official generator has not."""
    status = weights.status_of(weights.registry()["nano"])
    assert status.path is not None
    model, _, _ = load_nano(status.path)
    print("\n| image | layers of crops | official | ours | matched |\n| --- | --- | --- | --- | --- |")
    shares = []
    for path in dev_images():
        image = load_image(path).rgb
        for layers, points in ((0, 32), (1, 16)):
            settings = EverythingSettings(
                points_per_side=points, pred_iou_thresh=0.5, stability_score_thresh=0.7, crop_n_layers=layers
            )
            official, ours = official_masks(model, image, settings), our_masks(model, image, settings)
            if official:
                shares.append((matched(ours, official), len(official)))
                row = (path.parent.parent.name, layers, len(official), len(ours), f"{shares[-1][0]:.3f}")
                print(f"| {' | '.join(map(str, row))} |", flush=True)
    count = sum(each for _, each in shares)
    total = sum(share * each for share, each in shares) / count
    print(f"of {count} official masks {total:.2%} are matched")
    assert total >= 0.98


@pytest.mark.skipif(not dev_images(), reason="no images for development")
def test_photographs_with_an_embedded_model() -> None:
    """Processor time and wall time of photographs of 1024 x 768, as the program asks them; ``BENCH_MODEL``: nano-3."""
    segmenter = load_segmenter(os.environ.get("BENCH_MODEL", "nano-3"), device="cpu")
    assert isinstance(segmenter, AnswersEverything)
    print(f"\n### {segmenter.info.name}, {segmenter.info.dtype}, 1024 x 768, threads: {torch.get_num_threads()}\n")
    print("| image | wall s | processor s | proposals |\n| --- | --- | --- | --- |")
    bills: list[tuple[float, float]] = []
    for path in dev_images():
        name = path.parent.parent.name
        if name not in PHOTOGRAPHS:
            continue
        image = cv2.resize(load_image(path).rgb, (1024, 768), interpolation=cv2.INTER_AREA)
        started = time.perf_counter(), time.process_time()
        embedding = segmenter.encode(image, str(path))
        *_, last = segmenter.everything(embedding, image, segmenter.everything_settings)
        wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        bills.append((wall, cpu))
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {len(last.proposals or ())} |", flush=True)
    for which, value in (("mean", np.mean(bills, 0)), ("most", np.max(bills, 0))):
        print(f"{which}: {value[0]:.1f} s by the clock, {value[1]:.1f} s of processor time")
