"""What the kinds that import have in common."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from annotator.io.formats.registry import import_formats, importer
from annotator.io.project.store import ProjectStore
from tests.attack import victims
from tests.attack.guard import Guard


def import_files(
    guard: Guard, dice: random.Random, work: Path, format_id: str, files: dict[str, bytes], named: str
) -> None:
    folder, given = victims.victim(guard.home, work), work / "given"
    with guard.off():
        for name, data in files.items():
            (given / name).parent.mkdir(parents=True, exist_ok=True)
            (given / name).write_bytes(data)
    (spec,) = (spec for spec in import_formats() if spec.id == format_id)
    with ProjectStore.open(folder / "set.annot") as store:
        for _ in range(2):
            report = guard.step("import", lambda: importer(spec)(store, given / named, progress=None))
            if report is not None:
                for line in guard.step("report", report.lines) or []:
                    if len(line) > 2000:
                        guard.find(f"a line of {len(line)} characters in the report: {line[:80]!r}")
        for row in guard.step("objects", lambda: list(store.all_annotations())) or []:
            guard.step("mask", partial(victims.read_mask, row))
        if store.damage:
            guard.find(f"the import damaged the project: {next(iter(store.damage.values()))}"[:300])
        victims.export_all(guard, store, work / "out", dice)
        if dice.random() < 0.5:
            guard.step("undo", store.undo)
    with guard.off():
        for name, data in files.items():
            if (given / name).read_bytes() != data:
                guard.find(f"the import changed {name}")
    victims.use(guard, folder / "set.annot", dice, out=work / "out")
