"""Edits as the project file keeps them: JSON of the rows before and after, compressed when large."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from annotator.domain.project import Edit, Row, RowChange
from annotator.io.project.edit_progress import UNWATCHED, EditProgress
from annotator.io.project.schema import (
    COLUMNS,
    FIRST_COLUMNS,
    ROW_TYPES,
    WORDS,
    refuse_constant,
    scalar,
    table_of,
    to_json,
)

_COMPRESS_FROM_BYTES = 16_384
MAX_EDIT_BYTES = 256 << 20
"""An edit's JSON: an import of some 250,000 objects. A larger one is kept, but cannot be undone."""
_MAX_EDIT_VALUES = 16_000_000
"""In it: each takes some fifty bytes of memory or more."""
_DECODER = json.JSONDecoder(parse_constant=refuse_constant)
_BLANKS = re.compile(r"[ \t\n\r]*")


def edit_to_blob(edit: Edit, told: EditProgress = UNWATCHED) -> bytes:
    """An edit's changes as JSON, compressed when large."""
    # One by one: an import has a hundred thousand, and a call of the encoder holds the interpreter's lock.
    changes = []
    for change in edit.changes:
        changes.append(to_json([_plain(change.before), _plain(change.after)]))
        told.step()
    raw = f"[{','.join(changes)}]".encode("ascii")
    return zlib.compress(raw, 1) if len(raw) >= _COMPRESS_FROM_BYTES else raw


def edit_from_blob(name: str, blob: bytes, told: EditProgress = UNWATCHED) -> Edit:
    """The edit that :func:`edit_to_blob` has made.

    Raises:
        ValueError: it is damaged, or larger than any work.
    """
    try:
        text = edit_text(blob)
        if sum(map(text.count, (b",", b"[", b"{"))) > _MAX_EDIT_VALUES:
            raise ValueError("it holds too many values")
        changes = _parsed(text, told)
        if b"\\ud" in text.lower():  # halves of signs beyond the first plane: one alone is no text
            json.dumps(changes, ensure_ascii=False).encode()
        return Edit(name, tuple(RowChange(_row(before), _row(after)) for before, after in changes))
    except (zlib.error, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is damaged ({error})") from error


def _parsed(text: bytes, told: EditProgress) -> list[Any]:
    """The changes, one by one: a call of the decoder for all of them holds the interpreter's lock.

    Raises:
        ValueError: it is no list in JSON.
    """
    whole, found = text.decode(), []
    at = _past_blanks(whole, 0)
    if whole[at : at + 1] != "[":
        raise ValueError("it is no list")
    at = _past_blanks(whole, at + 1)
    is_more = whole[at : at + 1] != "]"
    while is_more:
        value, at = _DECODER.raw_decode(whole, at)
        found.append(value)
        told.step()
        at = _past_blanks(whole, at)
        is_more = whole[at : at + 1] == ","
        at = _past_blanks(whole, at + 1) if is_more else at
    if whole[at:].rstrip() != "]":
        raise ValueError(f"its list does not end at {at}")
    return found


def _past_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def edit_text(blob: bytes) -> bytes:
    """An edit's JSON. A few kilobytes may unpack to gigabytes: it is not more than an edit can have.

    Raises:
        ValueError, zlib.error
    """
    if not isinstance(blob, bytes):  # of a number Python would make as many zeros
        raise ValueError("it is no edit of ours")
    raw = blob
    if raw[:1] == b"[":
        return raw
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(raw, MAX_EDIT_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {MAX_EDIT_BYTES >> 20} MiB")
    return text


def _plain(row: Row | None) -> list[Any] | None:
    if row is None:
        return None
    table = table_of(row)
    values = [scalar(getattr(row, column)) for column in COLUMNS[table]]
    # A damaged mask is kept as it is: nothing is lost by changing something else of its object.
    return [table, *(v.decode("latin-1") if isinstance(v, bytes) else v for v in values)]


def _row(plain: list[Any] | None) -> Row | None:
    if plain is None:
        return None
    table, values = plain[0], plain[1:]
    columns = COLUMNS[table]
    if not FIRST_COLUMNS[table] <= len(values) <= len(columns):
        raise ValueError("it has too few values")
    fields = dict(zip(columns, values, strict=False))
    for column, kind in WORDS.items():
        if column in fields:
            fields[column] = kind(fields[column])
    if table == "annotation":
        fields["rle"] = fields["rle"].encode("latin-1")
    return ROW_TYPES[table](**fields)
