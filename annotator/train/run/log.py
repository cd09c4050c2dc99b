"""The CSV log of a training run: lines are added, and cut where a kill took steps back."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from annotator.files.atomic import export_errors, write_atomic


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a line; the first one of a file is preceded by the names of its columns.

    Raises:
        ExportError: it cannot be written.
    """
    is_new = not path.exists()
    with export_errors(path), path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(list(row))
        writer.writerow([f"{value:.5g}" if isinstance(value, float) else value for value in row.values()])


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
        text = io.StringIO(newline="")
        csv.writer(text).writerows(kept)
        with export_errors(path):
            write_atomic(path, text.getvalue().encode())
