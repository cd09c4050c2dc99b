"""``annotator batch`` against encoding and decoding alone, in turns; and its memory over many images.

Only that the masks are equal and that memory stays flat is asserted; speed is printed: it belongs to the machine.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from annotator.commands.batch.asking import AskQuestions
from annotator.commands.batch.command import ask_here
from annotator.commands.batch.journal import open_journal
from annotator.commands.batch.pipeline import stamp_of
from annotator.commands.batch.prompts import Question
from annotator.commands.batch.work_list import WorkItem, list_work
from annotator.domain.geometry import Box
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import build_nano, save_nano
from annotator.io.images.reading import load_image
from tests.small_base import SMALL

pytestmark = [pytest.mark.bench, pytest.mark.timeout(7200)]
MODELS = os.environ.get("BENCH_MODELS", "nano,nano-3").split(",")
ROUNDS, IMAGES = int(os.environ.get("BENCH_ROUNDS", "8")), int(os.environ.get("BENCH_IMAGES", "12"))
TINY = int(os.environ.get("BENCH_TINY", "10000"))
BOXES = (Box(200, 200, 420, 430), Box(640, 480, 900, 760))
PAGE_MIB = resource.getpagesize() / 2**20


def write_photographs(folder: Path, count: int, size: tuple[int, int]) -> None:
    folder.mkdir()
    chance = np.random.default_rng(5)
    for number in range(count):
        ground = cv2.GaussianBlur(chance.integers(0, 255, (size[1], size[0], 3)).astype(np.uint8), (0, 0), 3)
        for box in BOXES:
            middle = (int(box.x0 + box.x1) // 2, int(box.y0 + box.y1) // 2)
            cv2.ellipse(ground, middle, (90, 110), 0, 0, 360, chance.integers(0, 255, 3).tolist(), -1)
        cv2.imwrite(str(folder / f"{number:05}.jpg"), ground)


class OneAfterTheOther:
    """As before images were begun ahead."""

    def __init__(self, ask: AskQuestions) -> None:
        self._ask = ask

    def __call__(self, *args: Any) -> Any:
        return self._ask(*args)


@pytest.mark.parametrize("name", MODELS)
def test_speed_against_the_model_alone(name: str, tmp_path: Path) -> None:
    write_photographs(tmp_path / "images", IMAGES, (1200, 960))
    items = list_work([str(tmp_path / "images")])
    segmenter = load_segmenter(name, device="cpu")
    ask = AskQuestions(segmenter, {item.key: [Question(box) for box in BOXES] for item in items})
    loaded = [(item, load_image(item.path)) for item in items]
    rates: dict[str, list[float]] = {"alone": [], "batch": [], "without overlap": []}
    for turn in range(ROUNDS):
        began_s = time.perf_counter()
        alone = [ask(item, image) for item, image in loaded]
        rates["alone"].append(len(items) / (time.perf_counter() - began_s))
        for side, asked in (("batch", ask), ("without overlap", OneAfterTheOther(ask))):
            with open_journal(tmp_path / f"{side} {turn}", {}) as journal:
                began_s = time.perf_counter()
                ask_here(asked, items, journal, lambda _count: None)
                rates[side].append(len(items) / (time.perf_counter() - began_s))
                for item, answer in zip(items, alone, strict=True):
                    assert journal.row(item.key)["objects"] == json.loads(json.dumps([o.row() for o in answer.found]))
    print(f"\n{name}, {segmenter.info.dtype}, {torch.get_num_threads()} threads, {ROUNDS} rounds of {IMAGES} images")
    for side, found in rates.items():
        shares = [one / other for one, other in zip(found, rates["alone"], strict=True)]
        low, middle, high = statistics.quantiles(shares, n=4)
        print(f"{side}: {statistics.median(found):.2f} images/s, {middle:.2f} of alone ({low:.2f} to {high:.2f})")


def test_memory_over_many_images(tmp_path: Path) -> None:
    write_photographs(tmp_path / "images", 20, (48, 40))
    torch.manual_seed(3)
    save_nano(build_nano(SMALL).eval(), tmp_path / "small.safetensors", config=SMALL, metadata={"sets": "none"})
    segmenter = load_segmenter(str(tmp_path / "small.safetensors"), device="cpu", dtype=torch.float32)
    files = list_work([str(tmp_path / "images")])
    items = [WorkItem(f"{n:05}.jpg", files[n % len(files)].path) for n in range(TINY)]
    ask = AskQuestions(segmenter, {item.key: [Question(Box(5, 5, 30, 30))] for item in items})
    memory: list[float] = []

    def look(count: int) -> None:
        if count % (TINY // 10) == 0:
            memory.append(int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE_MIB)

    with open_journal(tmp_path / "journal", {}) as journal:
        partial(ask_here, ask)(items, journal, look)
        assert len(list(journal)) == TINY
        assert journal.stamp(items[0].key) == stamp_of(items[0])
    print(f"\nMiB after each tenth of {TINY} images: {', '.join(f'{one:.0f}' for one in memory)}")
    assert memory[-1] - memory[0] < 20
