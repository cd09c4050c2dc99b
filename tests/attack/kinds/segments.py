"""Damaged segmentations (label maps, DICOM-SEG, RTSTRUCT) into a sound project of a series."""

from __future__ import annotations

import gzip
import random
import shutil
import zlib
from functools import cache, partial
from pathlib import Path

import numpy as np

from annotator.io.formats.registry import exporter, formats, importer
from annotator.io.project.opened import open_project
from annotator.io.project.store import ProjectStore
from tests import fuzz_images
from tests.attack import damage, victims
from tests.attack.guard import Guard
from tests.unit.io.volume_builders import work as label_series
from tests.unit.io.volume_builders import write_series

_FORMATS = ("nifti", "nrrd", "dicom-seg", "rtstruct")


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """A segmentation of the series, with damage in its head and numbers."""
    with guard.off():
        series, made = _model(guard.home / "segments")
        folder = work / "set"
        shutil.copytree(series, folder)
        format_id, name, data = dice.choice(made)
        file = work / "given" / name
        file.parent.mkdir()
        file.write_bytes(_damaged(data, name, dice))
    opened = guard.step("open", lambda: open_project(folder))
    if opened is None:
        guard.find("the series itself cannot be opened")
        return
    store = opened.store
    try:
        spec = next(spec for spec in formats() if spec.id == format_id)
        report = guard.step("import", lambda: importer(spec)(store, file, progress=None))
        for line in (guard.step("report", report.lines) or []) if report is not None else []:
            if len(line) > 2000:
                guard.find(f"a line of {len(line)} characters in the report: {line[:80]!r}")
        for row in guard.step("objects", lambda: list(store.all_annotations())) or []:
            guard.step("mask", partial(victims.read_mask, row))
        if store.damage:
            guard.find(f"the import damaged the project: {next(iter(store.damage.values()))}"[:300])
        if dice.random() < 0.2:
            victims.export_all(guard, store, work / "out", dice)
    finally:
        guard.step("close", store.close)


@cache
def _model(home: Path) -> tuple[Path, list[tuple[str, str, bytes]]]:
    """A series without objects, and files of the objects that another project of it has."""
    shutil.rmtree(home, ignore_errors=True)
    for place in ("plain", "labelled"):
        write_series(home / place / "ct", count=5)
    found: list[tuple[str, str, bytes]] = []
    with ProjectStore.open_folder(home / "labelled") as store:
        label_series(store)
        for spec in formats():
            if spec.id not in _FORMATS:
                continue
            out = home / spec.id
            names = [option.name for option in spec.options]
            wish = spec.checked_options({"identifiers": "uids"} if "identifiers" in names else {})
            try:
                exporter(spec)(store, out, include_unfinished=True, all_images=False, progress=None, **wish)
            except Exception as error:  # the extra is not installed
                if "install" not in str(error):
                    raise
                continue
            files = [path for path in sorted(out.rglob("*")) if path.suffix in (".gz", ".nii", ".nrrd", ".dcm")]
            found += [(spec.id, path.name, path.read_bytes()) for path in files[:1]]
    return home / "plain", found


def _damaged(data: bytes, name: str, dice: random.Random) -> bytes:
    """Also below what packs it."""
    if name.endswith(".gz") and dice.random() < 0.7:
        return gzip.compress(damage.damaged_bytes(gzip.decompress(data), dice), 1)
    if name.endswith(".nrrd") and dice.random() < 0.7:
        head, mark, packed = data.partition(b"\n\n")
        if dice.random() < 0.5:
            return _spoiled_head(head, dice) + mark + packed
        try:
            return head + mark + gzip.compress(damage.damaged_bytes(gzip.decompress(packed), dice), 1)
        except (OSError, EOFError, zlib.error):
            pass
    if name.endswith(".dcm") and dice.random() < 0.5:
        return fuzz_images.damaged([data], np.random.default_rng(dice.getrandbits(32)))
    return damage.damaged_bytes(data, dice)


def _spoiled_head(head: bytes, dice: random.Random) -> bytes:
    lines = head.split(b"\n")
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(1, len(lines))
        key, mark, _ = lines[at].partition(b":")
        value = str(dice.choice((*damage.NUMBERS, *damage.TEXTS, *damage.PATHS)))
        lines[at] = key + mark + b" " + value.encode("utf-8", "replace")[:2000]
    return b"\n".join(lines)
