"""The CSV log of a training run: lines are added, and cut where a kill took steps back."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from annotator.files.atomic import export_errors, write_atomic


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a line; the first one of a file is preceded by the names of its columns. Columns that the file does not have
    are added to it, empty in the lines before: a run goes on with other sets to validate on.

    Raises:
        ExportError: it cannot be written.
    """
    if not path.exists():
        _write(path, [list(row)])
    with export_errors(path), path.open(newline="", encoding="utf-8") as file:
        names = next(csv.reader(file), [])
    more = [name for name in row if name not in names]
    if more:
        _widen(path, more)
    cells = [f"{value:.5g}" if isinstance(value, float) else value for value in row.values()]
    by_name = dict(zip(row, cells, strict=True))
    with export_errors(path), path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([by_name.get(name, "") for name in (*names, *more)])


def cut_log(path: Path, step: int) -> None:
    """Drop the lines after ``step``: they were written by steps that a kill took back.

    Raises:
        ExportError: it cannot be written.
    """
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = rows[:1] + [row for row in rows[1:] if row and float(row[0]) <= step]
    if len(kept) != len(rows):
        _write(path, kept)


def _widen(path: Path, more: list[str]) -> None:
    with export_errors(path), path.open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file)) or [[]]
    _write(path, [head + more, *(row + [""] * len(more) for row in rows)])


def _write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    with export_errors(path):
        write_atomic(path, text.getvalue().encode())
