"""The CSV log of a training run: lines are added, and cut where a kill took steps back."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a line; the first one of a file is preceded by the names of its columns."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(list(row))
        writer.writerow([f"{value:.5g}" if isinstance(value, float) else value for value in row.values()])


def cut_log(path: Path, step: int) -> None:
    """Drop the lines after ``step``: they were written by steps that a kill took back."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = rows[:1] + [row for row in rows[1:] if row and float(row[0]) <= step]
    if len(kept) != len(rows):
        part = path.with_name(path.name + ".part")
        with part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(kept)
        os.replace(part, path)
