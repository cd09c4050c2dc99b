"""Rows of a project file as values: one that is damaged costs itself, and not its neighbours.

Looked at column by column, which costs next to nothing for thousands of rows; only where something is wrong are they
read one by one. What is beside the point (prompts, texts, colours) is mended in memory, and the file is left as it is.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from annotator.domain.attributes import AttributeForm, AttributeTarget
from annotator.domain.mask import Mask
from annotator.domain.media import SeriesKind
from annotator.domain.palette import OKABE_ITO
from annotator.domain.project import Annotation, Review, Row, Status
from annotator.io.project.schema import COLUMNS, refuse_constant, rows_from

_MAX_SIDE_PX = 1 << 24
_MAX_ID = 1 << 53
_MAX_RUNS_BYTES = 16 << 20
"""Of one mask; decoding takes some fifty times as much. The noisiest mask of 16 megapixels has less."""
_NAMES = {"annotation": "object", "image": "image", "category": "class", "series": "series"}
_TEXTS = ("origin", "model", "model_sha256", "adapter", "author", "created_at", "note")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Damage:
    """One row with something wrong.

    Attributes:
        table, id: whose.
        image_id: of an object or image; 0 when it is not known, or for a class.
        reason: what is wrong, for the middle of a sentence.
        is_left_out: whether the row is not used at all; else what was wrong was replaced in memory.
    """

    table: str
    id: int
    image_id: int
    reason: str
    is_left_out: bool

    @property
    def name(self) -> str:
        return f"{_NAMES[self.table]} {self.id}"

    @property
    def what(self) -> str:
        return f"{'is left out' if self.is_left_out else 'was mended'}: {self.reason}"

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


def fetch(connection: sqlite3.Connection, sql: str, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows; texts that are not UTF-8 come with lone surrogates in them, which no sound text has.

    Raises:
        sqlite3.Error
    """
    try:
        return connection.execute(sql, arguments).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    before = connection.text_factory
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return connection.execute(sql, arguments).fetchall()
    finally:
        connection.text_factory = before


def read_rows(table: str, found: Sequence[tuple[Any, ...]]) -> tuple[list[Row], list[Damage]]:
    """The usable rows, in their order, and what is wrong with the others, from the columns of ``COLUMNS``."""
    if not found:
        return [], []
    try:
        columns = zip(COLUMNS[table], zip(*found, strict=True), strict=True)
        if all(_is_sound(column, values) for column, values in columns):
            rows = rows_from(table, found)
            objects = [attrgetter(name) for name in ("extra", "prompts") if name in COLUMNS[table]]
            if all(set(map(type, map(of, rows))) <= {dict} for of in objects):
                return rows, []
    except (ValueError, TypeError, RecursionError):
        pass  # one by one, to say which
    rows = []
    damages: list[Damage] = []
    for values in found:
        row, damage = _read_one(table, values)
        rows.extend([] if row is None else [row])
        damages.extend([] if damage is None else [damage])
    return rows, damages


def mask_problem(annotation: Annotation) -> str:
    """Why an object's mask cannot be used; empty when it can. Decodes it."""
    try:
        sound_mask(annotation)
    except ValueError as error:
        return str(error)
    return ""


def sound_mask(annotation: Annotation) -> Mask:
    """The object's mask, when it is what was stored.

    Raises:
        ValueError: the run lengths are damaged, or give another area or box than the one beside them.
    """
    mask = annotation.mask()
    if (mask.area, mask.bbox_xywh) != (annotation.area, (annotation.x, annotation.y, annotation.w, annotation.h)):
        raise ValueError("its run lengths and its area do not agree")
    return mask


def _read_one(table: str, values: tuple[Any, ...]) -> tuple[Row | None, Damage | None]:
    names = COLUMNS[table]
    bad = [name for name, value in zip(names, values, strict=True) if not _is_sound(name, (value,))]
    mended = dict(zip(names, values, strict=True))
    row_id = mended["id"]
    image_id = {"annotation": mended.get("image_id"), "image": row_id}.get(table, 0)
    image_id = image_id if isinstance(image_id, int) else 0
    lost = next((name for name in bad if (table, name) not in _MENDED), None)
    if lost is not None:
        return None, Damage(table, row_id, image_id, f"its {_spoken(lost)} cannot be used", True)
    for name in bad:
        mended[name] = _MENDED[table, name](row_id)
    row = rows_from(table, [tuple(mended[name] for name in names)])[0]
    if not bad:
        return row, None
    reason = f"its {' and '.join(_spoken(name) for name in bad)} could not be read"
    return row, Damage(table, row_id, image_id, reason, False)


def _spoken(column: str) -> str:
    return {"rle": "mask", "extra": "additional data", "image_id": "image", "category_id": "class"}.get(
        column, column.replace("_", " ")
    )


# --- what a column may hold -----------------------------------------------------------------------------------------


def _is_sound(column: str, values: Sequence[Any]) -> bool:
    return _CHECKS[column](values)


def _whole(low: int, high: int) -> Callable[[Sequence[Any]], bool]:
    return lambda values: set(map(type, values)) <= {int} and low <= min(values) and max(values) <= high


def _text(values: Sequence[Any]) -> bool:
    if not set(map(type, values)) <= {str}:
        return False
    joined = "".join(values)
    return joined.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in joined)


def _path(values: Sequence[Any]) -> bool:
    # Of all at once: a folder may have 100,000 images.
    return _text(values) and all(values) and max(map(len, values)) <= 4096 and "\0" not in "".join(values)


def _json_object(values: Sequence[Any]) -> bool:
    if not _text(values):
        return False
    wanted = [value for value in values if value != "{}"]
    if len(wanted) != 1:
        return True  # read in one go by rows_from, which says when that fails; a single one is looked at here
    try:
        return isinstance(json.loads(wanted[0], parse_constant=refuse_constant), dict)
    except (ValueError, RecursionError):
        return False


def _number(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {int, float} and all(map(math.isfinite, values))


def _score(values: Sequence[Any]) -> bool:
    return _number([value for value in values if value is not None])


def _runs(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {bytes} and max(map(len, values)) <= _MAX_RUNS_BYTES


_CHECKS: Mapping[str, Callable[[Sequence[Any]], bool]] = {
    **dict.fromkeys(("id", "image_id", "category_id"), _whole(1, _MAX_ID)),
    **dict.fromkeys(("x", "y", "w", "h"), _whole(0, _MAX_SIDE_PX)),
    **dict.fromkeys(("image_width", "image_height"), _whole(1, _MAX_SIDE_PX)),
    **dict.fromkeys(("width", "height"), _whole(0, _MAX_SIDE_PX)),
    **dict.fromkeys((*_TEXTS, "sha256", "name", "identity"), _text),
    **dict.fromkeys(("prompts", "extra"), _json_object),
    "area": _whole(0, _MAX_ID),
    "rle": _runs,
    "score": _score,
    "clicks": _whole(0, _MAX_ID),
    "seconds": _number,
    "is_crowd": _whole(0, 1),
    "path": _path,
    "status": lambda values: set(values) <= set(Status),
    "colour": lambda values: _text(values) and all(map(_COLOUR.fullmatch, values)),
    "key": _whole(0, 9),
    **dict.fromkeys(("frame", "series_id", "position", "track_id"), _whole(0, _MAX_ID)),
    "review": lambda values: set(values) <= set(Review),
    "kind": lambda values: set(values) <= set(SeriesKind),
    "form": lambda values: set(values) <= set(AttributeForm),
    "target": lambda values: set(values) <= set(AttributeTarget),
    "layer": _whole(-_MAX_ID, _MAX_ID),
}
_MENDED: Mapping[tuple[str, str], Callable[[int], Any]] = {
    **dict.fromkeys((("annotation", name) for name in _TEXTS), lambda _id: ""),
    **dict.fromkeys(((table, "extra") for table in COLUMNS), lambda _id: "{}"),
    ("annotation", "prompts"): lambda _id: "{}",
    ("annotation", "score"): lambda _id: None,
    ("annotation", "clicks"): lambda _id: 0,
    ("annotation", "seconds"): lambda _id: 0.0,
    ("annotation", "is_crowd"): lambda _id: 0,
    ("annotation", "track_id"): lambda _id: 0,
    ("annotation", "review"): lambda _id: "",
    ("annotation", "layer"): lambda _id: 0,
    ("image", "width"): lambda _id: 0,
    ("image", "height"): lambda _id: 0,
    ("image", "sha256"): lambda _id: "",
    ("image", "status"): lambda _id: Status.UNSEEN.value,
    ("image", "series_id"): lambda _id: 0,
    ("image", "position"): lambda _id: 0,
    ("category", "name"): lambda row_id: f"class {row_id}",
    ("category", "colour"): lambda row_id: OKABE_ITO[row_id % len(OKABE_ITO)],
    ("category", "key"): lambda _id: 0,
}
"""What stands in, by table and column, where a value cannot be used; a row is left out for all others."""
