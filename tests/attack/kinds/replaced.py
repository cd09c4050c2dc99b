"""Another file in the place of one that is open: nothing may get into it, and no work be lost."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from pathlib import Path

from annotator.domain.project import accept_edit
from annotator.io.project.store import ProjectStore
from tests.attack import damage, victims
from tests.attack.guard import Guard
from tests.unit.io.builders import annotation, disc


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Another file in the place of one that is open: nothing may get into it, and no work be lost."""
    folder, other = victims.victim(guard.home, work), work / "other.annot"
    project = folder / "set.annot"
    with guard.off():
        shutil.copy(project, other)
        with ProjectStore.open(other) as theirs:  # as the program at another desk has left it
            theirs.meta_set("image_root", ".")
            theirs.apply(theirs.category_edit("theirs" + "x" * dice.choice((0, 20_000, 300_000))))
        if dice.random() < 0.3:
            other.write_bytes(damage.damaged_bytes(other.read_bytes(), dice))
    store = guard.step("open", lambda: ProjectStore.open(project))
    if store is None:
        return
    done = [_work(guard, store, dice) for _ in range(dice.randint(0, 3))]
    with guard.off():
        foreign = _take_the_place(project, other, dice)
        before = _state(project)
    done += [_work(guard, store, dice) for _ in range(dice.randint(0, 3))]
    guard.step("look", store.held.state)
    guard.step("undo", store.undo)
    guard.step("place", lambda: store.meta_set("position", "2"))
    guard.step("close", store.close)
    with guard.off():
        if foreign and _state(project) != before:
            guard.find(f"a foreign file was changed ({foreign})")
        if foreign and any(done) and len(list(folder.glob("*annot*"))) < 2:
            guard.find(f"work was lost ({foreign}): {sorted(path.name for path in folder.iterdir())}")
    victims.use(guard, project, dice, out=work / "out")


def _work(guard: Guard, store: ProjectStore, dice: random.Random) -> bool:
    def add() -> bool:
        mask = disc(dice.uniform(5, 60), dice.uniform(5, 40), dice.uniform(2, 12))
        store.apply(accept_edit(annotation(store, 1, mask, category_id=1), store.image(1)))
        return True

    return bool(guard.step("accept", add))


def _take_the_place(project: Path, other: Path, dice: random.Random) -> str:
    """How it was done; empty where it still is the program's own file."""
    how = dice.choice(("rename", "copy", "empty", "cut", "append", "touch", "journal", "link", "delete"))
    if how == "rename":
        os.replace(other, project)
    elif how == "copy":
        project.write_bytes(other.read_bytes())
    elif how == "empty":
        project.write_bytes(b"")
    elif how == "cut":
        os.truncate(project, project.stat().st_size // 2)
    elif how == "append":
        with project.open("ab") as stream:
            stream.write(dice.randbytes(5000))
        return ""
    elif how == "touch":
        os.utime(project)
        return ""
    elif how == "journal":
        journal = project.with_name(f"{project.name}-wal")
        if journal.exists():
            journal.write_bytes(damage.damaged_bytes(journal.read_bytes() or bytes(64), dice))
        return ""
    elif how == "link":
        os.link(project, project.with_name("twin.annot"))
        return ""
    else:
        project.unlink()
        return ""
    return how


def _state(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
