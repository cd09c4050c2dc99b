"""Reader processes draw what a thread would have drawn, and never outlive the training."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import annotator
from annotator.domain.errors import ImageError, ImportFormatError
from annotator.train.data.pixels import MappedPixels
from annotator.train.data.processes import ReaderDiedError, SetWeights
from annotator.train.data.stream import AHEAD, WindowStream
from annotator.train.data.windows import TrainingImage, Window, WindowSampler, read_coco_sets
from tests.unit.train.scenes import write_set


@pytest.fixture
def images(tmp_path: Path) -> list[TrainingImage]:
    return read_coco_sets([write_set(tmp_path / "set")])


def stream_of(sampler: WindowSampler, *, readers: int, first_step: int = 0) -> WindowStream:
    asked = [sampler.set_weights({})] * AHEAD
    return WindowStream(sampler, count=3, seed=4, first_step=first_step, asked=asked, readers=readers)


def is_alive(pid: int) -> bool:
    """Whether the process runs: one that has ended but that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    facts = Path(f"/proc/{pid}/stat")
    return not facts.exists() or facts.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"


def test_two_processes_draw_what_one_thread_draws(images: list[TrainingImage], tmp_path: Path) -> None:
    plain = WindowSampler(images, window_px=64, objects=2)
    cache = MappedPixels.prepare(tmp_path / "cache", images, limit_bytes=1 << 20)
    alone, shared = stream_of(plain, readers=0), stream_of(replace_pixels(images, cache), readers=2)
    try:
        assert len(multiprocessing.active_children()) == 2
        for _ in range(AHEAD):
            for one, other in zip(alone.next(), shared.next(), strict=True):
                np.testing.assert_array_equal(one.image, other.image)
                np.testing.assert_array_equal(one.targets, other.targets)
                np.testing.assert_array_equal(one.hidden_px, other.hidden_px)
    finally:
        alone.stop()
        shared.stop()
    assert multiprocessing.active_children() == []
    kept = list((tmp_path / "cache").iterdir())
    assert 2 <= len(kept) <= 4  # one copy for both
    assert {path.suffix for path in kept} == {".pixels"}


def replace_pixels(images: list[TrainingImage], cache: MappedPixels) -> WindowSampler:
    return WindowSampler(images, window_px=64, objects=2, pixels=cache)


def test_an_image_that_cannot_be_decoded_is_named(images: list[TrainingImage], tmp_path: Path) -> None:
    broken = replace(images[0], path=tmp_path / "gone.png")
    stream = stream_of(WindowSampler([broken], window_px=64, objects=2), readers=1)
    with pytest.raises(ImageError, match=r"gone\.png"):
        stream.next()
    stream.stop()


def test_a_reader_that_dies_is_an_error_and_no_endless_wait(images: list[TrainingImage]) -> None:
    stream = stream_of(WindowSampler(images, window_px=64, objects=2), readers=1)
    stream.next()
    (reader,) = multiprocessing.active_children()
    reader.kill()

    def go_on() -> None:
        for _ in range(AHEAD + 1):
            stream.ask(np.ones(1))
            stream.next()

    with pytest.raises(ReaderDiedError, match="reader-0"):
        go_on()
    stream.stop()


_TRAINING = """
import multiprocessing, sys, time
from pathlib import Path
from annotator.train.data.windows import WindowSampler, read_coco_sets
from annotator.train.data.stream import AHEAD, WindowStream
if __name__ == "__main__":
    sampler = WindowSampler(read_coco_sets([Path(sys.argv[1])]), window_px=64, objects=2)
    stream = WindowStream(sampler, count=3, seed=4, first_step=0, asked=[sampler.set_weights({})] * AHEAD, readers=2)
    stream.next()
    print("torch" in sys.modules, *[child.pid for child in multiprocessing.active_children()], flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_readers_end_when_the_training_is_killed(images: list[TrainingImage], tmp_path: Path) -> None:
    script = tmp_path / "training.py"
    script.write_text(_TRAINING, encoding="utf-8")
    root = images[0].path.parents[1]
    words = [sys.executable, str(script), str(root)]
    env = {**os.environ, "PYTHONPATH": str(Path(annotator.__file__).parents[1])}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        has_torch, *pids = process.stdout.readline().split()
        readers = [int(pid) for pid in pids]
        assert has_torch == "False"  # so the readers, which import no more, start fast and stay small
        assert len(readers) == 2
        assert all(is_alive(pid) for pid in readers)
        process.kill()
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in readers):
        assert time.monotonic() < deadline, "a reader outlived the training"
        time.sleep(0.05)


def test_a_thread_that_draws_for_long_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing, enough, over = threading.Event(), threading.Event(), threading.Event()

    class Slow:
        def draw(self, rng: np.random.Generator, weights: SetWeights) -> Window:
            drawing.set()
            enough.wait(60)
            over.set()
            raise ImportFormatError("It was let go.")

    monkeypatch.setattr("annotator.train.data.stream.STOP_SECONDS", 0.05)
    stream = WindowStream(Slow(), count=1, seed=0, first_step=0, asked=[np.ones(1)])
    assert drawing.wait(20)
    stream.stop()
    assert not over.is_set()
    enough.set()
    with pytest.raises(ImportFormatError, match="let go"):
        stream.next()  # the thread has ended
