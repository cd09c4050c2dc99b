"""A server of one file that stands still in the middle of its answer until it is told to go on."""

from __future__ import annotations

import socket
import threading

CONTENT = bytes(range(256)) * 4096
HALF = len(CONTENT) // 2
"""Whole pieces of what is read at once: all of it arrives before the server stands still."""


class StallingServer:
    """Use it as a context.

    Args:
        says: so many bytes come before it stands still; 0: not even a status line.
        breaks_off: it hangs up there instead.
        refuses: the status of every answer, such as ``404 Not Found``.
        length: what it says that the file has in bytes; None: the truth.

    Attributes:
        is_still: set once it said all that it says. go_on: set by the test, after which it answers as a whole.
        starts: first byte that each request asked for.
    """

    def __init__(
        self, *, says: int = HALF, breaks_off: bool = False, refuses: str = "", length: int | None = None
    ) -> None:
        self.says, self.breaks_off, self.refuses, self.length = says, breaks_off, refuses, length
        self.is_still, self.go_on = threading.Event(), threading.Event()
        self.starts: list[int] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/model.pt"

    def __enter__(self) -> StallingServer:
        self._threads[0].start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.go_on.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # the test is over
                return
            self._threads.append(threading.Thread(target=self._answer, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                if not (more := connection.recv(4096)):
                    return  # it only looked whether anybody is there
                asked += more
            if self.refuses:
                connection.sendall(
                    f"HTTP/1.1 {self.refuses}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )
                return
            start = next(
                (int(line[13:-1]) for line in asked.decode().split("\r\n") if line.startswith("Range: bytes=")), 0
            )
            self.starts.append(start)
            status = "206 Partial Content" if start else "200 OK"
            length = (self.length or len(CONTENT)) - start
            head = f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            answer, rest = head.encode() + CONTENT[start:], b""
            if not self.go_on.is_set():
                at = len(head) + self.says if self.says else 0
                answer, rest = answer[:at], answer[at:]
            try:
                connection.sendall(answer)
                self.is_still.set()
                if self.breaks_off and not self.go_on.is_set():
                    return
                self.go_on.wait(60)
                connection.sendall(rest)
            except OSError:  # the other side has left, which is what the tests are about
                return
