"""The kinds of attack. Each makes its files, lets the program at them, and looks at what came of it."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain.mask import Mask
from annotator.domain.project import accept_edit
from annotator.io.formats.registry import import_formats, importer
from annotator.io.images.reading import load_image, load_thumbnail, read_size
from annotator.io.project.soundness import mask_problem
from annotator.io.project.store import ProjectStore
from annotator.io.settings import SETTINGS, Settings
from tests import fuzz_images
from tests.attack import damage, victims
from tests.attack.guard import CANARIES, Guard
from tests.unit.io.builders import annotation, disc

Kind = Callable[[Guard, random.Random, Path], None]


def rows(guard: Guard, dice: random.Random, work: Path) -> None:
    """Any value in any row of a project."""
    folder = victims.victim(guard.home, work)
    with guard.off():
        spoil_rows(folder / "set.annot", dice)
    victims.use(guard, folder if dice.random() < 0.5 else folder / "set.annot", dice, out=work / "out")


def spoil_rows(path: Path, dice: random.Random) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    tables = ("image", "category", "annotation", "edit", "sequence", "meta", "image_draft")
    for _ in range(dice.choice((1, 1, 2, 4, 10))):
        table = dice.choice(tables)
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        which = "" if dice.random() < 0.2 else f"WHERE rowid IN (SELECT rowid FROM {table} ORDER BY random() LIMIT 1)"
        value, column = damage.hostile_cell(dice), dice.choice(columns)
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


def pages(guard: Guard, dice: random.Random, work: Path) -> None:
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


def replaced(guard: Guard, dice: random.Random, work: Path) -> None:
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


# --- imports --------------------------------------------------------------------------------------------------------


def coco(guard: Guard, dice: random.Random, work: Path) -> None:
    """A damaged COCO file into a sound project, which stays sound."""
    document = damage.damaged_document(_coco(dice), dice)
    _import(guard, dice, work, "coco", {"in.json": damage.as_json(document, dice)}, "in.json")


def _coco(dice: random.Random) -> dict[str, Any]:
    counts = disc(20, 20, 8).rle().decode()
    return {
        "info": {"description": damage.HTML},
        "licenses": [{"id": 1, "name": "x", "url": "http://host.invalid/"}],
        "images": [
            {"id": 1, "file_name": "1.png", "width": 64, "height": 48, "license": 1, "date_captured": "x"},
            {"id": 2, "file_name": "sub/1.png", "width": 64, "height": 48},
            {"id": 3, "file_name": dice.choice(damage.PATHS), "width": 64, "height": 48},
        ],
        "categories": [{"id": 1, "name": "cell", "supercategory": "x"}, {"id": 2, "name": damage.HTML}],
        "annotations": [
            {
                **{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 9, 9], "area": 81, "iscrowd": 0},
                "segmentation": [[10, 10, 19, 10, 19, 19, 10, 19]],
            },
            {
                **{"id": 2, "image_id": 2, "category_id": 2, "bbox": [12, 12, 16, 16], "area": 200, "iscrowd": 0},
                "segmentation": {"size": [48, 64], "counts": counts},
                "attributes": {"a": [1, {"b": None}], "score": 0.5},
            },
            {
                **{"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 1},
                "segmentation": {"size": [48, 64], "counts": [100, 20, 28, 20, 48 * 64 - 168]},
                "score": 0.7,
            },
        ],
    }


def yolo(guard: Guard, dice: random.Random, work: Path) -> None:
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
    _import(guard, dice, work, "yolo", files, "data.yaml")


def _spoiled_line(line: str, dice: random.Random) -> str:
    parts = line.split()
    for _ in range(dice.choice((0, 0, 1, 2))):
        parts[dice.randrange(len(parts))] = str(dice.choice((*damage.NUMBERS, *damage.TEXTS[:6], "1e400", "0x10")))
    return " ".join(parts)


def _import(guard: Guard, dice: random.Random, work: Path, format_id: str, files: dict[str, bytes], named: str) -> None:
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
            guard.step("mask", lambda row=row: mask_problem(row) or row.mask())
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


# --- images ---------------------------------------------------------------------------------------------------------


def dicom(guard: Guard, dice: random.Random, work: Path) -> None:
    """DICOM files whose elements swallow their neighbours: nothing of the patient gets any further."""
    folder = victims.victim(guard.home, work)
    with guard.off():
        for path in folder.rglob("*.png"):
            path.unlink()
        for number in range(2):
            (folder / f"{number}.dcm").write_bytes(_patient_file(dice))
    victims.use(guard, folder, dice, out=work / "out")
    with guard.off():
        for path in folder.glob("*.dcm"):
            path.unlink()
        guard.check_files(work)


def _patient_file(dice: random.Random) -> bytes:
    import io

    import pydicom

    base = dice.choice(fuzz_images.FORMATS["dicom"]())
    made = pydicom.dcmread(io.BytesIO(base))
    made.PatientName, made.PatientID, made.PatientBirthDate = CANARIES
    made.Modality, made.StudyInstanceUID, made.SOPInstanceUID = "CT", "1.2.3.4", "1.2.3.4.5"
    made.PixelSpacing, made.AccessionNumber, made.InstitutionName = [0.5, 0.5], CANARIES[1], CANARIES[0]
    made.StudyDescription = CANARIES[0]
    out = io.BytesIO()
    made.save_as(out)
    data = bytearray(out.getvalue())
    signs = [
        b"CS\x02\x00CT",
        b"UI\x08\x00",
        b"UI",
        b"PN",
        b"LO",
        b"DS",
        b"CS",
        b"SH",
        b"DA",
        b"US\x02\x00",
        b"OB",
        b"OW",
    ]
    for _ in range(dice.randint(1, 3)):
        at = data.find(dice.choice(signs), dice.choice((132, 200, 300, 500)))
        if at < 0:
            continue
        how = dice.randrange(4)
        if how <= 1:  # a length that swallows what follows
            length = dice.choice((0, 1, 4, 20, 40, 60, 100, 200, 1000, 0xFFFF, dice.randrange(300)))
            data[at + 2 : at + 4] = length.to_bytes(2, "little")
        elif how == 2:
            data[at : at + 2] = dice.choice((b"UN", b"SQ", b"CS", b"UI", b"LT", b"DS", b"IS", b"OB", b"UT", b"\0\0"))
        else:
            data[at - 4 : at] = dice.choice((b"\x08\0\x60\0", b"\x08\0\x18\0", b"\x28\0\x30\0", b"\x20\0\x0d\0"))
    return bytes(data) if dice.random() < 0.8 else damage.damaged_bytes(bytes(data), dice)


def images(guard: Guard, dice: random.Random, work: Path) -> None:
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


_SUFFIXES = (".png", ".tif", ".dcm", ".jpg", ".ppm", ".gif", ".bmp", ".webp", ".jp2")


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


def bombs(guard: Guard, dice: random.Random, work: Path) -> None:
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


# --- the person's own files -----------------------------------------------------------------------------------------


def settings(guard: Guard, dice: random.Random, work: Path) -> None:
    """A settings file of any content: the program starts, and every value can be used."""
    path = work / "settings.toml"
    lines = []
    for setting in dice.sample(SETTINGS, dice.randint(1, len(SETTINGS))):
        lines.append(f"{setting.key} = {_toml(damage.any_value(dice), dice)}")
    data = "\n".join(lines).encode("utf-8", "replace")
    with guard.off():
        path.write_bytes(damage.damaged_bytes(data, dice) if dice.random() < 0.4 else data)
    found = guard.step("settings", lambda: Settings.load(path))
    if found is None:
        guard.find("no settings")
        return
    for setting in SETTINGS:
        value = found.get(setting.key)
        low, high = setting.minimum, setting.maximum
        if type(value) is not type(setting.default):
            guard.find(f"{setting.key} is {value!r:.80}")
        elif low is not None and high is not None and not low <= value <= high:
            guard.find(f"{setting.key} is {value!r}")
    guard.step("save", lambda: found.set("author", "me"))
    guard.step("folder", lambda: found.remember_folder(str(work)))
    if guard.step("settings again", lambda: Settings.load(path)) is None:
        guard.find("no settings after they were saved")


def _toml(value: Any, dice: random.Random, depth: int = 0) -> str:
    if depth > 200:
        return "[]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return dice.choice((str(value), "inf", "-inf", "nan", "1e400", "9" * 400))
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item, dice, depth + 1) for item in value[:2000]) + "]"
    return dice.choice(("{}", "1979-05-27", "[[[[]]]]", "{a = {b = {c = 1}}}"))
