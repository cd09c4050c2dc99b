"""Damaged images of every format, and heads that claim gigabytes."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import numpy as np

from annotator.io.images.reading import load_image, load_thumbnail, read_size
from tests import fuzz_images
from tests.attack.guard import Guard

_SUFFIXES = (".png", ".tif", ".dcm", ".jpg", ".ppm", ".gif", ".bmp", ".webp", ".jp2")


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Damaged images of every format, and heads that claim gigabytes."""
    name = dice.choice((*fuzz_images.FORMATS, "bomb"))
    files = [_bomb(dice)] if name == "bomb" else fuzz_images.FORMATS[name]()
    path = work / f"a{dice.choice(_SUFFIXES) if name == 'bomb' else fuzz_images.SUFFIXES.get(name, '.' + name)}"
    with guard.off():
        data = files[0] if name == "bomb" else fuzz_images.damaged(files, np.random.default_rng(dice.getrandbits(32)))
        path.write_bytes(data)
    guard.step("size", lambda: read_size(path))
    guard.step("thumbnail", lambda: load_thumbnail(path))
    guard.step("image", lambda: load_image(path))


def _bomb(dice: random.Random) -> bytes:
    side = dice.choice((20_000, 65_535, 100_000, 0x7FFFFFFF))
    how = dice.randrange(5)
    if how == 0:
        head = side.to_bytes(4, "big") * 2 + bytes([dice.choice((8, 16)), dice.choice((0, 2, 3, 6)), 0, 0, 0])
        parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(30_000_000), 9)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
            for name, body in parts
        )
    if how == 1:
        return f"P{dice.choice((4, 5, 6))} {side} {side} 255 ".encode() + bytes(1000)
    if how == 2:
        return fuzz_images.dicom("1.2.840.10008.1.2.1.99", bytes(40 * 56))[:-4] + bytes(100)
    if how == 3:
        made = bytearray(fuzz_images.tiff(np.zeros((40, 56), np.uint8), compression="zlib", photometric="minisblack"))
        for tag in (256, 257):
            at = made.find(tag.to_bytes(2, "little"))
            if at >= 0:
                made[at + 2 : at + 12] = (
                    (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + side.to_bytes(4, "little")
                )
        return bytes(made)
    return (
        b"GIF89a"
        + (65_535).to_bytes(2, "little") * 2
        + b"\x80\0\0"
        + bytes(6)
        + b","
        + bytes(4)
        + b"\xff\xff\xff\xff\0\x02"
        + b"\x02L\x01\0;" * dice.choice((1, 10_000))
    )
