"""A server in this process, with the embedded model."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from annotator.domain.ports.engine import Segmenter
from annotator.engine.load import load_segmenter
from annotator.server.app import make_app
from annotator.server.core import ServerCore
from annotator.server.settings import ServerSettings

BASE = "http://127.0.0.1:8765"
GATE_S = 60.0


def picture(shift: int = 0, size: tuple[int, int] = (160, 120)) -> bytes:
    """A PNG with a red rectangle from (50, 40) to (110, 80) on grey."""
    image = Image.new("RGB", size, (120, 120, 120))
    image.paste((230, 60, 40), (50 + shift, 40, 110 + shift, 80))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="package")
def nano() -> Segmenter:
    return load_segmenter("nano", device="cpu")


Serve = Callable[..., Any]


@pytest.fixture(scope="package")
def serve(nano: Segmenter) -> Serve:
    """A context with a client of a server whose model is loaded; ``segmenter`` in place of the model."""

    @contextmanager
    def served(segmenter: Any = None, **settings: Any) -> Iterator[TestClient]:
        core = ServerCore(ServerSettings(**settings).checked(), load=lambda: segmenter or nano)
        with TestClient(make_app(core), base_url=BASE) as client:
            assert core.settled.wait(GATE_S)
            yield client

    return served


@pytest.fixture(scope="package")
def client(serve: Serve) -> Iterator[TestClient]:
    with serve() as client:
        yield client


class GatedSegmenter:
    """The embedded model, whose decodes wait until they are let through."""

    def __init__(self, inner: Segmenter) -> None:
        self._inner = inner
        self.gate, self.began = threading.Event(), threading.Semaphore(0)
        self.order: list[float] = []
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def decode(self, embedding: Any, prompts: Any, *, continue_from: Any = None) -> Any:
        self.order.append(prompts.points[0].x)
        self.began.release()
        assert self.gate.wait(GATE_S)
        return self._inner.decode(embedding, prompts, continue_from=continue_from)


@pytest.fixture
def gated(nano: Segmenter) -> Iterator[GatedSegmenter]:
    made = GatedSegmenter(nano)
    yield made
    made.gate.set()


def is_problem(answer: Any) -> bool:
    """Whether it is as RFC 9457 has it."""
    body = answer.json()
    return (
        answer.headers["content-type"] == "application/problem+json"
        and body["status"] == answer.status_code
        and body["type"].startswith("urn:annotator:problem:")
        and bool(body["title"])
        and bool(body["detail"])
        and "Traceback" not in answer.text
    )
