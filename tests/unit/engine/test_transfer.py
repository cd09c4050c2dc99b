"""A download from a server that stands still can be stopped at once, and goes on later with what it has."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.domain.ports.jobs import WorkCancelled
from annotator.engine import weights
from annotator.engine.weights import ModelEntry
from tests.stalling_server import CONTENT, HALF, StallingServer

REST = {"kind": "sam2", "licence": "", "rank": 0}


@pytest.fixture(params=["before the answer", "in the middle"])
def server(request: pytest.FixtureRequest) -> Iterator[StallingServer]:
    with StallingServer(says=0 if request.param == "before the answer" else HALF) as server:
        yield server


def entry(server: StallingServer) -> ModelEntry:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return ModelEntry(name="large", file="model.pt", url=server.url, sha256=digest, **REST)


def transfers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "transfer"]


def test_a_server_that_stands_still_is_left_at_once(server: StallingServer, tmp_path: Path) -> None:
    part = tmp_path / "model.pt.part"
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if server.is_still.is_set() and done == server.says:
            raise WorkCancelled

    with pytest.raises(WorkCancelled):
        weights.fetch(entry(server), tmp_path, progress=progress)
    assert transfers() == []
    assert (part.stat().st_size if part.exists() else 0) == server.says
    assert not (tmp_path / "model.pt").exists()
    server.go_on.set()
    weights.fetch(entry(server), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert server.starts[-1] == server.says, "what was there was not fetched again"


def test_a_name_without_an_answer_is_asked_about_while_it_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up, enough = threading.Event(), threading.Event()

    def never(*_args: object, **_named: object) -> list[object]:
        looked_up.set()
        enough.wait(60)
        raise socket.gaierror("no such name")

    monkeypatch.setattr("socket.getaddrinfo", never)
    monkeypatch.setattr("annotator.engine.transfer._END_S", 0.01)

    def progress(_done: int, _total: int) -> None:
        if looked_up.is_set():
            raise WorkCancelled

    unknown = ModelEntry(name="large", file="model.pt", url="http://models.invalid/model.pt", sha256="0" * 64, **REST)
    with pytest.raises(WorkCancelled):
        weights.fetch(unknown, tmp_path, progress=progress)
    enough.set()
    for thread in transfers():
        thread.join(10)
    assert transfers() == []
