"""What names a person or leads to one, and whether it stands in some bytes. Pure; nothing repeats what it found."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

import numpy as np
import numpy.typing as npt


class Identity(StrEnum):
    """What kind of thing an identifier is."""

    NAME = "patient's name"
    PATIENT_ID = "patient's id"
    BIRTH_DATE = "date of birth"
    STUDY_DATE = "date of the examination"
    ACCESSION = "accession number"
    UID = "UID"


_WORD = re.compile(rb"[0-9a-z\x80-\xff]+")
_UID = re.compile(rb"[0-2](?:\.[0-9]+){4,}")
_LEAST_ID, _LEAST_FAMILY = 4, 4
_NO_NAMES = frozenset(
    (b"anonymous", b"anonymized", b"anonymised", b"anon", b"patient", b"unknown", b"test", b"phantom", b"none", b"name")
)
_Words = tuple[bytes, ...]
_LEAST_RUN = 4
"""Letters of what is looked for together."""
_RUN = re.compile(rb"[0-9a-z]{4,}")
_LEAST_UID = 8
"""Of the signs that follow each other in a UID: five numbers and what parts them are nine."""


def _table(signs: bytes) -> bytes:
    return bytes(sign in signs for sign in range(256))


_IN_RUN, _IN_UID = _table(b"0123456789abcdefghijklmnopqrstuvwxyz"), _table(b"0123456789.")
_RUN_OF_A_WORD = re.compile(rb"[0-9a-z]+(?!\xcc\x87)")
_DOT = "\u0307"


@dataclass(frozen=True, slots=True)
class Identifiers:
    """All that may not be found.

    Attributes:
        phrases: by their first word, words that follow each other (lower case) and what they are.
        uids: whole UIDs.
    """

    phrases: Mapping[bytes, tuple[tuple[_Words, Identity], ...]] = field(default_factory=dict)
    uids: frozenset[bytes] = frozenset()
    _by_run: dict[bytes, list[_Words]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Phrases by what is looked for at once, as a clinic's project is of thousands of people; those that have no such
    word by nothing."""

    def __post_init__(self) -> None:
        for phrase in (phrase for several in self.phrases.values() for phrase, _ in several):
            run = _longest_run(phrase)
            self._by_run.setdefault(run if len(run) >= _LEAST_RUN else b"", []).append(phrase)

    @property
    def is_empty(self) -> bool:
        return not self.phrases and not self.uids

    def found_in(self, data: bytes) -> frozenset[Identity]:
        """What kinds stand in there, in whatever case and with whatever between the words of a name."""
        found: set[Identity] = set()
        words = _words(data) if self._may_be_in(data) else []
        for at, word in enumerate(words):
            for phrase, kind in self.phrases.get(word, ()):
                if tuple(words[at : at + len(phrase)]) == phrase:
                    found.add(kind)
        if self.uids and any(uid in self.uids for uid in _found(_UID, data, _IN_UID, _LEAST_UID)):
            found.add(Identity.UID)
        return frozenset(found)

    def _may_be_in(self, data: bytes) -> bool:
        """Without parting it into words: a cache holds gigabytes in which there is nothing to be found."""
        if _KELVIN in data:
            return bool(self.phrases)
        lowered = data.lower()
        there = set(_found(_RUN, lowered, _IN_RUN, _LEAST_RUN)) & self._by_run.keys() if self._by_run else ()
        likely = (phrase for run in there for phrase in self._by_run[run])
        return any(
            all(_is_word_in(lowered, word) for word in phrase) for phrase in (*likely, *self._by_run.get(b"", ()))
        )


def _found(pattern: re.Pattern[bytes], data: bytes, table: bytes, least: int) -> list[bytes]:
    """As ``pattern.findall``, of a pattern that matches nothing but ``least`` and more signs of a table in a row. The
    numbers of pictures have few such places: they are found at once."""
    starts = _starts(data, table, least)
    if starts.size > len(data) // 16:
        return pattern.findall(data)
    firsts = starts[np.diff(starts, prepend=-2) > 1].tolist()
    lasts = starts[np.diff(starts, append=len(data) + least) > 1].tolist()
    runs = [data[first : last + least] for first, last in zip(firsts, lasts, strict=True)]
    return [one for run in runs for one in pattern.findall(run)]


def _starts(data: bytes, table: bytes, least: int) -> npt.NDArray[np.intp]:
    """Where ``least`` such signs follow each other, a power of two of them."""
    inside = np.frombuffer(data.translate(table), np.bool_)
    length = 1
    while length < least:
        inside = inside[:-length] & inside[length:]
        length *= 2
    return np.flatnonzero(inside)


_KELVIN = "\u212a".encode()
"""The one sign beyond ASCII whose lower case is a letter of ASCII."""


def _is_word_in(data: bytes, word: bytes) -> bool:
    """Whether it stands there, and is no part of a longer one: three letters are in every megabyte of a picture. Of a
    word beyond ASCII, whether it may: its letters are there, large or small."""
    if not word.isascii():
        return _is_run_in(data, word) and _in_any_case(word).search(data) is not None
    at = data.find(word)
    while at >= 0:
        end = at + len(word)
        if not _WORD.match(data[max(0, at - 1) : at]) and not _WORD.match(data[end : end + 1]):
            return True
        at = data.find(word, at + 1)
    return False


def _is_run_in(data: bytes, word: bytes) -> bool:
    run = max(_RUN_OF_A_WORD.findall(word), key=len, default=b"")
    return run in data


@cache
def _in_any_case(word: bytes) -> re.Pattern[bytes]:
    """Of a word in small letters, within bytes whose ASCII letters are small."""
    text = word.decode("utf-8")
    if _DOT in text:  # of a Turkish I, which is two signs when it is small
        return re.compile(b"")
    large = _large_letters()
    letters = [sorted({letter.encode("utf-8"), *large.get(letter, ())}) for letter in text]
    return re.compile(b"".join(b"(?:" + b"|".join(map(re.escape, several)) + b")" for several in letters))


@cache
def _large_letters() -> dict[str, tuple[bytes, ...]]:
    """What becomes a small letter beyond ASCII."""
    found: dict[str, set[bytes]] = {}
    for letter in map(chr, range(0x80, sys.maxunicode + 1)):
        small = letter.lower()
        if len(small) == 1 and small != letter:
            found.setdefault(small, set()).add(letter.encode("utf-8", "replace"))
    sigmas = {letter.encode("utf-8") for letter in "σςΣ"}  # the last letter of a word has a form of its own
    found |= {"σ": sigmas, "ς": sigmas}
    return {small: tuple(several) for small, several in found.items()}


def _longest_run(phrase: _Words) -> bytes:
    """Of ASCII letters that stand together wherever the phrase stands; empty where another sign is beside them."""
    return max((word for word in phrase if word.isascii()), key=len, default=b"")


def _words(data: bytes) -> list[bytes]:
    """In lower case, of every script: text is UTF-8, and what is not cannot hold a name but in ASCII."""
    return _WORD.findall(data.decode("utf-8", "replace").lower().encode("utf-8"))


def identifiers_of(values: Iterable[tuple[Identity, str]]) -> Identifiers:
    """From what files say. Names count as a whole, in both orders, and by the family's alone; what is too short to mean
    anyone (an id "1"), or is the name of nobody ("Anonymous"), does not count."""
    phrases: dict[bytes, set[tuple[_Words, Identity]]] = {}
    uids: set[bytes] = set()
    for kind, text in values:
        if kind is Identity.UID:
            uids.add(text.strip("\0 ").encode("ascii", "ignore"))
            continue
        for phrase in _phrases(kind, text):
            phrases.setdefault(phrase[0], set()).add((phrase, kind))
    fixed = {first: tuple(sorted(several)) for first, several in phrases.items()}
    return Identifiers(fixed, frozenset(uids - {b""}))


def _phrases(kind: Identity, text: str) -> list[_Words]:
    words = tuple(_words(text.encode("utf-8", "replace")))
    if kind is Identity.NAME:
        return _names(text)
    if kind in (Identity.BIRTH_DATE, Identity.STUDY_DATE):
        digits = b"".join(words)
        if len(digits) != 8 or not digits.isdigit():
            return []
        # A project's own times are written with dashes: an examination's date is only meant as DICOM writes it.
        parts = (digits[:4], digits[4:6], digits[6:])
        return [(digits,), parts] if kind is Identity.BIRTH_DATE else [(digits,)]
    return [words] if sum(map(len, words)) >= _LEAST_ID else []


def _names(text: str) -> list[_Words]:
    """Of a name as DICOM writes it: alphabetic=ideographic=phonetic, each family^given^middle^prefix^suffix."""
    found: list[_Words] = []
    for group in text.split("="):
        parts = [tuple(_words(part.encode("utf-8", "replace"))) for part in group.split("^")]
        family, given = parts[0], tuple(word for part in parts[1:3] for word in part)
        if any(word in _NO_NAMES for word in (*family, *given)):
            continue
        if family and given:
            found += [(*family, *given), (*given, *family)]
        if len(family) > 1 or (family and len(family[0]) >= _LEAST_FAMILY):
            found.append(family)
    return found
