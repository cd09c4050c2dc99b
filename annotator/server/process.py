"""The server as a process: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from functools import partial
from types import FrameType
from typing import Literal, Protocol

import uvicorn
from starlette.types import ASGIApp

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError, UserError
from annotator.domain.ports.engine import ModelInfo, Segmenter
from annotator.server.app import make_app
from annotator.server.connections import Connection
from annotator.server.core import ServerCore
from annotator.server.settings import ServerSettings

_MOST_CONNECTIONS, _KEEP_ALIVE_S, _LAST_S = 256, 30, 5


class Stoppable(Protocol):
    """What a server stops before it ends: nothing new, and after a while nothing at all."""

    @property
    def settings(self) -> ServerSettings: ...
    def drain(self) -> None: ...
    def give_up(self) -> None: ...


class _Server(uvicorn.Server):
    """The first signal lets what runs come to its end; the second one does not."""

    def __init__(self, config: uvicorn.Config, behind: Stoppable) -> None:
        super().__init__(config)
        self._behind = behind
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
            return
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._behind.drain()
        asyncio.get_running_loop().call_later(self._behind.settings.drain_s, self._behind.give_up)


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UserError: the address cannot be had, the model cannot be loaded, or a contract needs a package.
    """
    settings = settings.checked()
    failures: list[Exception] = []

    def on_ready(what: ModelInfo | Exception) -> None:
        if isinstance(what, Exception):
            failures.append(what)
            server.should_exit = True
        else:
            print(f"Ready: {what.name} on {what.device}.", flush=True)

    core = ServerCore(settings, load=partial(load_model, settings), on_ready=on_ready)
    server = make_server(make_app(core), core)
    with listen(settings) as listening:
        announce(listening)
        run(server, listening)
    if failures:
        raise failures[0]
    print("Stopped.", flush=True)


def make_server(app: ASGIApp, behind: Stoppable, *, lifespan: Literal["auto", "off"] = "auto") -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=Connection,
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(behind.settings.drain_s) + _LAST_S,
    )
    return _Server(config, behind)


def announce(listening: socket.socket) -> None:
    """Say where; from now on there is a log."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    host, port = listening.getsockname()[:2]
    print(f"Listening on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)


def run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Until it is stopped."""
    asyncio.run(server.serve([listening]))


def load_model(settings: ServerSettings) -> Segmenter:
    """Raises:
    ModelError: it cannot be loaded, or does not run in the precision that was asked for.
    """
    from annotator.engine.load import load_segmenter
    from annotator.engine.precision import dtype_named

    found = load_segmenter(settings.model, device=settings.device, dtype=dtype_named(settings.precision))
    if settings.precision not in ("", found.info.dtype):
        raise ModelError(f"{brief(found.info.name)} does not run in {settings.precision}.", "Leave out --precision.")
    return found


def listen(settings: ServerSettings) -> socket.socket:
    """Raises:
    UserError: the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family)
    except (OSError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UserError(
            f"The server cannot listen on {settings.host}, port {settings.port} ({reason}).", "Give another --port."
        ) from error
