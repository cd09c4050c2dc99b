"""The outer structure of a COCO file. Rows are parsed one at a time, so that a file of a hundred megabytes neither
holds the interpreter's lock for long (the window lives in the same process) nor sits in memory as objects."""

from __future__ import annotations

import codecs
import json
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError
from annotator.io.formats.coco.parse import plain_json, whole_number

MAX_FILE_BYTES = 2 << 30
_BLOCK_BYTES = 1 << 20
_TICK_EVERY, _MOST_ATTRIBUTES = 1_000, 1_000
_WANTED = "A COCO file has the lists images, annotations and categories."
_LISTS = ("images", "annotations", "categories")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Rows:
    """The elements of one list of a file, each parsed anew whenever it is asked for."""

    def __init__(self, text: str, starts: array[int]) -> None:
        self._text, self._starts = text, starts

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> Any:
        return _DECODER.raw_decode(self._text, self._starts[place])[0]

    def __iter__(self) -> Iterator[Any]:
        for start in self._starts:
            yield _DECODER.raw_decode(self._text, start)[0]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """The three lists and the licences, each entry still unchecked; ``notes`` are for the person."""

    images: Rows
    annotations: Rows
    categories: Rows
    licences: dict[int, dict[str, Any]]
    notes: tuple[str, ...] = ()
    attributes: tuple[Any, ...] = ()
    """Definitions of attributes, as our exports have them."""


def read_coco(
    path: Path,
    *,
    on_bytes: Callable[[bytes], object] | None = None,
    tick: Callable[[], object] = lambda: None,
) -> CocoFile:
    """Read the outer structure; the whole file is parsed once, so that what is no JSON is refused at the start.

    Args:
        on_bytes: given the file's bytes, block by block (a hash).
        tick: called now and then; what it raises ends the reading.

    Raises:
        ImportFormatError: missing, unreadable, too large, not UTF-8, not JSON, nested too deeply, or not COCO.
    """
    found, text = _outline_of(path, on_bytes, tick)
    lists: dict[str, Rows] = {}
    notes: list[str] = []
    for key in _LISTS:
        starts = found.lists.get(key)
        if starts is None and key != "images" and found.others.get(key) is None:
            if key == "annotations":
                notes.append("the file has no annotations")
            starts = array("q")
        if starts is None:
            raise ImportFormatError(
                f"{brief(path.name)} is not a COCO data set: it has no list {brief(key)!r}.", _WANTED
            )
        lists[key] = Rows(text, starts)
    licences = _licences(Rows(text, found.lists.get("licenses", array("q"))))
    attributes = tuple(Rows(text, found.lists.get("attributes", array("q"))[:_MOST_ATTRIBUTES]))
    return CocoFile(lists["images"], lists["annotations"], lists["categories"], licences, tuple(notes), attributes)


def read_lists(path: Path, *, tick: Callable[[], object] = lambda: None) -> dict[str, Rows]:
    """The lists at the top of a JSON file of a form like COCO's, each entry still unchecked.

    Raises:
        ImportFormatError: as :func:`read_coco`, but for lists that are not there.
    """
    found, text = _outline_of(path, None, tick)
    return {key: Rows(text, starts) for key, starts in found.lists.items()}


def _outline_of(
    path: Path, on_bytes: Callable[[bytes], object] | None, tick: Callable[[], object]
) -> tuple[_Outline, str]:
    text = _text_of(path, on_bytes)
    try:
        found = _Outline(text, tick)
    except RecursionError as error:
        raise ImportFormatError(f"{brief(path.name)} is nested too deeply.", _WANTED) from error
    except MemoryError as error:
        raise ImportFormatError(f"{brief(path.name)} does not fit into memory.", "Split the data set.") from error
    except ValueError as error:
        raise ImportFormatError(f"{brief(path.name)} is not JSON ({str(error)[:120]}).", "Is it complete?") from error
    if found.kind == "list":
        raise ImportFormatError(f"{brief(path.name)} is a list (COCO results?), not a data set.", _WANTED)
    if found.kind != "object":
        raise ImportFormatError(f"{brief(path.name)} is not a COCO data set.", _WANTED)
    return found, text


class _Outline:
    """Where the elements of the lists at the top begin; what else is there is parsed and forgotten.

    Raises:
        ValueError: not JSON. RecursionError: nested too deeply.
    """

    def __init__(self, text: str, tick: Callable[[], object]) -> None:
        self._text, self._tick = text, tick
        self.kind = ""
        self.lists: dict[str, array[int]] = {}
        """By key; of a key that comes twice the last one counts, as for every JSON reader."""
        self.others: dict[str, Any] = {}
        """The values of wanted keys that are no lists."""
        at = self._skip(0)
        if text[at : at + 1] == "{":
            self.kind, at = "object", self._object(at)
        elif text[at : at + 1] == "[":
            self.kind, at = "list", self._list(at)[1]
        else:
            at = _DECODER.raw_decode(text, at)[1]
        if self._skip(at) != len(text):
            raise json.JSONDecodeError("Extra data", text, at)

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _object(self, at: int) -> int:
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "}":
            return at + 1
        while True:
            if self._text[at : at + 1] != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, at)
            key, at = _DECODER.raw_decode(self._text, at)
            at = self._skip(self._expect(":", self._skip(at)))
            if self._text[at : at + 1] == "[":
                self.lists[key], at = self._list(at)
            else:
                value, at = _DECODER.raw_decode(self._text, at)
                self.lists.pop(key, None)
                if key in _LISTS:
                    self.others[key] = value
            at = self._skip(at)
            if self._text[at : at + 1] == "}":
                return at + 1
            at = self._skip(self._expect(",", at))

    def _list(self, at: int) -> tuple[array[int], int]:
        """Where the elements begin, and the place after the list."""
        starts = array("q")
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "]":
            return starts, at + 1
        while True:
            starts.append(at)
            if len(starts) % _TICK_EVERY == 0:
                self._tick()
            at = self._skip(_DECODER.raw_decode(self._text, at)[1])
            if self._text[at : at + 1] == "]":
                return starts, at + 1
            at = self._skip(self._expect(",", at))

    def _expect(self, mark: str, at: int) -> int:
        if self._text[at : at + 1] != mark:
            raise json.JSONDecodeError(f"Expecting {mark!r} delimiter", self._text, at)
        return at + 1


def _text_of(path: Path, on_bytes: Callable[[bytes], object] | None) -> str:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    pieces: list[str] = []
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImportFormatError(f"{brief(path.name)} is larger than 2 GB.", "Split the data set.")
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                if on_bytes is not None:
                    on_bytes(block)
                pieces.append(decoder.decode(block))
        pieces.append(decoder.decode(b"", final=True))
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{brief(path.name)} is not UTF-8 text.", "Is it a JSON file?") from error
    except FileNotFoundError as error:
        raise ImportFormatError(f"There is no file {brief(path)}.", "Check the name.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImportFormatError(f"{brief(path.name)} cannot be read ({reason}).", "Check its permissions.") from error
    return "".join(pieces)


def _licences(rows: Rows) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        number = whole_number(row.get("id")) if isinstance(row, dict) else None
        if number is not None and number > 0:
            try:
                found[number] = {**plain_json(row), "id": number}
            except ValueError:  # an odd licence is not worth a failed import; its images lose the reference
                continue
    return found
