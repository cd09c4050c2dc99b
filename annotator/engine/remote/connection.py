"""One request after the other over a connection that stays open. A wait can be called off; nothing is retried twice."""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import EncodeCancelled, ModelError, ServerAwayError
from annotator.engine.remote.address import ServerAddress, check_token

CONNECT_S = 3.0
READ_S = 90.0
BUSY_S = 10.0
"""How long a server that is busy is asked again."""
_LOOK_S = 0.02
_PIECE_BYTES = 256 << 10
MOST_ANSWER_BYTES = 1 << 30
_BROKEN = (OSError, http.client.HTTPException, EOFError)
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Reply:
    """``took_ms``: from the first byte sent to the last one received."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    took_ms: float

    def json(self) -> dict[str, Any]:
        """Raises:
        ModelError: it is none.
        """
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ModelError("The server's answer is not as expected.", "Is there an annotator server at this address?")
        return found


class Exchange:
    """A request that was sent, and whose answer may be looked for now and then."""

    def __init__(self, connection: http.client.HTTPConnection, started_s: float) -> None:
        self._connection, self._started_s = connection, started_s

    def is_ready(self, within_s: float) -> bool:
        """Whether the answer begins to come within that time."""
        sock = self._connection.sock
        if sock is None:
            raise ConnectionError("the connection is closed")
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        return bool(select.select([sock], [], [], within_s)[0])

    def reply(self) -> Reply:
        """The answer, waited for."""
        answer = self._connection.getresponse()
        body = answer.read(MOST_ANSWER_BYTES + 1)
        if len(body) > MOST_ANSWER_BYTES:
            raise http.client.HTTPException("the answer is too large")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, body, headers, (time.perf_counter() - self._started_s) * 1e3)

    def close(self) -> None:
        """Give it up: the server notices, and drops what has not begun."""
        self._connection.close()


class Connection:
    """To one server, for one thread. The system's proxies are not asked: clicks go to a machine near by.

    Args:
        token: sent with every request; may be empty.
    """

    def __init__(self, address: ServerAddress, token: str) -> None:
        self._kept: http.client.HTTPConnection | None = None
        check_token(token)
        self.address = address
        self._headers = {"User-Agent": "annotator"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def __del__(self) -> None:
        self.close()  # whoever drops an engine does not know that it holds a socket

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        kind: str = "application/json",
        is_stopped: Stop | None = None,
        read_s: float = READ_S,
    ) -> Reply:
        """The answer, of any status but those that say to come back later: then it is asked again for a while.

        Raises:
            EncodeCancelled: ``is_stopped`` said so.
            ServerAwayError: nobody answers, or it stays busy.
        """
        stopped = is_stopped or (lambda: False)
        end_s = time.monotonic() + BUSY_S
        while True:
            reply = self._once(method, path, body, kind, stopped, read_s)
            if reply.status not in (429, 503):
                return reply
            wait_s = _retry_after_s(reply)
            if time.monotonic() + wait_s > end_s:
                raise ServerAwayError(
                    f"The server at {brief(self.address.place)} has no time: {_detail(reply)}", "Try again soon."
                )
            _sleep(wait_s, stopped)

    def begin(self, method: str, path: str, *, body: bytes = b"") -> Exchange:
        """Send on a connection of its own; the answer is the caller's to wait for.

        Raises:
            ServerAwayError: nobody answers.
        """
        with self.broken_is_away():
            return self._send(self._new(), method, path, body, "application/json", lambda: False)

    @contextmanager
    def broken_is_away(self) -> Iterator[None]:
        """What breaks while an :class:`Exchange` is waited for is a :class:`ServerAwayError`, too."""
        try:
            yield
        except _BROKEN as error:
            raise self._away(error) from error

    def _once(self, method: str, path: str, body: bytes, kind: str, stopped: Stop, read_s: float) -> Reply:
        """Once more on a new connection when one that was kept has been closed by the other side."""
        was_kept = self._kept is not None
        try:
            return self._exchange(method, path, body, kind, stopped, read_s)
        except _BROKEN as error:
            self.close()
            if not was_kept or isinstance(error, TimeoutError):
                raise self._away(error) from error
        try:
            return self._exchange(method, path, body, kind, stopped, read_s)
        except _BROKEN as error:
            self.close()
            raise self._away(error) from error

    def _exchange(self, method: str, path: str, body: bytes, kind: str, stopped: Stop, read_s: float) -> Reply:
        if self._kept is None:
            self._kept = self._new()
        exchange = self._send(self._kept, method, path, body, kind, stopped)
        end_s = time.monotonic() + read_s
        while not exchange.is_ready(_LOOK_S):
            if stopped():
                self.close()
                raise EncodeCancelled
            if time.monotonic() > end_s:
                raise TimeoutError("no answer in time")
        reply = exchange.reply()
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def _new(self) -> http.client.HTTPConnection:
        address = self.address
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        made = kind(address.host, address.port, timeout=CONNECT_S)
        made.connect()
        made.sock.settimeout(READ_S)
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _send(
        self, made: http.client.HTTPConnection, method: str, path: str, body: bytes, kind: str, stopped: Stop
    ) -> Exchange:
        started_s = time.perf_counter()
        made.putrequest(method, self.address.path + path, skip_accept_encoding=True)
        for name, value in self._headers.items():
            made.putheader(name, value)
        if body or method not in ("GET", "HEAD"):
            made.putheader("Content-Type", kind)
            made.putheader("Content-Length", str(len(body)))
        made.endheaders()
        for at in range(0, len(body), _PIECE_BYTES):
            if stopped():
                self.close()
                raise EncodeCancelled
            try:
                made.send(body[at : at + _PIECE_BYTES])
            except (BrokenPipeError, ConnectionResetError):
                break  # it has answered already, such as that the body is too large
        return Exchange(made, started_s)

    def _away(self, error: BaseException) -> ServerAwayError:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not trusted ({error.verify_message})"
        elif isinstance(error, socket.gaierror):
            why = "there is no computer of that name"
        elif isinstance(error, TimeoutError):
            why = "no answer in time"
        elif isinstance(error, ConnectionRefusedError):
            why = "nothing listens there"
        else:
            why = "the connection broke"
        advice = "What you clicked stays. Check the address and that it runs, or choose a model of this computer."
        return ServerAwayError(f"The server at {brief(self.address.place)} does not answer: {why}.", advice)


def refusal(reply: Reply, address: ServerAddress) -> ModelError:
    """What an answer with a status of 400 and more says, for a person."""
    if reply.status == 401:
        return ModelError(
            f"The server at {brief(address.place)} wants another token.", "Enter it in Model > Remote server."
        )
    if reply.status == 413:
        return ModelError(f"The server at {brief(address.place)} takes no image of this size.", _detail(reply))
    if reply.status >= 500:  # its own, or of a proxy before it
        return ServerAwayError(f"The server at {brief(address.place)} cannot answer: {_detail(reply)}")
    return ModelError(f"The server at {brief(address.place)} refuses: {_detail(reply)}")


def _detail(reply: Reply) -> str:
    """Of a problem document, cut short; the status where there is none."""
    try:
        detail = json.loads(reply.body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    return detail[:300] if isinstance(detail, str) and detail else f"HTTP status {reply.status}."


def _retry_after_s(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    return min(max(float(text), 0.05), BUSY_S + 1) if text.isdigit() else 1.0


def _sleep(seconds: float, stopped: Stop) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        if stopped():
            raise EncodeCancelled
        time.sleep(min(_LOOK_S, left_s))
