"""Bytes from a server into a file. Who wants to stop need not wait for a network that hangs."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from annotator.domain.ports.jobs import Progress

_TIMEOUTS_S = (10, 60)
"""For the connection, and between two pieces of an answer."""
_ASK_EVERY_S = 0.1
_END_S = 2.0
"""What a stopped connection is waited for: only a name that no server answers for takes longer, and ends by itself."""
_CHUNK_BYTES = 1 << 16
_TOO_LONG = 416
_PARTIAL = 206


@dataclass(frozen=True, slots=True)
class _Head:
    """``length``: bytes that follow, 0 when that is not known."""

    status: int
    length: int


_Piece = _Head | bytes | Exception | None
"""None is the end."""


def transfer(url: str, part: Path, progress: Progress | None) -> None:
    """GET into ``part``, going on with what it has when the server can. What is stopped leaves the part as it is.

    Args:
        progress: called with (bytes done, bytes in all or 0), also while nothing comes; what it raises ends it all.

    Raises:
        requests.RequestException: no answer, or one that cannot be used; also one that leaves a secure address.
        OSError: the part cannot be written.
    """
    have = part.stat().st_size if part.is_file() else 0
    feed = _Feed(url, have)
    feed.start()
    try:
        head = feed.next(lambda: progress(have, 0) if progress is not None else None)
        if not isinstance(head, _Head):
            raise requests.exceptions.ConnectionError("the server said nothing")
        if head.status != _TOO_LONG:
            _write(feed, head, part, have, progress)
            return
    finally:
        feed.stop()
    part.unlink()  # as long as the file, or longer: start over
    transfer(url, part, progress)


def _write(feed: _Feed, head: _Head, part: Path, have: int, progress: Progress | None) -> None:
    is_resumed = head.status == _PARTIAL
    done = have if is_resumed else 0
    total = done + head.length

    def tell() -> None:
        if progress is not None:
            progress(done, total)

    with part.open("ab" if is_resumed else "wb") as file:
        while isinstance(piece := feed.next(tell), bytes):
            file.write(piece)
            done += len(piece)
            tell()


class _Feed(threading.Thread):
    """Reads on a thread of its own, so that the one that writes can be asked to stop meanwhile."""

    def __init__(self, url: str, start_byte: int) -> None:
        super().__init__(name="transfer", daemon=True)
        self._url, self._start_byte = url, start_byte
        self._pieces: queue.Queue[_Piece] = queue.Queue(16)
        self._sockets: list[Any] = []
        self._is_over = threading.Event()

    def next(self, ask: Callable[[], object]) -> _Piece:
        """The next piece; ``ask`` is called again and again until it is there.

        Raises:
            Exception: what ended the reading.
        """
        while True:
            try:
                piece = self._pieces.get(timeout=_ASK_EVERY_S)
            except queue.Empty:
                ask()
                continue
            if isinstance(piece, Exception):
                raise piece
            return piece

    def stop(self) -> None:
        """End the connection, whatever it waits for, and the thread."""
        self._is_over.set()
        for opened in tuple(self._sockets):
            self._shut(opened)
        self.join(_END_S)

    def run(self) -> None:
        try:
            with requests.Session() as session:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _Adapter(self._note))
                self._read(session)
        except Exception as error:  # raised again on the thread that waits for it
            self._give(error)
        else:
            self._give(None)

    def _read(self, session: requests.Session) -> None:
        headers = {"Range": f"bytes={self._start_byte}-"} if self._start_byte else {}
        with session.get(self._url, headers=headers, stream=True, timeout=_TIMEOUTS_S) as response:
            if urlsplit(self._url).scheme == "https" and urlsplit(response.url).scheme != "https":
                raise requests.exceptions.InvalidURL("the server redirects to an insecure address")
            if response.status_code != _TOO_LONG:
                response.raise_for_status()
            self._give(_Head(response.status_code, int(response.headers.get("Content-Length") or 0)))
            for chunk in response.iter_content(_CHUNK_BYTES):
                if not self._give(chunk):
                    return

    def _give(self, piece: _Piece) -> bool:
        """Whether anybody wants more."""
        while not self._is_over.is_set():
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=_ASK_EVERY_S)
                return True
        return False

    def _note(self, opened: Any) -> None:
        self._sockets.append(opened)
        if self._is_over.is_set():
            self._shut(opened)

    @staticmethod
    def _shut(opened: Any) -> None:
        # The system's own call: that of an encrypted socket would end the encryption first, and wait.
        with suppress(OSError, TypeError):
            socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Tells of every connection that it opens."""

    def __init__(self, note: Callable[[Any], None]) -> None:
        self._note = note
        super().__init__()

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        super().init_poolmanager(*args, **named)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **named: Any) -> Any:
        found = super().proxy_manager_for(proxy, **named)
        self._watch(found)
        return found

    def _watch(self, pools: Any) -> None:
        note = self._note

        def watched(pool_class: Any) -> Any:
            class Connection(pool_class.ConnectionCls):  # type: ignore[misc]
                def connect(self) -> None:
                    super().connect()
                    note(self.sock)

            return type("Pool", (pool_class,), {"ConnectionCls": Connection})

        if not hasattr(pools, "is_watched"):
            pools.is_watched = True
            pools.pool_classes_by_scheme = {
                scheme: watched(pool_class) for scheme, pool_class in pools.pool_classes_by_scheme.items()
            }
