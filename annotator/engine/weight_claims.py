"""What a weights file claims to hold, against what it can hold: asked before anything is allocated.

A stranger's file of a hundred bytes can name a tensor of gigabytes, and a network of any width. torch allocates first
and compares later.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError

_LEGACY_PICKLES = 4
"""Torch's old format is a row of pickles: a magic number, a version, facts about the machine, the object."""
_BYTES_OF = {"Double": 8, "Long": 8, "ComplexFloat": 8, "ComplexDouble": 16, "Float": 4, "Int": 4, "Short": 2}
_HALF = ("Half", "BFloat16")
_ALLOCATES = ("bytearray", "bytes", "range", "list", "tuple", "set")


def check_checkpoint(path: Path) -> None:
    """Before ``torch.load``: the archive is not compressed, and its pickle asks for no more than the file has.

    The pickle is gone through with inert stand-ins: nothing of it is run, no tensor is made.

    Raises:
        ModelError: it claims more, does not read as weights at all, or needs more memory than the limit.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        try:
            claimed = _claimed_in_archive(file, size) if zipfile.is_zipfile(file) else _claimed_in_row(file, size)
        except OSError:
            raise
        except Exception as error:  # a hostile pickle makes the unpickler raise anything
            raise ModelError(
                f"{brief(path.name)} is damaged or not a plain weights file.", "Copy it again from its source."
            ) from error
    if claimed > size:
        message = f"{brief(path.name)} is damaged: its {size:,} bytes claim {budget.in_words(claimed)} of weights."
        raise ModelError(message, "Copy it again from its source.")
    budget.ask(path.name, claimed, error=ModelError)


def check_network(path: Path, least_values: int) -> None:
    """Before a network is built as a file describes it.

    Args:
        least_values: weights that such a network has at least.

    Raises:
        ModelError: the file cannot hold so many, or the network needs more memory than the limit.
    """
    size = path.stat().st_size
    if least_values > size:
        raise ModelError(
            f"{brief(path.name)} is damaged: its {size:,} bytes describe a network of {least_values:,} weights "
            "or more.",
            "Copy it again from its source.",
        )
    budget.ask(path.name, 4 * least_values, error=ModelError)


def _claimed_in_archive(file: BinaryIO, size: int) -> int:
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise pickle.UnpicklingError("a compressed part")
        stored = sum(part.file_size for part in parts)
        if stored > size:
            return stored
        (described,) = [part for part in parts if part.filename.endswith("/data.pkl")]
        dry = _DryRun(io.BytesIO(archive.read(described)))
        dry.load()
        return dry.claimed_bytes


def _claimed_in_row(file: BinaryIO, size: int) -> int:
    file.seek(0)
    bounded = _Bounded(file, size)
    for _ in range(_LEGACY_PICKLES):
        dry = _DryRun(bounded)
        dry.load()
    return dry.claimed_bytes


class _Bounded:
    """Reads no more than there is: Python would take the memory first."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, max(0, self._size - self._file.tell())))

    def readline(self) -> bytes:
        return self._file.readline()


class _Inert:
    """Stands for whatever a pickle makes: takes all, does nothing."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None: ...

    def append(self, _: object) -> None: ...

    def extend(self, _: object) -> None: ...


class _StorageKind:
    """A storage's type as it is named in a pickle; making one there would allocate."""

    def __init__(self, name: str) -> None:
        self.bytes = _BYTES_OF.get(name, 2 if name in _HALF else 1)


# The unpickler in Python: the one in C makes a list as long as the largest number of a memo.
class _DryRun(pickle._Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="utf-8")
        self._storages: dict[str, int] = {}

    @property
    def claimed_bytes(self) -> int:
        return sum(self._storages.values())

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if name.endswith("Storage"):
            return _StorageKind(name.removesuffix("Storage"))
        if name.endswith("Tensor") or name in _ALLOCATES:
            raise pickle.UnpicklingError(f"{module}.{brief(name)} does not belong into plain weights")
        return _Inert

    def persistent_load(self, found: Any) -> object:
        _, kind, key, _, count, *_ = found
        self._storages[str(key)] = kind.bytes * int(count)
        return _Inert()
