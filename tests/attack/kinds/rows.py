"""Any value in any row of any table of a project: objects, series, proposals, windows, waivers, drafts, history."""

from __future__ import annotations

import random
import sqlite3
from contextlib import suppress
from pathlib import Path

from tests.attack import damage, victims
from tests.attack.guard import CANARIES, Guard


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Any value in any row of a project."""
    folder = victims.victim(guard.home, work)
    with guard.off():
        spoil_rows(folder / "set.annot", dice)
    victims.use(guard, folder if dice.random() < 0.5 else folder / "set.annot", dice, out=work / "out")


def spoil_rows(path: Path, dice: random.Random) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    tables = [name for (name,) in named if not name.startswith("sqlite_")]
    for _ in range(dice.choice((1, 1, 2, 4, 10))):
        table = dice.choice(tables)
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = [row[0] for row in connection.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]
        which = "" if dice.random() < 0.2 or not rows else f"WHERE rowid = {dice.choice(rows)}"
        value, column = damage.hostile_cell(dice), dice.choice(columns)
        if any(canary in str(value) for canary in CANARIES):
            continue  # a project's own texts and file names are shown and told: only images must not bring these in
        if isinstance(value, str) and dice.random() < 0.1:
            value = b"\xff\xfe" + value.encode("utf-8", "replace")[:500]
            sql = f"UPDATE {table} SET {column} = CAST(? AS TEXT) {which}"
        else:
            sql = f"UPDATE {table} SET {column} = ? {which}"
        try:
            connection.execute(sql, (value,))
        except (sqlite3.Error, OverflowError):
            continue
    how = dice.randrange(30)
    more = {
        0: "CREATE TRIGGER t AFTER INSERT ON edit BEGIN DELETE FROM annotation; END",
        1: "CREATE VIEW v AS SELECT * FROM image",
        2: "PRAGMA user_version = 1000",
        3: "PRAGMA user_version = 999999",
        4: "PRAGMA application_id = 7",
        5: "DELETE FROM meta",
        6: "DELETE FROM sequence",
        7: "DROP TABLE image_draft",
        8: "ALTER TABLE image ADD COLUMN more TEXT DEFAULT 'x'",
        9: "UPDATE annotation SET id = id + 9223372036854775000",
        10: "UPDATE sequence SET next = 9223372036854775807",
        11: "PRAGMA journal_mode = DELETE",
        12: "UPDATE image SET id = -id",
        13: "CREATE TABLE extra AS SELECT * FROM annotation",
    }
    with suppress(sqlite3.Error, OverflowError):
        connection.execute(more.get(how, "SELECT 1"))
    connection.close()
