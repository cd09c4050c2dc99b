"""What checking a project of a hundred thousand objects costs: processor time, and memory at every tenth of it.

Times are printed, because they belong to the machine; asserted is that all objects were looked at and memory is flat.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from annotator.domain.checks.project import check_project
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Edit, ImageRecord, RowChange
from annotator.io.project.checked import checked_images
from annotator.io.project.store import ProjectStore
from tests.bench.everything_sides import memory_kib

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

OBJECTS = int(os.environ.get("BENCH_OBJECTS", "100000"))
PER_IMAGE = 200
WIDTH, HEIGHT = 1600, 1200


def shapes(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Lobed discs of 16 to 60 pixels; a fifth has a hole, a fifth an island."""
    found = []
    for n in range(count):
        radius = float(rng.uniform(8, 30))
        side = int(radius * 2.6) + 8
        y, x = np.mgrid[:side, :side] - side / 2
        edge = radius * (1 + 0.2 * np.sin(np.arctan2(y, x) * int(rng.integers(2, 6)) + rng.uniform(0, 6)))
        bits = np.hypot(x, y) < edge
        if n % 5 == 0:
            bits &= np.hypot(x, y) > 2
        if n % 5 == 1:
            bits[:2, :2] = True
        found.append(bits)
    return found


def test_a_hundred_thousand_objects(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = shapes(rng, 400)
    folder = tmp_path / "many"
    folder.mkdir()
    with ProjectStore.open_folder(folder) as store:
        for first in range(0, OBJECTS, PER_IMAGE):
            image = ImageRecord(store.new_id("image"), f"{first:07}.png", width=WIDTH, height=HEIGHT)
            changes = [RowChange(None, image)]
            for n in range(min(PER_IMAGE, OBJECTS - first)):
                bits = kinds[(first + n * 7) % len(kinds)]
                x, y = int(rng.integers(0, WIDTH - bits.shape[1])), int(rng.integers(0, HEIGHT - bits.shape[0]))
                blank = Annotation(store.new_id("annotation"), image.id, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
                changes.append(RowChange(None, blank.with_mask(Mask(bits, x, y, WIDTH, HEIGHT).tight())))
            store.apply(Edit("made", tuple(changes)))
        path = store.path
    memory: list[int] = []
    with ProjectStore.open(path, read_only=True) as store:
        counts = {"objects": 0, "findings": 0}

        def images():  # type: ignore[no-untyped-def]
            total = len(store.images())
            for done, entry in enumerate(checked_images(store)):
                counts["objects"] += len(entry.objects)
                if done % max(1, total // 10) == 0:
                    memory.append(memory_kib("VmRSS"))
                yield entry

        wall, cpu = time.perf_counter(), time.process_time()
        for _ in check_project(images(), store.categories()):
            counts["findings"] += 1
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert counts["objects"] == OBJECTS
    print(
        f"\n{OBJECTS:,} objects: {wall:.1f} s by the clock, {cpu:.1f} s of processor, {counts['findings']:,} findings"
    )
    print("memory, MiB:", ", ".join(f"{kib / 1024:.0f}" for kib in memory))
    assert memory[-1] - memory[1] < 60 * 1024
