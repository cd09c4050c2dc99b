"""Photographs as PNG (8 bits, three colours, nothing transparent): decoded by libpng itself, straight to where the
pixels are wanted. Pillow takes a sixth longer, and then its own form of a picture has to be copied out."""

from __future__ import annotations

from typing import BinaryIO

import imagecodecs
from PIL import Image

from annotator.io.images.deep import critical_png
from annotator.io.images.reader import RgbArray
from annotator.io.images.sink import room_for

_DEPTH_AND_KIND = b"\x08\x02"
"""Bytes 24 and 25 of the file."""


def read_plain_png(image: Image.Image, stream: BinaryIO, head: bytes) -> RgbArray | None:
    """The pixels of a PNG that Pillow has opened and not loaded, H x W x 3; None for other kinds, and for damaged ones,
    of which Pillow knows more to say."""
    is_plain = image.format == "PNG" and image.mode == "RGB" and head[24:26] == _DEPTH_AND_KIND
    if not is_plain or "transparency" in image.info or getattr(image, "n_frames", 1) != 1:
        return None
    place = stream.tell()
    stream.seek(0)
    data = critical_png(stream.read())
    stream.seek(place)
    out = room_for(image.width, image.height)
    try:
        imagecodecs.png_decode(data, out=out)
    except (imagecodecs.PngError, ValueError, RuntimeError):
        return None
    return out
