"""Damaged bytes of a project file or of its journal."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from tests.attack import damage, victims
from tests.attack.guard import Guard


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Damaged bytes of a project file or of its journal."""
    folder = victims.victim(guard.home, work)
    project = folder / "set.annot"
    with guard.off():
        if dice.random() < 0.4:
            _leave_journal(project, dice)
        victims_of = [path for path in (project, project.with_name("set.annot-wal")) if path.exists()]
        path = dice.choice(victims_of)
        path.write_bytes(damage.damaged_bytes(path.read_bytes(), dice))
    victims.use(guard, project, dice, out=work / "out")


def _leave_journal(project: Path, dice: random.Random) -> None:
    """As after a crash: the last changes are in the journal alone."""
    connection = sqlite3.connect(project, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    for number in range(dice.randint(1, 5)):
        connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES (?, ?)", (f"k{number}", "v" * 3000))
    sides = [project, *(project.with_name(f"set.annot-{end}") for end in ("wal", "shm"))]
    kept = [(path, path.read_bytes()) for path in sides]
    connection.close()
    for path, data in kept:
        path.write_bytes(data)
