"""Whether a video file ends before its own container does: by the lengths that the outermost boxes give."""

from __future__ import annotations

import os
from typing import BinaryIO

_MOST_BOXES = 10_000
"""No file of a camera or a program has as many; a hostile one is not followed further."""
_SEGMENT = b"\x18\x53\x80\x67"
_EBML = b"\x1a\x45\xdf\xa3"


def is_cut_off(stream: BinaryIO) -> bool:
    """Whether a box at the outermost level reaches beyond the end of the file. False where no length is given: of a
    stream that was written without knowing its end, and of MPEG program streams.

    AVI and its extension to several RIFF lists (OpenDML 1.02); boxes of ISO/IEC 14496-12; EBML elements (RFC 8794).
    """
    length = os.fstat(stream.fileno()).st_size
    stream.seek(0)
    head = stream.read(4)
    ends = _riff_ends if head == b"RIFF" else _ebml_ends if head == _EBML else _atom_ends
    at = 0
    for _ in range(_MOST_BOXES):
        if at >= length:
            break
        stream.seek(at)
        end = ends(stream, at)
        if end is None:
            return False
        if end > length:
            return True
        at = end
    return False


def _riff_ends(stream: BinaryIO, at: int) -> int | None:
    """Where the list ends that begins here; ``None``: nothing follows of which that is known."""
    head = stream.read(8)
    size = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or size in (0, 0xFFFFFFFF):
        return None
    return at + 8 + size


def _atom_ends(stream: BinaryIO, at: int) -> int | None:
    head = stream.read(16)
    size = int.from_bytes(head[:4], "big")
    if len(head) < 8 or not head[4:8].isalnum():
        return None
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return at + size if size >= 8 else None  # 0: to the end of the file


def _ebml_ends(stream: BinaryIO, at: int) -> int | None:
    head = stream.read(12)
    if head[:4] not in (_EBML, _SEGMENT) or len(head) < 5 or not head[4]:
        return None
    wide = 9 - head[4].bit_length()
    mask = (1 << 7 * wide) - 1
    size = int.from_bytes(head[4 : 4 + wide], "big") & mask
    return None if size == mask else at + 4 + wide + size
