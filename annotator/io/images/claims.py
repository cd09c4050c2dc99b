"""What a file's head claims, against what the file can hold and what may be taken for it: asked before decoding."""

from __future__ import annotations

from typing import Any, BinaryIO

from PIL import Image

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.reader import COPY_AGAIN

# Bytes of a picture that a file's byte can stand for, at the most that the compression allows: runs of DEFLATE are 258
# bytes for two bits, LZW's codes of 12 bits stand for 4096 bytes, PCX and PackBits count runs in a byte.
_MOST_BYTES_PER_BYTE = {"PNG": 1032, "GIF": 2731, "PCX": 63}
_PLAIN = ("BMP", "DIB", "PPM")
_PICTURE_COPIES = {"RGB": 10, "L": 7, "1": 7, "P": 10, "I;16": 14, "I": 24, "F": 24}
_OTHER_COPIES = 17
_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def ask_for(name: str, width: int, height: int, bytes_per_pixel: float) -> None:
    """Ask for the memory of a picture.

    Raises:
        ImageError: it is more than the limit; the message has name, need and limit.
    """
    budget.ask(name, round(width * height * bytes_per_pixel), error=ImageError)


def deep_bytes(head: bytes, *, is_reduced: bool) -> int:
    """Bytes a pixel of a picture of 16 bits a channel: in the decoder's order and in ours, and what is shown."""
    channels = _PNG_CHANNELS.get(head[25], 4) if head.startswith(b"\x89PNG") and len(head) > 25 else 4
    return 4 * channels if is_reduced else 5 * channels + 8


def check_picture(image: Image.Image, name: str, stream: BinaryIO, *, is_reduced: bool = False) -> None:
    """Before Pillow decodes: the file is long enough for what its head claims, and there is memory for it.

    Args:
        is_reduced: a thumbnail: only Pillow's own picture is made in full.

    Raises:
        ImageError
    """
    width, height = image.size
    place = stream.tell()
    length = stream.seek(0, 2)
    stream.seek(place)
    tiles: list[tuple[Any, ...]] = getattr(image, "tile", [])
    is_plain = image.format in _PLAIN and bool(tiles) and all(tile[0] == "raw" for tile in tiles)
    ratio = 1 if is_plain else _MOST_BYTES_PER_BYTE.get(image.format or "")
    bits = 1 if image.format != "GIF" and (image.mode in ("1", "P") or image.format in ("PNG", "PCX")) else 8
    if ratio is not None and width * height * bits > 8 * length * ratio:
        raise ImageError(
            f"{brief(name)} is cut off or damaged: {length:,} bytes cannot hold {width} x {height} pixels.", COPY_AGAIN
        )
    full = _PICTURE_COPIES.get(image.mode, _OTHER_COPIES)
    ask_for(name, width, height, min(full, 5) if is_reduced else full)
