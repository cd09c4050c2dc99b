"""A project that names a folder of its maker's choice as that of its images."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

from tests.attack import damage, victims
from tests.attack.guard import Guard


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Nobody has agreed to it: nothing of it is listed or opened."""
    folder, outside = victims.victim(guard.home, work), work / "outside"
    places = (
        *("../outside", str(outside), f"{folder}/../outside", "sub/../../outside", "link", "/etc", "/", "~", "$HOME"),
        *(str(outside) + "/.", "//host/share", "\\\\host\\share", "../outside\0", *damage.PATHS),
    )
    with guard.off():
        os.symlink(outside, folder / "link")
        connection = sqlite3.connect(folder / "set.annot", isolation_level=None)
        connection.execute("DELETE FROM meta WHERE k IN ('image_root', 'image_root_absolute')")
        for key in ("image_root", "image_root_absolute"):
            if dice.random() < 0.8:
                place = dice.choice(places).encode("utf-8", "replace").decode()
                connection.execute("INSERT INTO meta(k, v) VALUES (?, ?)", (key, place))
        if dice.random() < 0.3:
            connection.execute("UPDATE image SET path = ? WHERE id = 1", ("secret.png",))
        connection.close()
    victims.use(guard, folder / "set.annot", dice, out=work / "out")
