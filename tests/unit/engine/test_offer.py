"""What larger model is offered: the smallest SAM 2.1, and only where there is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.engine import weights
from annotator.engine.offer import find_offer


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A place that answers, which all downloads come from; no proxy stands before it."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"https://127.0.0.1:{server.getsockname()[1]}/"
        real = weights.registry()
        moved = {name: replace(e, url=place if e.url else "") for name, e in real.items()}
        monkeypatch.setattr(weights, "registry", lambda: moved)
        yield server


def test_the_smallest_one_is_offered_with_size_and_licence(listener: socket.socket) -> None:
    offer = find_offer()
    assert offer is not None
    assert offer.name == "sam2.1-tiny"
    assert offer.size_bytes == 156_008_466
    assert offer.licence.startswith("Apache-2.0")
    assert offer.is_reachable


def test_a_place_that_does_not_answer_is_not_reachable(listener: socket.socket) -> None:
    listener.close()
    offer = find_offer()
    assert offer is not None
    assert not offer.is_reachable


def test_nothing_is_offered_to_who_has_one(listener: socket.socket) -> None:
    folder = Path(weights.user_dir())
    folder.mkdir(parents=True)
    (folder / weights.registry()["sam2.1-large"].file).write_bytes(b"weights")
    assert find_offer() is None
