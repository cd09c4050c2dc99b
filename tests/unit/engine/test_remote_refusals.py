"""What a server refuses, and every way in which it does not answer, is a sentence that names it and says what to do."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from annotator.domain.errors import EncodeCancelled, ModelError, ServerAwayError
from annotator.engine.remote import connection
from annotator.engine.remote.address import ServerAddress
from annotator.engine.remote.connection import Connection, Reply, refusal

THERE = ServerAddress("http", "127.0.0.1", 8765)


def reply(status: int, body: bytes = b"") -> Reply:
    return Reply(status, body, {}, 1.0)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message", "advice"),
    [
        (401, b"", ModelError, "wants another token.", "Enter it in Model > Remote server."),
        (413, b'{"detail": "At most 9 MB."}', ModelError, "takes no image of this size.", "At most 9 MB."),
        (502, b"<html>", ServerAwayError, "cannot answer: HTTP status 502.", ""),
        (422, b'{"detail": "No such image."}', ModelError, "refuses: No such image.", ""),
        (404, b'{"detail": ["a"]}', ModelError, "refuses: HTTP status 404.", ""),
        (400, b"[1]", ModelError, "refuses: HTTP status 400.", ""),
    ],
)
def test_a_refusal_says_what_the_server_said(
    status: int, body: bytes, kind: type[ModelError], message: str, advice: str
) -> None:
    found = refusal(reply(status, body), THERE)
    assert type(found) is kind
    assert found.message == f"The server at 127.0.0.1:8765 {message}"
    assert found.advice.startswith(advice)


def test_a_long_reason_is_cut() -> None:
    assert len(str(refusal(reply(400, b'{"detail": "' + b"x" * 5000 + b'"}'), THERE))) < 400


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1, 2]", b"\xff"])
def test_an_answer_that_is_no_document_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(ModelError, match=r"not as expected.*annotator server at this address"):
        reply(200, body).json()
    assert reply(200, b'{"a": 1}').json() == {"a": 1}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ConnectionRefusedError(), "nothing listens there"),
        (socket.gaierror(-2, "x"), "there is no computer of that name"),
        (TimeoutError(), "no answer in time"),
        (ssl.SSLCertVerificationError("x"), "its certificate is not trusted"),
        (ConnectionAbortedError(), "the connection broke"),
    ],
)
def test_why_nobody_answers(error: OSError, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_named: object) -> socket.socket:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed"
    with pytest.raises(ServerAwayError, match=f"127.0.0.1:8765 does not answer: {why}"):
        Connection(THERE, "").ask("GET", "/v1/health")
    with pytest.raises(ServerAwayError, match=why):
        Connection(THERE, "").begin("GET", "/v1/health")


@contextmanager
def answering(talk: Callable[[socket.socket], None]) -> Iterator[Connection]:
    """A server that does ``talk`` with each connection, and is gone after the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    talk(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        made = Connection(ServerAddress("http", "127.0.0.1", listener.getsockname()[1]), "")
        try:
            yield made
        finally:
            made.close()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)
            assert not thread.is_alive()


def test_a_server_that_hangs_up_is_away() -> None:
    with answering(lambda peer: None) as there, pytest.raises(ServerAwayError, match="the connection broke"):
        there.ask("GET", "/v1/health")


def test_a_busy_server_is_asked_again_and_given_up_when_it_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        asked.append(peer.recv(65536))
        body = b'{"detail": "Nine before you."}' if len(asked) != 2 else b"{}"
        status = b"503 Busy" if len(asked) != 2 else b"200 OK"
        later = b"Retry-After: 0\r\n" if len(asked) == 1 else b"Retry-After: 900\r\n"
        peer.sendall(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n" + later)
        peer.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    with answering(talk) as there:
        assert there.ask("GET", "/v1/health").status == 200
        assert len(asked) == 2
        with pytest.raises(ServerAwayError, match=r"has no time: Nine before you\..*Try again soon"):
            there.ask("GET", "/v1/health")
        assert len(asked) == 3


def test_what_is_stopped_while_it_is_sent_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PIECE_BYTES", 4)
    looks = iter([False, True])
    came: list[bytes] = []
    has_hung_up = threading.Event()

    def talk(peer: socket.socket) -> None:
        while piece := peer.recv(65536):
            came.append(piece)
        has_hung_up.set()

    with answering(talk) as there:
        with pytest.raises(EncodeCancelled):
            there.ask("POST", "/v1/images", body=b"12345678", is_stopped=lambda: next(looks))
        assert has_hung_up.wait(20)
    assert b"".join(came).endswith(b"\r\n\r\n1234")
