"""What a batch asks: boxes of a detector or of a COCO file, points of a table. By image, as the file has them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotator.commands.batch.work_list import WorkItem
from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt

OBJECT = {1: "object"}
"""The class of what has none."""


@dataclass(frozen=True, slots=True)
class Question:
    """One object that is asked for.

    Attributes:
        box, points: in pixels of the image as shown.
        category_id: of :attr:`PromptFile.categories`.
        score: the detector's own, or None.
        rle: compressed run lengths of a mask to refine, of an image of ``size_wh``; empty for none.
    """

    box: Box | None = None
    points: tuple[PointPrompt, ...] = ()
    category_id: int = 1
    score: float | None = None
    rle: bytes = b""
    size_wh: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class PromptFile:
    """What a file asks.

    Attributes:
        by_name: of images named as in the file; by_id: of images that are known by their COCO id alone.
        categories: names by id.
        skipped: how many rows had nothing that could be asked.
        sha256: of the file.
    """

    by_name: dict[str, list[Question]] = field(default_factory=dict)
    by_id: dict[int, list[Question]] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=lambda: dict(OBJECT))
    skipped: int = 0
    sha256: str = ""

    def matched(self, items: Iterable[WorkItem]) -> tuple[dict[str, list[Question]], int]:
        """By :attr:`WorkItem.key`, and how many images of the file are not in the batch. An image is found by its
        name, else by the last part of the name where that is unique on both sides; frames other than the first by
        ``name#frame``.

        Raises:
            PromptError: no image of the file is in the batch.
        """
        listed = list(items)
        found = {item.key: self.by_id[item.image_id] for item in listed if item.image_id in self.by_id}
        keys = {item.key for item in listed}
        last = _unique_last(keys)
        last_here = _unique_last(self.by_name)
        for name, questions in self.by_name.items():
            short = name.rpartition("/")[2]
            key = name if name in keys else last.get(short) if last_here.get(short) == name else None
            if key is not None:
                found[key] = questions
        wanted = len(self.by_id) + len(self.by_name)
        if wanted and not found:
            first = next(iter(self.by_name), None) or f"image_id {next(iter(self.by_id))}"
            raise PromptError(
                f"No prompt is for an image of this batch; the first is for {brief(first)}.", "Check the names."
            )
        return found, wanted - len(found)


def read_boxes(path: Path, *, has_coco_ids: bool = False) -> PromptFile:
    """Boxes of a COCO data set, of COCO results (a detector's list) or of a CSV table with the columns image, x1, y1,
    x2, y2 and, if wanted, score and class.

    Args:
        has_coco_ids: whether ``image_id`` of COCO results can be understood: the images come from one COCO file.

    Raises:
        ImportFormatError: it cannot be read, or is something else.
    """
    data = _bytes_of(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if path.suffix.lower() == ".csv":
        return _boxes_of_table(path, data, sha256)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
        if not has_coco_ids:
            raise ImportFormatError(
                f"{brief(path.name)} are COCO results, which name images by their id.",
                "Name the COCO file as the source.",
            )
        return _boxes_of_results(path, data, sha256)
    return _boxes_of_coco(path, sha256)


def read_points(path: Path) -> PromptFile:
    """Points of a CSV table with the columns image, x, y and, if wanted, label (1 on the object, 0 not), object and
    class. Rows of an image with the same ``object`` are one object; without that column every row is one.

    Raises:
        ImportFormatError: it cannot be read, or is something else.
    """
    data = _bytes_of(path)
    classes = _Classes()
    by_name: dict[str, list[Question]] = {}
    groups: dict[tuple[str, str], int] = {}
    for line, row in _table(path, data, ("image", "x", "y")):
        name, label = _name(row), (row.get("label") or "1").strip()
        if label not in ("0", "1"):
            raise ImportFormatError(f"{brief(path.name)}, line {line}: the label {label[:20]!r} is neither 0 nor 1.")
        x, y = (_number(path, line, row, column) for column in ("x", "y"))
        point = PointPrompt(x, y, label == "1")
        category = classes.number(row.get("class"))
        own = by_name.setdefault(name, [])
        group = (row.get("object") or "").strip()
        at = groups.get((name, group)) if group else None
        if at is None:
            groups[name, group] = len(own)
            own.append(Question(points=(point,), category_id=category))
        else:
            own[at] = Question(points=(*own[at].points, point), category_id=own[at].category_id)
    return PromptFile(by_name, categories=classes.names, sha256=hashlib.sha256(data).hexdigest())


class _Classes:
    """Numbers for names, in the order of the file."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str | None) -> int:
        return self._numbers.setdefault((name or "").strip() or OBJECT[1], len(self._numbers) + 1)

    @property
    def names(self) -> dict[int, str]:
        return {number: name for name, number in self._numbers.items()} or dict(OBJECT)


def _boxes_of_table(path: Path, data: bytes, sha256: str) -> PromptFile:
    classes = _Classes()
    by_name: dict[str, list[Question]] = {}
    for line, row in _table(path, data, ("image", "x1", "y1", "x2", "y2")):
        x1, y1, x2, y2 = (_number(path, line, row, column) for column in ("x1", "y1", "x2", "y2"))
        score = _number(path, line, row, "score") if (row.get("score") or "").strip() else None
        question = Question(Box(x1, y1, x2, y2), category_id=classes.number(row.get("class")), score=score)
        by_name.setdefault(_name(row), []).append(question)
    return PromptFile(by_name, categories=classes.names, sha256=sha256)


def _boxes_of_coco(path: Path, sha256: str) -> PromptFile:
    from annotator.io.formats.coco.parse import whole_number
    from annotator.io.formats.coco.stream import read_coco

    file = read_coco(path)
    names = {whole_number(row.get("id")): row.get("file_name") for row in file.images if isinstance(row, dict)}
    by_id, skipped = _by_id(file.annotations)
    by_name: dict[str, list[Question]] = {}
    for number, questions in by_id.items():
        name = names.get(number)
        if isinstance(name, str):
            by_name[name.replace("\\", "/")] = questions
        else:
            skipped += len(questions)
    rows = [row for row in file.categories if isinstance(row, dict)]
    classes = {whole_number(row.get("id")): str(row.get("name", "")) for row in rows}
    used = {question.category_id for questions in by_name.values() for question in questions}
    categories = {number: name for number, name in classes.items() if number is not None}
    return PromptFile(by_name, categories=complete_names(categories, used), skipped=skipped, sha256=sha256)


def _boxes_of_results(path: Path, data: bytes, sha256: str) -> PromptFile:
    try:
        rows = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ImportFormatError(f"{brief(path.name)} is not JSON ({str(error)[:120]}).", "Is it complete?") from error
    by_id, skipped = _by_id(rows)
    used = {question.category_id for questions in by_id.values() for question in questions}
    return PromptFile(by_id=by_id, categories=complete_names({}, used), skipped=skipped, sha256=sha256)


def complete_names(names: Mapping[int, str], used: set[int]) -> dict[int, str]:
    """A name for every class that is used."""
    return {**dict(names), **{number: f"class {number}" for number in sorted(used - set(names))}} or dict(OBJECT)


def _by_id(rows: Iterable[Any]) -> tuple[dict[int, list[Question]], int]:
    from annotator.io.formats.coco.parse import whole_number

    found: dict[int, list[Question]] = {}
    skipped = 0
    for row in rows:
        values = row.get("bbox") if isinstance(row, dict) else None
        image_id = whole_number(row.get("image_id")) if isinstance(row, dict) else None
        if image_id is None or not isinstance(values, list) or len(values) != 4 or not _are_numbers(values):
            skipped += 1
            continue
        x, y, width, height = map(float, values)
        score = float(row["score"]) if _are_numbers([row.get("score")]) else None
        box = Box(x, y, x + width, y + height)
        category = whole_number(row.get("category_id"))
        question = Question(box, category_id=1 if category is None else category, score=score)
        found.setdefault(image_id, []).append(question)
    return found, skipped


def _are_numbers(values: list[Any]) -> bool:
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in values
    )


def _table(path: Path, data: bytes, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with the number of their line."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{brief(path.name)} is not UTF-8 text.", "Save the table as CSV, UTF-8.") from error
    reader = csv.DictReader(lines, skipinitialspace=True)
    try:
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise ImportFormatError(
                f"{brief(path.name)} has no column {brief(missing[0])!r}.",
                f"Its first line has to name {', '.join(columns)}.",
            )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ImportFormatError(
            f"{brief(path.name)}, line {reader.line_num}: {error}.", "Save it as CSV again."
        ) from error


def _name(row: dict[str, str]) -> str:
    return (row.get("image") or "").strip().replace("\\", "/")


def _number(path: Path, line: int, row: dict[str, str], column: str) -> float:
    text = (row.get(column) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ImportFormatError(f"{brief(path.name)}, line {line}: {brief(column)} is {text[:20]!r} and not a number.")
    return value


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImportFormatError(f"{brief(path)} cannot be read ({error.strerror}).", "Check the name.") from error


def _unique_last(names: Iterable[str]) -> dict[str, str]:
    """Names by their last part, where only one has it."""
    found: dict[str, str | None] = {}
    for name in names:
        short = name.rpartition("/")[2]
        found[short] = None if short in found else name
    return {short: name for short, name in found.items() if name is not None}
