"""A damaged YOLO data set into a sound project."""

from __future__ import annotations

import random
from pathlib import Path

from tests.attack import damage
from tests.attack.guard import Guard
from tests.attack.kinds.importing import import_files


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """A damaged YOLO data set into a sound project."""
    lines = ["0 0.1 0.1 0.4 0.1 0.4 0.4 0.1 0.4", "1 0.5 0.5 0.2 0.2", "7 0 0 1 0 1 1"]
    lines = [_spoiled_line(line, dice) for line in lines * dice.choice((1, 1, 50))]
    place = dice.choice((".", "../outside", str(work / "outside"), "//host/share", *damage.PATHS[:12]))
    bomb = "".join(f"n{n}: &n{n} [{', '.join([f'*n{n - 1}' if n else 'x'] * 10)}]\n" for n in range(9))
    yaml = (
        f"path: {place!r}\ntrain: {dice.choice((place, 'images', 'images/train'))!r}\nnames: [cell, {damage.HTML!r}]\n"
    )
    if dice.random() < 0.3:
        yaml = bomb + dice.choice(("names: *n8\n", "names: [*n8, *n8]\n", "names: {0: *n8}\n"))
    if dice.random() < 0.4:
        yaml = damage.damaged_bytes(yaml.encode(), dice).decode("utf-8", "replace")
    files = {"data.yaml": yaml.encode("utf-8", "replace"), "labels/1.txt": "\n".join(lines).encode("utf-8", "replace")}
    import_files(guard, dice, work, "yolo", files, "data.yaml")


def _spoiled_line(line: str, dice: random.Random) -> str:
    parts = line.split()
    for _ in range(dice.choice((0, 0, 1, 2))):
        parts[dice.randrange(len(parts))] = str(dice.choice((*damage.NUMBERS, *damage.TEXTS[:6], "1e400", "0x10")))
    return " ".join(parts)
