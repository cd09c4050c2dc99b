"""Who is read for first: a reader that is free, before one that has yet to start. Real processes, held by gates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from annotator.domain.errors import ImageError
from annotator.io.images import process
from annotator.io.images.channel import Message
from annotator.io.images.pool import ReaderPool
from tests.unit.io.test_reader_processes import blank_png


def wait_until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.005)


class HeldProcess(process.ReaderProcess):
    """The second one is not ready before ``begin``; nothing is said about ``held.png`` before ``answer``."""

    begin, answer, asked = threading.Event(), threading.Event(), threading.Event()
    made: ClassVar[list[HeldProcess]] = []

    def __init__(self, *, over_pipes: bool = False) -> None:
        super().__init__(over_pipes=over_pipes)
        self.made.append(self)

    def wait_until_ready(self) -> None:
        if self is not self.made[0]:
            assert self.begin.wait(60)
        super().wait_until_ready()

    def ask(self, request: dict[str, Any], *, wall_s: float) -> Message:
        if request["path"].endswith("held.png"):
            self.asked.set()
            assert self.answer.wait(60)
        return super().ask(request, wall_s=wall_s)


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ReaderPool, Callable[[str], Thread]]]:
    """A pool whose one process is at work on an image, and what asks it about another one on a thread."""
    for event in (HeldProcess.begin, HeldProcess.answer, HeldProcess.asked):
        event.clear()
    monkeypatch.setattr(HeldProcess, "made", [])
    monkeypatch.setattr("annotator.io.images.pool.ReaderProcess", HeldProcess)
    pool = ReaderPool(2)
    threads = []

    def ask(name: str) -> Thread:
        path = blank_png(tmp_path / name, 30)
        threads.append(Thread(target=pool.ask, args=("size", str(path))))
        threads[-1].start()
        return threads[-1]

    ask("first.png").join(60)  # a process that takes long to start is none that is soon free
    ask("held.png")
    assert HeldProcess.asked.wait(60)
    yield pool, ask
    HeldProcess.begin.set()
    HeldProcess.answer.set()
    for thread in threads:
        thread.join(60)
    pool.close()
    for made in HeldProcess.made:
        made._process.wait(60)
    assert not any(made.is_alive() for made in HeldProcess.made)


def test_a_process_that_is_free_again_is_not_waited_for_in_vain(held: Any) -> None:
    _pool, ask = held
    thread = ask("next.png")
    wait_until(lambda: len(HeldProcess.made) == 2)  # a second one is on its way
    HeldProcess.answer.set()
    thread.join(60)
    assert not thread.is_alive(), "the first one is free, and the second one is not there yet"


def test_a_process_that_was_started_meanwhile_takes_over(held: Any) -> None:
    pool, ask = held
    thread = ask("next.png")
    wait_until(lambda: len(HeldProcess.made) == 2)
    assert len(pool.pids()) == 2
    HeldProcess.begin.set()
    thread.join(60)
    assert not thread.is_alive(), "the first one is still at work"


def test_a_process_that_cannot_be_started_beside_another_is_done_without(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def none_left(**_how: Any) -> HeldProcess:
        assert not tried.is_set(), "once is enough"
        tried.set()
        raise ImageError("The program's image reader cannot be started.")

    monkeypatch.setattr("annotator.io.images.pool.ReaderProcess", none_left)
    thread = held[1]("next.png")
    assert tried.wait(60)
    HeldProcess.answer.set()
    thread.join(60)
    assert not thread.is_alive()
