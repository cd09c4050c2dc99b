"""Masks and edits that unpack to gigabytes."""

from __future__ import annotations

import random
import sqlite3
import zlib
from pathlib import Path

import numpy as np

from annotator.domain.mask import Mask
from tests.attack import victims
from tests.attack.guard import Guard


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Masks and edits that unpack to gigabytes."""
    folder = victims.victim(guard.home, work)
    with guard.off():
        connection = sqlite3.connect(folder / "set.annot", isolation_level=None)
        side = dice.choice((10_000, 65_535, 120_000, 1 << 30))
        runs = Mask.from_full(np.zeros((2, 2), bool)).rle() if dice.random() < 0.2 else _run_lengths(side, dice)
        connection.execute(
            "UPDATE annotation SET image_width = ?, image_height = ?, rle = ?, w = ?, h = ?, area = ? WHERE id = 1",
            (side, side, runs, side, side, side * side),
        )
        if dice.random() < 0.5:
            connection.execute("UPDATE image SET width = ?, height = ? WHERE id = 1", (side, side))
        if dice.random() < 0.5:
            packed = zlib.compress(
                dice.choice((b"[", b"[],", b'["a"],', b" ")) * dice.choice((1_000_000, 60_000_000)), 1
            )
            connection.execute("UPDATE edit SET changes = ?", (packed,))
        connection.close()
    victims.use(guard, folder / "set.annot", dice, out=work / "out")


def _run_lengths(side: int, dice: random.Random) -> bytes:
    """COCO's text of a few runs that cover a square of that side."""

    def text(number: int) -> bytes:
        out = b""
        while True:
            part, number = number & 31, number >> 5
            more = number not in (0, -1) or bool(part & 16) != (number == -1)
            out += bytes([48 + part + (32 if more else 0)])
            if not more:
                return out

    whole = side * side
    cut = dice.choice((0, whole // 3, whole - 1, whole))
    return text(cut) + text(whole - cut) + (text(1) * 200_000 if dice.random() < 0.3 else b"")
