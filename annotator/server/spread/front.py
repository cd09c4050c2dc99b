"""The side of several replicas that speaks HTTP: whose image is it about? Requests of one image go to one replica."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from annotator import __version__
from annotator.server.gate import Gate
from annotator.server.metrics import MEDIA_TYPE, Metrics
from annotator.server.problems import Problem, of_error, stopping
from annotator.server.settings import ServerSettings
from annotator.server.spread.asked import Answered, Asked

AskReplica = Callable[[str, Asked], Awaitable[Answered]]
"""Called with a key; requests of the same key go to the same replica as long as it lives. An empty one: to any."""
MODELS_PATH = "/models/"
REMEMBERED = 100_000
_IMAGES = "/v1/images"
_JSON = ((b"content-type", b"application/json"),)


class Front:
    """ASGI, for :class:`~annotator.server.gate.Gate`, which has read the body. It owns no image and no model.

    Args:
        models: that may be named before a path, as ``/models/NAME/v1/...``; without one the first is meant.
    """

    def __init__(self, settings: ServerSettings, models: Sequence[str], ask: AskReplica) -> None:
        self.settings, self.metrics = settings, Metrics()
        self._models, self._ask = tuple(models), ask
        self._keys: OrderedDict[str, str] = OrderedDict()
        """By embedding, the SHA-256 of its file."""
        self._running: set[asyncio.Task[Answered]] = set()
        self._is_stopping = False

    def app(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """With the gate before it."""
        gate = Gate(self, self)

        async def split(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                model, path = _split(scope["path"])
                scope = {**scope, "path": path, "state": {"model": model or self._models[0]}}
                scope["route"] = SimpleNamespace(path=_IMAGES if path.startswith(_IMAGES) else path[:40])
            await gate(scope, receive, send)

        return split

    def drain(self) -> None:
        """Nothing new is begun."""
        self._is_stopping = True

    def give_up(self) -> None:
        """What still waits is answered 503."""
        self.drain()
        for task in self._running:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        body = (await receive())["body"]
        headers = tuple((bytes(name), bytes(value)) for name, value in scope["headers"])
        asked = Asked(
            state["model"], scope["method"], scope["path"], scope["query_string"], headers, state["client"], body
        )
        try:
            answered = self._own_answer(asked) or await self._handed_on(asked, receive)
        except Exception as error:
            response = of_error(error).response(scope["path"])
            answered = Answered(response.status_code, tuple(response.raw_headers), bytes(response.body))
        await send({"type": "http.response.start", "status": answered.status, "headers": list(answered.headers)})
        await send({"type": "http.response.body", "body": answered.body})

    def _own_answer(self, asked: Asked) -> Answered | None:
        """What needs no replica.

        Raises:
            Problem: no such model, or what several replicas cannot do.
        """
        if asked.path == "/v1/health":
            return Answered(200, _JSON, json.dumps({"status": "ok", "version": __version__}).encode())
        if asked.path == "/metrics":
            return Answered(200, ((b"content-type", MEDIA_TYPE.encode()),), self.metrics.text())
        if asked.model not in self._models:
            raise Problem(404, "no-such-model", f"This server has: {', '.join(self._models)}.")
        if asked.path.startswith("/v1/jobs"):
            detail = "A server of several replicas takes no jobs. Ask image by image, or use annotator batch --ray."
            raise Problem(501, "no-jobs", detail)
        if self._is_stopping:
            raise stopping()
        return None

    async def _handed_on(self, asked: Asked, receive: Receive) -> Answered:
        key = key_of(asked, self._keys)
        task = asyncio.ensure_future(self._ask(key and f"{asked.model} {key}", asked))
        left = asyncio.ensure_future(_until_left(receive))
        self._running.add(task)
        try:
            limit_s = self.settings.job_s + self.settings.drain_s
            await asyncio.wait({task, left}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if task.cancelled():
                raise stopping()
            if not task.done():
                raise Problem(408 if left.done() else 504, "given-up", "The request was given up, or took too long.")
            answered = task.result()
        finally:
            self._running.discard(task)
            left.cancel()
            task.cancel()
        self._remember(asked, answered)
        return answered

    def _remember(self, asked: Asked, answered: Answered) -> None:
        if not asked.path.startswith(_IMAGES) or answered.status != 200 or not answered.body:
            return
        found = json.loads(answered.body)
        self._keys[str(found["embedding"])] = str(found["sha256"])
        self._keys.move_to_end(str(found["embedding"]))
        while len(self._keys) > REMEMBERED:
            self._keys.popitem(last=False)


def key_of(asked: Asked, known: OrderedDict[str, str]) -> str:
    """The SHA-256 of the file that a request is about, as far as it can be known; empty for one about no image.

    Args:
        known: by embedding.
    """
    if asked.path.startswith(f"{_IMAGES}/"):
        return asked.path[len(_IMAGES) + 1 :]
    if asked.path == _IMAGES and asked.method == "PUT":
        return hashlib.sha256(asked.body).hexdigest()
    if not asked.body:
        return ""
    try:
        found: Any = json.loads(asked.body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    if asked.path == _IMAGES:
        return _sha256_of_base64(found.get("image"))
    embedding = str(found.get("embedding", ""))
    return known.get(embedding, embedding)


def _sha256_of_base64(text: Any) -> str:
    if not isinstance(text, str):
        return ""
    try:
        data = base64.b64decode(text.split(",", 1)[1] if text.startswith("data:") and "," in text else text)
    except (binascii.Error, ValueError):
        return ""
    return hashlib.sha256(data).hexdigest()


def _split(path: str) -> tuple[str, str]:
    """The model that stands before a path, or nothing, and the rest."""
    if not path.startswith(MODELS_PATH):
        return "", path
    model, _, rest = path[len(MODELS_PATH) :].partition("/")
    return model, f"/{rest}"


async def _until_left(receive: Receive) -> None:
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()
