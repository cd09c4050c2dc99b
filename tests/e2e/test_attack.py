"""A few cases of the attack (``python -m tests.attack``), and that its guard sees what it is there for."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

import pytest

from annotator.domain import budget
from annotator.domain.errors import ProjectError
from tests.attack.__main__ import KINDS, Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches its process by /proc")


def test_a_few_cases_of_each_kind_find_nothing(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    try:
        found = [(kind, found) for kind in KINDS for found in worker.run(kind, seed=0, number=1)]
    finally:
        worker.stop()
    assert found == []


def test_a_worker_that_ends_or_finds_something_is_told(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    (told,) = worker.run("nothing of that name", seed=0, number=0)
    assert "KeyError" in told
    worker.process.kill()
    worker.process.wait()
    (told,) = worker.run("rows", seed=0, number=0)
    assert "-9" in told
    assert not worker.is_alive()


@pytest.fixture
def guard(tmp_path: Path):
    from tests.attack.guard import Guard

    level = logging.getLogger("annotator").level
    guard = Guard(tmp_path)
    yield guard
    guard.end()
    logging.getLogger("annotator").setLevel(level)
    budget.set_limit_bytes(None)


def test_the_guard_sees_what_must_not_be(guard, tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path.parent / "secrets"
    for folder in (work, outside):
        folder.mkdir()
    (outside / "a.txt").touch()

    def bug() -> None:
        raise ValueError("lost")

    def refuse(text: str) -> None:
        raise ProjectError(text)

    with guard.case(work, (outside,)):
        guard.step("fine", lambda: (work / "x").write_text("y"))
        guard.step("refused", lambda: refuse("It is damaged."))
        assert guard.findings == []
        guard.step("a bug", bug)
        guard.step("listed", lambda: list(outside.iterdir()))
        guard.step("read", lambda: (outside / "a.txt").read_bytes())
        guard.step("written", lambda: (tmp_path.parent / "other").write_text(""))
        guard.step("asked", lambda: socket.getaddrinfo("127.0.0.1", 80))
        guard.step("told", lambda: refuse("Canary^Petra was born."))
    signs = ("ValueError", "os.listdir of", "open of", "open writes", "socket.getaddrinfo", "tells Canary^Petra")
    for sign in signs:
        assert any(sign in found for found in guard.findings), (sign, guard.findings)
