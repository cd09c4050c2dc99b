"""Where a reader process puts pixels: memory that it got ready while it had nothing to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.io.images import sink as sinks
from annotator.io.images.native_wire import aligned
from annotator.io.images.pool import ReaderPool
from annotator.io.images.sink import Sink

pytestmark = pytest.mark.skipif(not sinks._CAN_RESERVE, reason="the system has no memory without a name")

WIDTH, HEIGHT = 900, 700
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def content(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


@pytest.mark.parametrize("ready", [0, 1000, PIXELS.nbytes, 3 * PIXELS.nbytes])
@pytest.mark.parametrize("way", ["taken", "filled", "written"])
def test_what_was_got_ready_is_used_and_has_the_size_of_the_picture(ready: int, way: str) -> None:
    sink = Sink()
    sink.get_ready(ready)
    waiting = None if sink._ready is None else os.fstat(sink._ready[0]).st_ino
    assert sink.ready_bytes == ready
    with sink:
        if way == "taken":
            rgb = sinks.rgb_array(Image.fromarray(PIXELS))
        elif way == "filled":
            rgb = sinks.room_for(WIDTH, HEIGHT)
            rgb[:] = PIXELS
        else:
            rgb = PIXELS
        file = sink.file_of(rgb)
        assert content(file) == PIXELS.tobytes()
        assert waiting in (None, os.fstat(file).st_ino)
        assert sink.ready_bytes == 0
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(file)


def test_what_is_ready_is_bounded_and_given_back() -> None:
    sink = Sink()
    sink.get_ready(100 * sinks.READY_BYTES)
    assert sink.ready_bytes == sinks.READY_BYTES
    file = sink._ready[0]  # type: ignore[index]
    sink.get_ready(1000)
    assert sink.ready_bytes == sinks.READY_BYTES, "one is enough"
    sink.close()
    assert sink.ready_bytes == 0
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(file)


@pytest.mark.parametrize("is_in_file", [True, False])
def test_numbers_follow_the_pixels(is_in_file: bool) -> None:
    deep = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    with Sink() as sink:
        rgb = sinks.rgb_array(Image.fromarray(PIXELS)) if is_in_file else PIXELS
        found = content(sink.file_of(rgb, [deep]))
    at = aligned(PIXELS.nbytes)
    assert found[: PIXELS.nbytes] == PIXELS.tobytes()
    assert found[at:] == deep.tobytes()


def test_a_large_picture_that_lies_elsewhere_takes_no_second_address_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "READY_BYTES", 1000)
    with Sink() as sink:
        assert content(sink.file_of(PIXELS)) == PIXELS.tobytes()
        assert sink._mapped is None


def test_a_turned_picture_goes_where_it_lay() -> None:
    with Sink() as sink:
        rgb = sinks.rgb_array(Image.fromarray(PIXELS))
        before = sink.file
        turned = np.ascontiguousarray(rgb.swapaxes(0, 1)[:, ::-1])
        assert sink.file_of(turned) == before
        assert content(before or -1) == turned.tobytes()
        mirrored = np.frombuffer(sink._mapped, np.uint8).reshape(HEIGHT, WIDTH, 3)[::-1]  # type: ignore[arg-type]
        wanted = mirrored.tobytes()
        assert content(sink.file_of(mirrored)) == wanted, "it is not overwritten while it is read"


def test_where_nothing_can_be_reserved_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_CAN_RESERVE", False)
    sink = Sink()
    sink.get_ready(PIXELS.nbytes)
    assert sink.ready_bytes == 0
    with sink:
        rgb = sinks.rgb_array(Image.fromarray(PIXELS))
        before = sink.file
        assert sink.file_of(rgb) == before
        assert content(before or -1) == PIXELS.tobytes()


def test_want_of_memory_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    monkeypatch.setattr(os, "pwrite", refuse)
    sink = Sink()
    sink.get_ready(5000)
    assert sink.ready_bytes == 0
    with sink:
        with pytest.raises(MemoryError, match="No space"):
            sinks.room_for(WIDTH, HEIGHT)
        with pytest.raises(MemoryError, match="No space"):
            sink.file_of(PIXELS)
        monkeypatch.setattr(sinks, "READY_BYTES", 1000)
        with pytest.raises(MemoryError, match="No space"):
            sink.file_of(PIXELS)


def test_a_reader_that_waits_has_one_memory_ready(tmp_path: Path) -> None:
    path = str(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(path)
    pool = ReaderPool(1)
    try:
        for _ in range(3):
            answer = pool.ask("load", path, frame=0, max_pixels=10**9)
            assert answer.file is not None
            os.close(answer.file)
        pool.ask("size", path)  # answered after it got ready
        (pid,) = pool.pids()
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert sum("annotator-pixels" in link for link in links) == 1 + 1, "its descriptor, and the mapping's"
    finally:
        pool.close()
