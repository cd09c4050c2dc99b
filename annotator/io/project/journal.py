"""The write-ahead journal beside a project file: is it whole, does it belong to that file, and may it stay there?"""

from __future__ import annotations

import logging
import shutil
import struct
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotator.files.atomic import rename_to_free, sync_folder
from annotator.io.project.identity import FileIdentity, token_in

_log = logging.getLogger(__name__)

_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_MAGIC = 0x377F0682
_PAGE_SIZES = frozenset(1 << power for power in range(9, 17))


def journal_path(project: Path) -> Path:
    return project.with_name(f"{project.name}-wal")


def shared_memory_path(project: Path) -> Path:
    return project.with_name(f"{project.name}-shm")


def has_journal(project: Path) -> bool:
    """Whether there is a journal with anything in it: the project was not closed, or is open."""
    found = FileIdentity.of(journal_path(project))
    return found is not None and found.size > 0


@dataclass(frozen=True, slots=True)
class JournalDamage:
    """What of a journal SQLite would leave out without a word.

    Attributes:
        usable: frames (pages of the project) up to the first damage.
        lost: frames after it.
    """

    usable: int
    lost: int


def find_damage(project: Path) -> JournalDamage | None:
    """Check the journal's check sums, as SQLite does; None when there is nothing wrong.

    A last transaction that was cut off (power cut, full disk) is no damage: it was never promised. What is left of an
    earlier use behind the end is none either.
    """
    data = journal_path(project).read_bytes()
    if len(data) < _HEADER_BYTES:
        return None  # cut off while it began
    magic, _version, page, _sequence, salt1, salt2, first, second = struct.unpack(">8I", data[:_HEADER_BYTES])
    frame_bytes = _FRAME_HEADER_BYTES + page
    if magic & ~1 != _MAGIC or page not in _PAGE_SIZES:
        return JournalDamage(0, max(1, len(data) // (_FRAME_HEADER_BYTES + 4096)))
    order = ">u4" if magic & 1 else "<u4"
    state = _sums(data[: _HEADER_BYTES - 8], order, (0, 0))
    if state != (first, second):
        return JournalDamage(0, max(1, (len(data) - _HEADER_BYTES) // frame_bytes))
    count = (len(data) - _HEADER_BYTES) // frame_bytes
    starts = range(_HEADER_BYTES, _HEADER_BYTES + count * frame_bytes, frame_bytes)
    usable, lost = _count_usable([data[at : at + frame_bytes] for at in starts], order, state, salts=(salt1, salt2))
    return JournalDamage(usable, lost) if lost else None


def _count_usable(
    frames: list[bytes], order: str, state: tuple[int, int], *, salts: tuple[int, int]
) -> tuple[int, int]:
    """Frames up to the first that is not right, and frames behind it up to the last whole transaction of this use."""
    usable = 0
    for frame in frames:
        page, _size, *own_salts, first, second = struct.unpack(">6I", frame[:_FRAME_HEADER_BYTES])
        state = _sums(frame[:8] + frame[_FRAME_HEADER_BYTES:], order, state)
        if page == 0 or tuple(own_salts) != salts or state != (first, second):
            break
        usable += 1
    ended = [
        number
        for number, frame in enumerate(frames[usable:], start=1)
        if struct.unpack(">2I", frame[8:16]) == salts and struct.unpack(">I", frame[4:8]) != (0,)
    ]
    # A commit in the very last frame may be one that the power cut tore; one with frames behind it was promised.
    is_torn = not ended or (ended == [1] and usable + 1 == len(frames))
    return usable, 0 if is_torn else max(ended)


def pages_in_journal(project: Path, page_bytes: int) -> set[int]:
    """Numbers of the pages that a journal holds, from 1; also some that it held before."""
    try:
        data = journal_path(project).read_bytes()
    except FileNotFoundError:
        return set()
    starts = range(_HEADER_BYTES, len(data) - _FRAME_HEADER_BYTES - page_bytes + 1, _FRAME_HEADER_BYTES + page_bytes)
    salts = data[16:24]
    return {int.from_bytes(data[at : at + 4], "big") for at in starts if data[at + 8 : at + 16] == salts}


def belongs(project: Path, noted: tuple[str, ...]) -> bool:
    """Whether a journal that was left behind is that of the file which lies beside it now.

    Args:
        noted: tokens that the file had or was about to get, as its last writer noted them; none: nobody knows.
    """
    return not noted or token_in(project) in noted


def set_aside(project: Path, word: str) -> Path:
    """Give a journal a name under which SQLite does not find it.

    Raises:
        OSError
    """
    kept = free_name(project.with_name(f"{project.name}-wal.{word}"))
    rename_to_free(journal_path(project), kept)
    shared_memory_path(project).unlink(missing_ok=True)
    sync_folder(project.parent)
    return kept


def copy_pair(project: Path) -> Path:
    """A project file and its journal as they are, under another name, for somebody who can read more out of them.

    Raises:
        OSError
    """
    kept = free_name(project.with_name(f"{project.stem} (damaged {datetime.now():%Y-%m-%d %H.%M.%S}).annot"))
    shutil.copyfile(journal_path(project), journal_path(kept))
    shutil.copyfile(project, kept)
    return kept


def free_name(wanted: Path) -> Path:
    """``wanted``, or the first of ``wanted-2``, ``wanted-3``, ... that is free."""
    found, number = wanted, 1
    while found.exists() or journal_path(found).exists():
        number += 1
        found = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return found


def _sums(data: bytes, order: str, state: tuple[int, int]) -> tuple[int, int]:
    """SQLite's running check sums: s0 += x0 + s1; s1 += x1 + s0 for every two words, modulo 2**32.

    A linear recurrence: the sums after n pairs are M**n s + sum(M**(n - 1 - i) B (x0, x1)), in one go for a page.
    """
    words = np.frombuffer(data, order).astype(np.uint64).reshape(-1, 2)
    count = len(words)
    powers = _powers(count)
    tail = powers[count - 1 :: -1][:count] if count else powers[:0]
    # B (x0, x1) = (x0, x0 + x1): the new s1 sees the new s0.
    given = np.stack([words[:, 0], words[:, 0] + words[:, 1]], axis=1) & np.uint64(0xFFFFFFFF)
    mask = np.uint64(0xFFFFFFFF)
    one = (tail[:, 0, 0] * given[:, 0] & mask) + (tail[:, 0, 1] * given[:, 1] & mask)
    two = (tail[:, 1, 0] * given[:, 0] & mask) + (tail[:, 1, 1] * given[:, 1] & mask)
    whole = [[int(value) for value in row] for row in powers[count]]
    s0 = whole[0][0] * state[0] + whole[0][1] * state[1] + int(one.sum())
    s1 = whole[1][0] * state[0] + whole[1][1] * state[1] + int(two.sum())
    return s0 & 0xFFFFFFFF, s1 & 0xFFFFFFFF


@lru_cache(maxsize=4)
def _powers(count: int) -> npt.NDArray[np.uint64]:
    """M**0 .. M**count of M = [[1, 1], [1, 2]], modulo 2**32, uint64, (count + 1) x 2 x 2."""
    found = np.empty((count + 1, 2, 2), np.uint64)
    a, b, c, d = 1, 0, 0, 1
    for place in range(count + 1):
        found[place] = ((a, b), (c, d))
        a, b, c, d = (a + b) & 0xFFFFFFFF, (a + 2 * b) & 0xFFFFFFFF, (c + d) & 0xFFFFFFFF, (c + 2 * d) & 0xFFFFFFFF
    return found
