"""What names a file's content: the SHA-256 of all its bytes; of a very large file, whose bytes would take minutes, its
size and samples of it. The second is no proof: it says so wherever it decides anything."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

SAMPLES_FACT = "content_samples"
"""In ``ImageRecord.extra``: ``SIZE:HASH`` of a file whose SHA-256 is not known, with the size in bytes."""
HASHED_BYTES = 256 << 20
"""Reading more of a volume or video takes seconds before anything of it is to be seen."""
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 16
_BLOCK_BYTES = 1 << 20
_SAMPLED = re.compile(r"(\d{1,19}):[0-9a-f]{64}")


def sha256_of(path: Path) -> str:
    """Of a file's bytes, hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sampled(stream: BinaryIO) -> str:
    """Of the size and of 64 parts of 64 KiB from the first to the last byte, hexadecimal."""
    size = stream.seek(0, 2)
    digest = hashlib.sha256(str(size).encode())
    for at in range(_SAMPLES):
        stream.seek(max(0, size - _SAMPLE_BYTES) * at // (_SAMPLES - 1))
        digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def samples_fact(size: int, sampled: str) -> dict[str, str]:
    """For ``ImageRecord.extra``."""
    return {SAMPLES_FACT: f"{size}:{sampled}"}


def mark_of(sha256: str, extra: dict[str, Any]) -> str:
    """What a project knows of an image's content: a SHA-256, else size and samples; empty when nothing."""
    known = extra.get(SAMPLES_FACT)
    return sha256 or (known if isinstance(known, str) and _SAMPLED.fullmatch(known) else "")


def is_sampled(mark: str) -> bool:
    """Whether a mark is of samples only."""
    return ":" in mark


def may_be(path: Path, mark: str) -> bool:
    """Whether a file can have that content, by its size alone; yes where the mark says none.

    Raises:
        OSError: it cannot be looked at.
    """
    return not is_sampled(mark) or os.stat(path).st_size == int(mark.partition(":")[0])


def now_of(path: Path, mark: str) -> str:
    """The mark, of the same kind, that a file has now.

    Raises:
        OSError: it cannot be read.
    """
    if not is_sampled(mark):
        return sha256_of(path)
    with path.open("rb") as stream:
        found = sampled(stream)
        return f"{stream.seek(0, 2)}:{found}"
