"""Reports of checks as JSON and CSV: the same for the command and the window."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.checks.finding import Finding
from annotator.domain.errors import ExportError
from annotator.files.atomic import export_errors, write_atomic

SUFFIXES = (".json", ".csv")
_COLUMNS = (
    *("check", "severity", "image_id", "image", "objects", "value", "text", "repair", "mark", "waived", "note"),
)


def report_row(finding: Finding, image: str, note: str = "") -> dict[str, Any]:
    """A finding as it stands in a report.

    Args:
        image: path of its image in the project; empty when it is about none.
        note: why it is waived; empty when it is not.
    """
    spec = finding.spec
    return {
        "check": finding.check,
        "severity": spec.severity.value,
        "image_id": finding.image_id,
        "image": image,
        "objects": list(finding.object_ids),
        "value": round(finding.value, 4),
        "text": finding.text,
        "repair": spec.repair.value,
        "mark": finding.mark,
        "waived": bool(note),
        "note": note,
    }


def check_suffix(out: Path) -> None:
    """Raises:
    ExportError: reports of that kind are not written.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise ExportError(f"{brief(out)} has an unknown kind.", "Name a .json or a .csv file.")


def write_report(out: Path, rows: Sequence[dict[str, Any]], target: Path) -> None:
    """Write rows of :func:`report_row`; the file is replaced as a whole.

    Args:
        target: what was checked.

    Raises:
        ExportError: the kind is unknown, or the file cannot be written.
    """
    check_suffix(out)
    if out.suffix.lower() == ".json":
        text = json.dumps({"checked": str(target), "findings": list(rows)}, indent=1)
    else:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "objects": " ".join(map(str, row["objects"]))} for row in rows)
        text = stream.getvalue()
    with export_errors(out):
        write_atomic(out, text.encode())
