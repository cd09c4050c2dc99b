"""A real server of ours on a loopback port, in a thread of this process, that can be ended and started anew."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import uvicorn

from annotator.domain.ports.engine import Segmenter
from annotator.server.app import make_app
from annotator.server.connections import Connection
from annotator.server.core import ServerCore
from annotator.server.settings import ServerSettings

_WAIT_S = 60.0


class LoopbackServer:
    """Args:
    segmenter: what answers; it may be one that tests gate.
    port: 0: any.
    """

    def __init__(self, segmenter: Segmenter, *, port: int = 0, **settings: Any) -> None:
        self.core = ServerCore(ServerSettings(**settings).checked(), load=lambda: segmenter)
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listening.getsockname()[1])
        config = uvicorn.Config(make_app(self.core), http=Connection, log_config=None, access_log=False, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="loopback server", daemon=True)
        self._thread.start()
        assert self.core.settled.wait(_WAIT_S)

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listening]))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self) -> None:
        """All connections break; the port is free afterwards."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(_WAIT_S)
        assert not self._thread.is_alive()
        self._listening.close()
