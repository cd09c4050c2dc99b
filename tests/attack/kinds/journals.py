"""Damaged journals of a batch: what cannot be used is asked for again, and nothing ends the program."""

from __future__ import annotations

import json
import random
from pathlib import Path

from annotator.commands.batch.journal import Journal, open_journal, read_journal
from tests.attack import damage
from tests.attack.guard import Guard

ABOUT = {"model": "nano", "way": "everything"}


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Any bytes, and lines of any JSON."""
    path = work / "journal.jsonl"
    with guard.off():
        rows: list[object] = [{"key": f"{n}.png", "stamp": [n, n], "objects": []} for n in range(4)]
        for _ in range(dice.choice((0, 1, 3))):
            rows[dice.randrange(4)] = dice.choice(
                (
                    damage.any_value(dice),
                    {"key": damage.any_value(dice), "stamp": damage.any_value(dice)},
                    {"key": "1.png", "stamp": damage.any_value(dice), "error": damage.any_value(dice)},
                )
            )
        head = {"batch": damage.any_value(dice) if dice.random() < 0.2 else 1, "about": ABOUT}
        text = "".join(f"{_line(row)}\n" for row in [head, *rows]) + dice.choice(
            ("", "[" * 200_000 + "\n", '{"key": "cut')
        )
        data = text.encode("utf-8", "replace")
        path.write_bytes(damage.damaged_bytes(data, dice) if dice.random() < 0.5 else data)

    def read() -> None:
        with read_journal(path) as journal:
            _use(journal)

    def write() -> None:
        with open_journal(path, ABOUT) as journal:
            _use(journal)
            journal.add({"key": "new.png", "stamp": [1, 2], "objects": []})

    guard.step("read", read)
    guard.step("write", write)
    guard.step("read again", read)


def _line(row: object) -> str:
    try:
        return json.dumps(row)
    except (ValueError, TypeError, RecursionError):
        return "{}"


def _use(journal: Journal) -> None:
    for key in list(journal):
        journal.stamp(key)
        journal.has_failed(key)
        journal.row(key)
