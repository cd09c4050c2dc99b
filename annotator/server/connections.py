"""Connections that ask nothing are closed: a head that is sent byte by byte would else take a place for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_S = 30.0
"""For the head of the first request, and from each answer to the head of the next one."""


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """As uvicorn's, with a limit for heads; bodies have theirs in the gate."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._forget()
        self._late = self.loop.call_later(HEAD_S, self._close_if_idle)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()

    def _close_if_idle(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()
