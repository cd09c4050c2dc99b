"""The files at the end of a batch, streamed from journals: COCO, and a report with a row an image."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from annotator.commands.batch.work_list import WorkItem
from annotator.files.atomic import atomic_file, export_errors


class HasRows(Protocol):
    """Finished images, as :class:`annotator.commands.batch.journal.Journal` has them."""

    def __contains__(self, key: object) -> bool: ...
    def row(self, key: str) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a batch: images in the COCO file, images that are not, images of which a prompt has no object; objects."""

    done: int = 0
    failed: int = 0
    partly: int = 0
    objects: int = 0


def write_results(
    coco: Path, report: Path | None, items: Sequence[WorkItem], rows: HasRows, about: Mapping[str, Any]
) -> Totals:
    """Write both files, each the old one or complete. Images that have no row yet are in neither.

    Equal rows make equal COCO files, byte by byte, in whatever order they were asked for.

    Args:
        report: None for none.
        about: ``info`` and ``categories`` of the COCO file.

    Raises:
        ExportError: one cannot be written.
    """
    with export_errors(coco), atomic_file(coco) as (stream, _):
        for piece in _coco(items, rows, about):
            stream.write(piece.encode("utf-8", "backslashreplace"))
    totals = Totals()

    def lines() -> Iterator[bytes]:
        nonlocal totals
        yield _table_line(["image", "status", "objects", "seconds", "reason"])
        for item, row in _finished(items, rows):
            reason = row.get("error") or " ".join(row["left_out"])
            status = "failed" if "error" in row else "partly" if row["left_out"] else "done"
            objects = len(row.get("objects", ()))
            totals = Totals(
                totals.done + (status != "failed"),
                totals.failed + (status == "failed"),
                totals.partly + (status == "partly"),
                totals.objects + objects,
            )
            yield _table_line([item.key, status, objects, row["seconds"], reason])

    if report is None:
        for _ in lines():
            continue
        return totals
    with export_errors(report), atomic_file(report) as (stream, _):
        stream.writelines(lines())
    return totals


def _coco(items: Sequence[WorkItem], rows: HasRows, about: Mapping[str, Any]) -> Iterator[str]:
    yield f'{{"info":{json.dumps(about["info"])},\n"images":['
    yield from _listed(_image(item, row) for item, row in _finished(items, rows) if "error" not in row)
    yield f'],\n"categories":{json.dumps(about["categories"])},\n"annotations":['
    yield from _listed(_annotations(items, rows))
    yield "]}\n"


def _image(item: WorkItem, row: Mapping[str, Any]) -> dict[str, Any]:
    width, height = row["size"]
    entry = {"id": item.image_id, "file_name": item.key, "width": width, "height": height}
    return {**entry, "frame": item.frame} if item.frame else entry


def _annotations(items: Sequence[WorkItem], rows: HasRows) -> Iterator[dict[str, Any]]:
    number = 0
    for item, row in _finished(items, rows):
        for entry in row.get("objects", ()):
            number += 1
            yield {"id": number, "image_id": item.image_id, **entry}


def _finished(items: Sequence[WorkItem], rows: HasRows) -> Iterator[tuple[WorkItem, dict[str, Any]]]:
    return ((item, rows.row(item.key)) for item in items if item.key in rows)


def _listed(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for at, entry in enumerate(entries):
        yield f"{',' if at else ''}\n{json.dumps(entry)}"


def _table_line(values: Sequence[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode("utf-8", "backslashreplace")
