"""Messages between the program and its readers: whole, or the other side counts as gone. Both kinds of channel."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from annotator.io.images import channel
from annotator.io.images.channel import CAN_PASS_FILES, Channel, ChannelEndedError, PipeChannel, SocketChannel

needs_files = pytest.mark.skipif(not CAN_PASS_FILES, reason="this system passes no open files")


def pipes() -> tuple[PipeChannel, PipeChannel]:
    (here_in, there_out), (there_in, here_out) = os.pipe(), os.pipe()
    here = PipeChannel(os.fdopen(here_in, "rb"), os.fdopen(here_out, "wb"))
    return here, PipeChannel(os.fdopen(there_in, "rb"), os.fdopen(there_out, "wb"))


def sockets() -> tuple[SocketChannel, SocketChannel]:
    one, other = socket.socketpair()
    return SocketChannel(one), SocketChannel(other)


@pytest.fixture(params=[pipes, pytest.param(sockets, marks=needs_files)], ids=["pipes", "sockets"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Channel, Channel]]:
    one, other = request.param()
    yield one, other
    one.close()
    other.close()


def test_a_message_comes_whole_with_its_pixels(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    here.send({"path": "a/\u00fc\udcff.png", "at": [1, 2.5, None]}, b"pixels")
    here.send({})
    first, second = there.receive(), there.receive()
    assert (first.data, first.payload) == ({"path": "a/\u00fc\udcff.png", "at": [1, 2.5, None]}, b"pixels")
    assert (first.file, second.data, second.payload) == (None, {}, b"")
    there.send({"ok": True}, memoryview(bytes(5000)))
    assert here.receive().payload == bytes(5000)


def test_who_has_closed_is_gone(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    there.close()
    with pytest.raises(ChannelEndedError):
        here.receive()
    with pytest.raises(ChannelEndedError):
        here.send({"path": "a.png"}, bytes(1 << 20))
    here.close()
    with pytest.raises(ChannelEndedError):
        here.send({})
    with pytest.raises(ChannelEndedError):
        here.receive()


@pytest.mark.parametrize("cut", [1, 12, 13, 15])
@needs_files
def test_half_a_message_is_none(cut: int) -> None:
    raw, other = socket.socketpair()
    there = SocketChannel(other)
    text = json.dumps({"a": 1}).encode()
    raw.sendall((struct.pack("!IQ?", len(text), 9, False) + text + b"123456789")[:cut])
    raw.close()
    with pytest.raises(ChannelEndedError):
        there.receive()
    there.close()


@pytest.mark.parametrize(
    "head",
    [struct.pack("!IQ?", (64 << 20) + 1, 0, False), struct.pack("!IQ?", 2, 0, True)],
    ids=["too long a text", "a file that did not come"],
)
def test_a_head_that_cannot_be_is_the_end(head: bytes) -> None:
    incoming, outgoing = os.pipe()
    os.write(outgoing, head + b"{}")
    os.close(outgoing)
    there = PipeChannel(os.fdopen(incoming, "rb"), open(os.devnull, "wb"))  # noqa: SIM115 - the channel closes it
    with pytest.raises(ChannelEndedError):
        there.receive()
    there.close()


@needs_files
def test_a_large_payload_goes_as_an_open_file_and_is_not_left_open() -> None:
    here, there = sockets()
    file = channel.anonymous_file()
    channel.write_all(file, b"0123456789")
    here.send({"shape": [10]}, file=file)
    os.close(file)
    message = there.receive()
    assert (message.data, message.payload, message.file_bytes) == ({"shape": [10]}, b"", 10)
    assert message.file is not None
    assert not os.get_inheritable(message.file)
    assert os.pread(message.file, 20, 0) == b"0123456789"
    os.close(message.file)
    here.close()
    there.close()


@needs_files
def test_a_file_whose_message_is_cut_off_is_closed() -> None:
    raw, other = socket.socketpair()
    there = SocketChannel(other)
    file = channel.anonymous_file()
    socket.send_fds(raw, [struct.pack("!IQ?", 50, 10, True)], [file])
    raw.close()
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with pytest.raises(ChannelEndedError):
        there.receive()
    after = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    assert len(after) == len(before)
    os.close(file)
    there.close()


@needs_files
def test_only_a_socket_can_be_waited_for_no_longer_than_that() -> None:
    here, there = sockets()
    assert here.set_timeout(0.01)
    with pytest.raises(TimeoutError):
        here.receive()
    here.close()
    there.close()
    for end in pipes():
        assert not end.set_timeout(0.01)
        with suppress(OSError):
            end.close()


def test_where_there_is_no_memory_file_a_temporary_one_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(channel, "_WRITE_BYTES", 4)
    file = channel.anonymous_file()
    channel.write_all(file, memoryview(b"0123456789"))
    assert os.pread(file, 20, 0) == b"0123456789"
    assert os.fstat(file).st_nlink == 0
    os.close(file)
