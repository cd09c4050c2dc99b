"""Requests to the server with bodies, heads and paths of any kind: an answer or a problem, never an answer of 5xx."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from tests import fuzz_images
from tests.attack import damage
from tests.attack.guard import Guard

BASE = "http://127.0.0.1:8765"
_PATHS = ("/v1/predict", "/v1/auto", "/v1/images", "/v1/models", "/v1/health", "/metrics", "/v1/../etc", "/v1/images/x")
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")


@cache
def _client() -> Any:
    """None where the extra is not installed."""
    try:
        from fastapi.testclient import TestClient
    except ImportError:
        return None
    from annotator.server.app import make_app
    from annotator.server.core import ServerCore
    from annotator.server.settings import ServerSettings
    from tests.fakes import FakeSegmenter

    core = ServerCore(ServerSettings().checked(), load=lambda: FakeSegmenter(radius_px=8.0))
    client = TestClient(make_app(core), base_url=BASE, raise_server_exceptions=False)
    client.__enter__()
    core.settled.wait(60)
    return client


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """A few requests, some with an image that was opened."""
    with guard.off():
        client = _client()
    if client is None:
        return
    with guard.off():  # the loop's own sockets
        opened = client.put("/v1/images", content=fuzz_images.pillow("PNG"))
        known = opened.json().get("embedding", "") if opened.status_code < 300 else ""
    for _ in range(dice.randint(3, 8)):
        method, path = dice.choice(_METHODS), dice.choice(_PATHS)
        body = _body(dice, known)
        with guard.off():
            answer = client.request(method, path, content=body, headers=_headers(dice))
        if answer.status_code >= 500 and answer.status_code not in (503, 507):
            guard.find(f"{method} {path} gives {answer.status_code}: {answer.text[:200]}")
        if "Traceback" in answer.text:
            guard.find(f"{method} {path} tells a traceback")
        guard.check_text(answer.text[:10_000], "an answer")


def _headers(dice: random.Random) -> dict[str, str]:
    kind = dice.choice(("application/json", "image/png", "text/plain", "", "multipart/form-data; boundary=x"))
    return {"content-type": kind, **({"authorization": "Bearer x"} if dice.random() < 0.2 else {})}


def _body(dice: random.Random, known: str) -> bytes:
    how = dice.randrange(4)
    if how == 0:
        return dice.randbytes(dice.choice((0, 1, 100, 5000)))
    if how == 1:
        return damage.damaged_bytes(fuzz_images.pillow("PNG"), dice)
    document: dict[str, Any] = {"embedding": known, "points": [{"x": 10, "y": 10, "label": 1}], "box": [1, 2, 30, 30]}
    for key in dice.sample(sorted(document), dice.randint(0, 3)):
        document[key] = damage.any_value(dice)
    try:
        text = json.dumps(document)
    except (ValueError, TypeError, RecursionError):
        text = "[" * 100_000
    return (text if how == 2 else text[: dice.randrange(len(text))]).encode("utf-8", "replace")
