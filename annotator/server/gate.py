"""What every request passes first: who it is from, how much it brings; and what is written down of it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotator.server.metrics import Metrics
from annotator.server.problems import Problem, busy, of_error
from annotator.server.settings import ServerSettings

OPEN_PATHS = (
    "/v1/health", "/v1/ready", "/openapi.json", "/docs", "/label-studio/health", "/x-anylabeling/health",
    "/nninteractive/healthz",
)  # fmt: skip
"""Need no token: they hold nothing of anybody."""
_ARRAYS = ("set_image", "add_scribble_interaction", "add_lasso_interaction", "add_initial_seg_interaction")
UPLOAD_PATHS = (
    "/v1/images", "/cvat", "/label-studio/predict", "/x-anylabeling/v1/predict",
    *(f"/nninteractive/{name}" for name in _ARRAYS),
)  # fmt: skip
_BODIES, _BODIES_PER_CLIENT = 8, 2
"""Bodies of the largest size that may be in memory at a time, and those of one client."""
REFUSAL_S, MOST_REFUSAL_S = 0.25, 2.0
"""A 429 is held back for so long, times those of the client that are: who asks again at once, many times over, would
take the processor from the model."""
_MOST_DIGITS = 18
_PASS_OVER_S = 2.0
_TOO_MANY = 429
_access = logging.getLogger("annotator.server.access")


class Gated(Protocol):
    """What it needs to know of what is behind it."""

    @property
    def settings(self) -> ServerSettings: ...
    @property
    def metrics(self) -> Metrics: ...


class Gate:
    """ASGI. A body is in memory as a whole before anything is asked of the model: a slow client holds nobody up."""

    def __init__(self, app: ASGIApp, core: Gated) -> None:
        self._app, self._core = app, core
        self._settings = core.settings
        self._salt = secrets.token_bytes(16)
        self._held_bytes: Counter[str] = Counter()
        self._held_back: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s, status, body, client = time.monotonic(), 0, bytearray(), ""

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status == _TOO_MANY:
                    await self._hold_back(client)
            await send(message)

        try:
            client = await self._let_in(scope, receive)
            scope.setdefault("state", {})["client"] = client
            await self._read(scope, receive, body, client)
            await self._app(scope, _again(bytes(body), receive), noted)
        except Exception as error:
            problem = of_error(error)
            if status:
                raise
            problem.headers.setdefault("Connection", "close")
            await problem.response(scope["path"])(scope, receive, noted)
        finally:
            self._let_go(body, client)
            self._note(scope, status, time.monotonic() - started_s)

    async def _let_in(self, scope: Scope, receive: Receive) -> str:
        """As :meth:`_client`; a small body of whoever is not let in is passed over, so that the answer is seen."""
        try:
            return self._client(scope)
        except Problem:
            if dict(scope["headers"]).get(b"expect", b"").lower() != b"100-continue":
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PASS_OVER_S):
                        await _pass_over(receive, self._settings.max_prompt_body_bytes)
            raise

    async def _hold_back(self, client: str) -> None:
        self._held_back[client] += 1
        try:
            await asyncio.sleep(min(MOST_REFUSAL_S, REFUSAL_S * self._held_back[client]))
        finally:
            self._held_back[client] -= 1
            if not self._held_back[client]:
                del self._held_back[client]

    def _client(self, scope: Scope) -> str:
        """A name for who asks, of token and address, that tells neither.

        Raises:
            Problem: not let in.
        """
        headers = dict(scope["headers"])
        if not self._settings.answers_to(headers.get(b"host", b"")):
            raise Problem(421, "wrong-host", "The request is for another host.")
        authorization = _authorization(headers)
        if scope["path"] not in OPEN_PATHS and not self._settings.lets_in(authorization):
            raise Problem(
                401, "no-token", "Send the header Authorization: Bearer TOKEN.", headers={"WWW-Authenticate": "Bearer"}
            )
        address = (scope.get("client") or ("",))[0]
        token = authorization if self._settings.tokens else b""
        return hashlib.sha256(self._salt + token + b"\n" + address.encode()).hexdigest()[:12]

    async def _read(self, scope: Scope, receive: Receive, body: bytearray, client: str) -> None:
        """The body, counted while it comes.

        Raises:
            Problem: it is too large (413), too slow (408), or there are too many at a time (429).
        """
        is_upload = scope["path"] in UPLOAD_PATHS
        most = self._settings.max_body_bytes if is_upload else self._settings.max_prompt_body_bytes
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit():
            raise Problem(400, "no-length", "The header Content-Length is no number.")
        is_too_large = len(declared) > _MOST_DIGITS or int(declared) > most
        try:
            async with asyncio.timeout(self._settings.body_s):
                if is_too_large or not await self._take_in(receive, body, client, most):
                    if headers.get(b"expect", b"").lower() != b"100-continue":
                        await _pass_over(receive, most)
                    raise Problem(413, "body-too-large", f"The body is larger than {most:,} bytes.")
        except TimeoutError:
            limit = f"{self._settings.body_s:g} s"
            raise Problem(408, "slow-body", f"The body did not arrive within {limit}.") from None

    async def _take_in(self, receive: Receive, body: bytearray, client: str, most: int) -> bool:
        """Whether it was no more than ``most`` bytes."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Problem(408, "given-up", "The request was given up.")
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > most:
                return False
            self._hold(body, chunk, client)
            if not message.get("more_body"):
                return True

    def _hold(self, body: bytearray, chunk: bytes, client: str) -> None:
        largest = self._settings.max_body_bytes
        if self._held_bytes.total() + len(chunk) > _BODIES * largest:
            raise busy("too-many-bodies", "Too many uploads arrive at a time. Ask again in 1 s.", 1)
        if self._held_bytes[client] + len(chunk) > _BODIES_PER_CLIENT * largest:
            raise busy("too-many-bodies", "Too many uploads of yours arrive at a time. Ask again in 1 s.", 1)
        self._held_bytes[client] += len(chunk)
        body += chunk

    def _let_go(self, body: bytearray, client: str) -> None:
        self._held_bytes[client] -= len(body)
        if not self._held_bytes[client]:
            del self._held_bytes[client]

    def _note(self, scope: Scope, status: int, took_s: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._core.metrics.requests.labels(route, str(status)).inc()
        if status in (401, 408, 410, 413, 415, 429, 503, 504):
            self._core.metrics.refused.labels(str(status)).inc()
        client = scope.get("state", {}).get("client", "-")
        _access.info("%s %s %s %d %.0f ms", client, scope["method"], route, status, took_s * 1e3)


def _authorization(headers: Mapping[bytes, bytes]) -> bytes:
    """As ``Bearer TOKEN``, also where other tools send the token as a password or in a header ``Token``."""
    given = headers.get(b"authorization", b"")
    scheme, _, rest = given.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            return b"Bearer " + base64.b64decode(rest, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    if not given and headers.get(b"token"):
        return b"Bearer " + headers[b"token"]
    return given


async def _pass_over(receive: Receive, most: int) -> None:
    """Up to ``most`` bytes: a client that is still sending would see a broken connection and not the answer."""
    while most > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return
        most -= len(message.get("body", b""))


def _again(body: bytes, receive: Receive) -> Receive:
    """What hands on a body that was read, and then whatever comes."""
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
