"""A request and its answer as values, on their way between a front and a replica."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was let in, with its body as a whole.

    Attributes:
        model: that it is for.
        path: as a server of one model has it; query: without "?".
        client: a name for who asks, for turns.
    """

    model: str
    method: str
    path: str
    query: bytes
    headers: Headers
    client: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Headers
    body: bytes


async def answer_of(app: ASGIApp, asked: Asked) -> Answered:
    """What an application in this process says."""
    status, chunks = 500, list[bytes]()
    headers: Headers = ()
    is_told = False

    async def receive() -> Message:
        nonlocal is_told
        if is_told:
            await asyncio.Event().wait()  # the front ends the call when the client has gone
        is_told = True
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], tuple((bytes(n), bytes(v)) for n, v in message.get("headers", ()))
        else:
            chunks.append(message.get("body", b""))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "root_path": "",
        "query_string": asked.query,
        "headers": list(asked.headers),
        "client": None,
        "server": None,
        "state": {"client": asked.client},
    }
    await app(scope, receive, send)
    return Answered(status, headers, b"".join(chunks))
