"""What it costs to open photographs through the reader processes, against decoding them in the program: in turns.

    pytest tests/bench/test_opening.py -m bench -s

Times are printed, because they belong to the machine; asserted is that both ways give the same pixels.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.io.images import decoding, reading
from tests.bench.interleaved import Stopwatch, percentiles

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

ROUNDS = max(2, int(os.environ.get("BENCH_ROUNDS", "25")))
MOST_MORE_MS = 5.0
"""What the processes may cost an image."""


def write_photographs(folder: Path) -> dict[str, Path]:
    """Soft shapes under grain, as cameras give them."""
    rng = np.random.default_rng(3)
    found = {}
    for words, (width, height), ending, options in (
        ("JPEG, 640 x 480", (640, 480), "jpg", {"quality": 90}),
        ("JPEG, 12 MP", (4000, 3000), "jpg", {"quality": 90}),
        ("JPEG, 24 MP", (6000, 4000), "jpg", {"quality": 90}),
        ("PNG, 640 x 480", (640, 480), "png", {}),
        ("PNG, 3 MP", (2048, 1536), "png", {}),
        ("PNG, 12 MP", (4000, 3000), "png", {}),
    ):
        soft = Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).resize((width, height), 3)
        grain = rng.integers(-6, 7, (height, width, 1))
        pixels = np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8)
        found[words] = folder / f"{len(found)}.{ending}"
        Image.fromarray(pixels).save(found[words], **options)
    return found


def processor_s() -> float:
    """Of this process and the readers that it has started; to a hundredth."""
    total = time.process_time()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(values[1]) == os.getpid():
            total += (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return total


def test_photographs_by_the_pool_and_in_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    ways = {"inside": decoding.load_image, "pool": reading.load_image}
    watch = Stopwatch()
    paths = write_photographs(tmp_path)
    for words, path in paths.items():
        there, here = (load(path) for load in ways.values())  # the process is started, the file is in memory
        assert np.array_equal(there.rgb, here.rgb)
        del there, here
        for number in range(ROUNDS):
            for who in list(ways)[:: 1 if number % 2 else -1]:
                watch.time(words, who, lambda who=who, path=path: ways[who](path))
    print(watch.table("Opening photographs", [("inside", "pool")]))
    for words, by_who in watch.ms.items():
        more_ms = statistics.median(a - b for a, b in zip(by_who["pool"], by_who["inside"], strict=True))
        verdict = "within" if more_ms <= MOST_MORE_MS else "over"
        print(f"{words}: the pool takes {more_ms:+.1f} ms (median of the pairs), {verdict} {MOST_MORE_MS:.0f} ms")
        print(f"    inside {percentiles(by_who['inside'])}\n    pool   {percentiles(by_who['pool'])}")
    if not Path("/proc/self/stat").exists():
        return
    print("\nProcessor time of all threads and processes, which a busy machine changes less:")
    for words, path in paths.items():
        spent = {}
        for who, load in ways.items():
            started = processor_s()
            for _ in range(ROUNDS):
                load(path)
            spent[who] = (processor_s() - started) * 1e3 / ROUNDS
        print(f"{words}: inside {spent['inside']:.1f} ms, pool {spent['pool']:.1f} ms")
