"""Videos with a variable frame rate: Matroska files of OpenCV whose blocks get other times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.unit.io.test_video import write_video

_OPEN = {0x18538067, 0x1F43B675, 0xA0}
"""Segment, cluster, group of blocks: what is in them is looked through."""
_BLOCKS = {0xA1, 0xA3}


def write_uneven_video(path: Path, times_ms: Sequence[int]) -> Path:
    """A frame at each of these times (below 32 s), with its number in its pixels."""
    write_video(path, "mp4v", len(times_ms))
    data = bytearray(path.read_bytes())
    places = list(_blocks(data, 0, len(data)))
    assert len(places) == len(times_ms), "one cluster, a block a frame"
    for place, time in zip(places, times_ms, strict=True):
        data[place : place + 2] = time.to_bytes(2, "big", signed=True)
    path.write_bytes(data)
    return path


def _blocks(data: bytes | bytearray, at: int, end: int) -> Iterator[int]:
    """Where the times of blocks stand."""
    while at < end:
        kind, at = _number(data, at, keeps_mark=True)
        size, at = _number(data, at, keeps_mark=False)
        if kind in _OPEN:
            yield from _blocks(data, at, min(end, at + size))
        elif kind in _BLOCKS:
            yield at + 1
        at += size


def _number(data: bytes | bytearray, at: int, *, keeps_mark: bool) -> tuple[int, int]:
    """A number of EBML, and where it ends."""
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big")
    return (value if keeps_mark else value & ((1 << (7 * length)) - 1)), at + length
