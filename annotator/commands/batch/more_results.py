"""What a batch can write beside COCO, from the same journal: a map of labels an image, a Parquet table, a project."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from annotator.commands.batch.results import HasRows
from annotator.commands.batch.work_list import WorkItem
from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError, UserError
from annotator.domain.mask import Mask
from annotator.files.atomic import atomic_file, export_errors, write_atomic

_MOST_LABELS = (1 << 16) - 1
_PIECE = 20_000
"""Objects in a row group of the table; so many are in memory."""


def write_label_maps(folder: Path, items: Sequence[WorkItem], rows: HasRows) -> int:
    """For every image a PNG of 16 bits: 0 is nothing, n the n-th object of the image in the COCO file. Where objects
    overlap, the smaller one lies on top.

    Returns:
        How many were written.

    Raises:
        ExportError: one cannot be written, or an image has more than 65,535 objects.
    """
    count = 0
    for item, row in _done(items, rows):
        objects, (width, height) = row["objects"], row["size"]
        target = folder / _picture_name(item)
        if len(objects) > _MOST_LABELS:
            raise ExportError(
                f"{brief(item.key)} has {len(objects)} objects: a PNG can tell 65,535 apart.", "Leave --masks out."
            )
        labels = np.zeros((height, width), np.uint16)
        for at in sorted(range(len(objects)), key=lambda at: -objects[at]["area"]):
            mask = Mask.from_rle(objects[at]["segmentation"]["counts"], width, height)
            rows_px, columns_px = mask.bits.shape
            labels[mask.y : mask.y + rows_px, mask.x : mask.x + columns_px][mask.bits] = at + 1
        stream = io.BytesIO()
        Image.fromarray(labels).save(stream, "PNG")
        with export_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, stream.getvalue())
        count += 1
    return count


def check_parquet() -> None:
    """Raises:
    UserError: the library that writes it is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UserError("Parquet needs pyarrow.", "Install it: pip install 'annotator[parquet]'") from error


def write_parquet(target: Path, items: Sequence[WorkItem], rows: HasRows, about: Mapping[str, Any]) -> int:
    """A row an object, with compressed run lengths as COCO has them; streamed in groups of rows.

    Returns:
        How many rows were written.

    Raises:
        UserError: see :func:`check_parquet`. ExportError: it cannot be written.
    """
    check_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole, number, text = pa.int64(), pa.float32(), pa.string()
    columns = [("image", text), ("frame", whole), ("width", whole), ("height", whole), ("object", whole)]
    columns += [("category_id", whole), ("category", text), ("score", number), ("area", whole)]
    columns += [("x", whole), ("y", whole), ("w", whole), ("h", whole), ("rle", text), ("facts", text)]
    schema = pa.schema(columns, metadata={"info": json.dumps(about["info"])})
    names = {one["id"]: one["name"] for one in about["categories"]}
    count = 0
    with (
        export_errors(target),
        atomic_file(target) as (stream, _),
        pq.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        for piece in _pieces(_table_rows(items, rows, names)):
            writer.write_table(pa.Table.from_pylist(piece, schema=schema))
            count += len(piece)
    return count


def write_parquet_parts(
    folder: Path, items: Sequence[WorkItem], rows: HasRows, about: Mapping[str, Any], images_each: int
) -> int:
    """As :func:`write_parquet`, in files of so many images each, by their order: the same work gives the same parts,
    however often it was stopped, and every object is in one of them.

    Returns:
        How many rows were written.

    Raises:
        UserError, ExportError: as there.
    """
    check_parquet()
    with export_errors(folder):
        folder.mkdir(exist_ok=True)
    starts = range(0, len(items), images_each)
    count = 0
    for number, start in enumerate(starts):
        count += write_parquet(folder / f"{number:06}.parquet", items[start : start + images_each], rows, about)
    for stale in sorted(folder.glob("??????.parquet"))[len(starts) :]:  # of a run in larger pieces
        with export_errors(stale):
            stale.unlink()
    return count


def check_project(project: Path | None) -> None:
    """Before hours of work, not after them.

    Raises:
        UserError: there is no such folder, or no project that can be opened.
    """
    if project is not None and not project.is_dir():
        from annotator.io.project.store import ProjectStore

        ProjectStore.open(project).close()


def put_into_project(project: Path, coco: Path) -> list[str]:
    """Take the objects into a project (or that of a folder of images); those that it has already are not added again.

    Returns:
        Lines for the person.

    Raises:
        UserError: it cannot be opened or written; it is as it was.
    """
    from annotator.io.formats.coco.import_ import import_coco
    from annotator.io.project.store import ProjectStore

    opened = ProjectStore.open_folder(project) if project.is_dir() else ProjectStore.open(project)
    with opened as store:
        return import_coco(store, coco).lines()


def _done(items: Sequence[WorkItem], rows: HasRows) -> Iterator[tuple[WorkItem, dict[str, Any]]]:
    for item in items:
        if item.key in rows:
            row = rows.row(item.key)
            if "error" not in row:
                yield item, row


def _picture_name(item: WorkItem) -> Path:
    place = PurePosixPath(item.name)
    inside = PurePosixPath(*(part for part in place.parts if part not in ("/", "..") and ":" not in part))
    frame = f"-{item.frame}" if item.frame else ""
    return Path(inside.parent) / f"{inside.name}{frame}.png"


def _table_rows(items: Sequence[WorkItem], rows: HasRows, names: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    known = {"category_id", "iscrowd", "area", "bbox", "segmentation", "score"}
    for item, row in _done(items, rows):
        width, height = row["size"]
        image = {"image": item.name, "frame": item.frame, "width": width, "height": height}
        for at, one in enumerate(row["objects"], start=1):
            x, y, w, h = one["bbox"]
            yield {
                **image,
                "object": at,
                "category_id": one["category_id"],
                "category": names.get(one["category_id"], ""),
                "score": one["score"],
                "area": one["area"],
                **{"x": x, "y": y, "w": w, "h": h},
                "rle": one["segmentation"]["counts"],
                "facts": json.dumps({key: value for key, value in one.items() if key not in known}),
            }


def _pieces(entries: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    for entry in entries:
        piece.append(entry)
        if len(piece) == _PIECE:
            yield piece
            piece = []
    yield piece
