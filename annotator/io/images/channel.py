"""Messages between the program and a reader process: JSON, and pixels beside it.

A message is a head (sizes), JSON text, and at most one payload. Nothing is unpickled: a reader has just run native code
on a stranger's bytes. Where the system passes open files through sockets (Linux, macOS), large payloads lie in an
anonymous file: nobody copies them, and no name is left behind, whoever is killed. Elsewhere they follow in the pipe.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

CAN_PASS_FILES = hasattr(socket, "send_fds") and hasattr(socket, "AF_UNIX")
INLINE_BYTES = 1 << 20
"""Smaller payloads follow in the pipe: a mapped file would cost more, and holds a descriptor."""
_HEAD = struct.Struct("!IQ?")
_MAX_JSON_BYTES = 64 << 20
_WRITE_BYTES = 1 << 30


class ChannelEndedError(Exception):
    """The other side is gone."""


@dataclass(frozen=True, slots=True)
class Message:
    """What came: JSON data, the payload's bytes, or the descriptor of an open file with ``file_bytes`` of payload (the
    receiver closes it)."""

    data: dict[str, Any]
    payload: bytes = b""
    file: int | None = None
    file_bytes: int = 0


class Channel(Protocol):
    """One end. ``file``: a descriptor that is passed on; the sender keeps its own."""

    passes_files: bool

    def send(self, data: dict[str, Any], payload: memoryview | bytes = b"", file: int | None = None) -> None:
        """Raises: ChannelEndedError."""
        ...

    def receive(self) -> Message:
        """Waits. Raises: ChannelEndedError; TimeoutError where a timeout is set."""
        ...

    def set_timeout(self, seconds: float) -> bool:
        """Bound each wait from now on; False where this cannot be done."""
        ...

    def close(self) -> None: ...


class SocketChannel:
    """Over a Unix socket."""

    passes_files = True

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def send(self, data: dict[str, Any], payload: memoryview | bytes = b"", file: int | None = None) -> None:
        text = json.dumps(data).encode("ascii")
        size = os.fstat(file).st_size if file is not None else len(payload)
        head = _HEAD.pack(len(text), size, file is not None)
        try:
            sent = socket.send_fds(self._socket, [head], [] if file is None else [file])
            self._socket.sendall(head[sent:] + text)
            if file is None:
                self._socket.sendall(payload)
        except TimeoutError:
            raise
        except OSError as error:
            raise ChannelEndedError from error

    def set_timeout(self, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        return True

    def receive(self) -> Message:
        try:
            flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            start, files, _, _ = socket.recv_fds(self._socket, _HEAD.size, 1, flags)
        except TimeoutError:
            raise
        except OSError as error:
            raise ChannelEndedError from error
        file = files[0] if files else None
        try:
            if file is not None:
                os.set_inheritable(file, False)
            if not start:
                raise ChannelEndedError
            return _message(start + self._exactly(_HEAD.size - len(start)), self._exactly, file)
        except BaseException:
            if file is not None:
                os.close(file)
            raise

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, count: int) -> bytes:
        block = bytearray(count)
        view, at = memoryview(block), 0
        while at < count:
            try:
                got = self._socket.recv_into(view[at:])
            except TimeoutError:
                raise
            except OSError as error:
                raise ChannelEndedError from error
            if got == 0:
                raise ChannelEndedError
            at += got
        return bytes(block)


class PipeChannel:
    """Over two pipes; everything goes through them."""

    passes_files = False

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._in, self._out = incoming, outgoing

    def send(self, data: dict[str, Any], payload: memoryview | bytes = b"", file: int | None = None) -> None:
        text = json.dumps(data).encode("ascii")
        try:
            self._out.write(_HEAD.pack(len(text), len(payload), False) + text)
            self._out.write(payload)
            self._out.flush()
        except (OSError, ValueError) as error:
            raise ChannelEndedError from error

    def set_timeout(self, seconds: float) -> bool:
        return False

    def receive(self) -> Message:
        return _message(self._exactly(_HEAD.size), self._exactly, None)

    def close(self) -> None:
        for stream in (self._out, self._in):
            try:
                stream.close()
            except OSError:  # what is left in its buffer has nobody to go to
                continue

    def _exactly(self, count: int) -> bytes:
        try:
            block = self._in.read(count)
        except (OSError, ValueError) as error:
            raise ChannelEndedError from error
        if len(block) < count:
            raise ChannelEndedError
        return block


def _message(head: bytes, exactly: Any, file: int | None) -> Message:
    text_bytes, size, has_file = _HEAD.unpack(head)
    if text_bytes > _MAX_JSON_BYTES or has_file != (file is not None):
        raise ChannelEndedError
    data = json.loads(exactly(text_bytes))
    if file is not None:
        return Message(data, file=file, file_bytes=size)
    return Message(data, payload=exactly(size))


def anonymous_file() -> int:
    """The descriptor of a new empty file in memory (else in the temporary folder) without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("annotator-pixels")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def write_all(file: int, data: memoryview | bytes) -> None:
    """One system call writes 2 GB at most."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(file, view[:_WRITE_BYTES]) :]
