"""NRRD volumes in one file (``.nrrd``), raw or packed by gzip: headers by pynrrd, a slice at a time."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.io.images.grid import Grid, GridReader
from annotator.io.images.reader import CONVERT, COPY_AGAIN

_MAGIC = b"NRRD000"
_MOST_HEADER_BYTES = 1 << 20
_MOST = 1 << 24
_SPACES = {
    "left-posterior-superior": (1, 1),
    "lps": (1, 1),
    "right-anterior-superior": (-1, -1),
    "ras": (-1, -1),
    "left-anterior-superior": (1, -1),
    "las": (1, -1),
}
"""Factors of x and y that make LPS of a space."""
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    **{"float": "f4", "double": "f8"},
}
_SPATIAL = ("domain", "space", "none", "???")


class NrrdReader(GridReader):
    """NRRD with its data in the same file."""

    name = "nrrd"
    version = 1
    suffixes = frozenset((".nrrd",))
    surveyed = suffixes
    placed = suffixes

    def __init__(self) -> None:
        super().__init__(_read)

    def sniff(self, head: bytes) -> bool:
        return head.startswith(_MAGIC)


def label_grid(stream: BinaryIO, name: str) -> tuple[Grid, dict[str, Any]]:
    """The numbers of a label map, in any number of layers, and the file's header.

    Raises:
        ImageError: damaged.
    """
    header, end = _header(stream, name)
    return _grid(header, name, end, has_layers=True), header


def _read(stream: BinaryIO, name: str) -> Grid:
    """Raises: ImageError: damaged, or of a kind that cannot be shown."""
    header, end = _header(stream, name)
    return _grid(header, name, end)


def _header(stream: BinaryIO, name: str) -> tuple[dict[str, Any], int]:
    """With where it ends."""
    stream.seek(0)
    head = stream.read(_MOST_HEADER_BYTES)
    end = next((at + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if (at := head.find(mark)) > 0), 0)
    if not head.startswith(_MAGIC) or not end:
        raise ImageError(f"{brief(name)} is not an NRRD volume, or its beginning is damaged.", COPY_AGAIN)
    import nrrd  # only where there is a volume

    try:
        header = nrrd.read_header(head[:end].decode("utf-8", "replace").splitlines())
    except Exception as error:  # pynrrd raises nearly anything on damaged headers
        raise ImageError(f"{brief(name)} has a damaged header.", COPY_AGAIN) from error
    return header, end


def _grid(header: dict[str, Any], name: str, end: int, *, has_layers: bool = False) -> Grid:
    encoding = str(header.get("encoding", "raw")).lower()
    if "data file" in header or "datafile" in header:
        raise ImageError(f"{brief(name)} has its numbers in another file.", "Save it as one .nrrd file.")
    if encoding not in ("raw", "gzip", "gz") or header.get("byte skip", 0) or header.get("line skip", 0):
        raise ImageError(f"{brief(name)} stores its numbers in a way that cannot be read ({encoding}).", CONVERT)
    try:
        dtype = np.dtype(_TYPES[str(header["type"]).lower()])
    except KeyError as error:
        raise ImageError(f"{brief(name)} holds numbers of an unknown kind.", CONVERT) from error
    if dtype.itemsize > 1:
        dtype = dtype.newbyteorder(">" if header.get("endian") == "big" else "<")
    sizes = [int(n) for n in header.get("sizes", ())]
    kinds = [str(kind).lower() for kind in header.get("kinds", ["domain"] * len(sizes))]
    samples = 1
    if kinds and kinds[0] not in _SPATIAL and len(sizes) > 2:  # the first axis is a colour
        samples, sizes, kinds = sizes[0], sizes[1:], kinds[1:]
        if not has_layers and (samples not in (3, 4) or dtype != np.uint8):
            raise ImageError(f"{brief(name)} has {samples} numbers for each pixel, which cannot be shown.", CONVERT)
    if not 2 <= len(sizes) <= 4 or any(not 0 < n <= _MOST for n in sizes):
        raise ImageError(f"{brief(name)} says that it has no usable size.", COPY_AGAIN)
    i, j, k, times = [*sizes, 1, 1][:4]
    affine = _affine(header, len(sizes))
    notes = (f"{times} volumes of {counted(k, 'slice')}",) if times > 1 else ()
    packed = encoding != "raw"
    return Grid(
        (i, j, k, times),
        dtype,
        0 if packed else end,
        np.eye(4) if affine is None else affine,
        samples,
        is_packed=packed,
        offset_packed=end,
        has_space=affine is not None,
        notes=notes,
    )


def _affine(header: dict[str, Any], axes: int) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """From indices to LPS millimetres; None where the file does not say."""
    directions, space = header.get("space directions"), str(header.get("space", "")).lower()
    if directions is None:
        spacings = [float(value) for value in header.get("spacings", ())][-axes:]
        if len(spacings) < 2 or not np.isfinite(spacings[:2]).all() or min(spacings[:2]) <= 0:
            return None
        return np.diag([*spacings[:3], *([1.0] * (3 - len(spacings[:3]))), 1.0])
    rows = [row for row in np.asarray(directions, np.float64) if np.isfinite(row).all() and len(row) == 3]
    if len(rows) < 2 or space not in _SPACES:
        return None
    if len(rows) == 2:
        rows.append(np.cross(rows[0], rows[1]))
    affine = np.eye(4)
    affine[:3, :3] = np.stack(rows[:3], axis=1)
    origin = np.asarray(header.get("space origin", (0, 0, 0)), np.float64)
    affine[:3, 3] = origin if origin.shape == (3,) and np.isfinite(origin).all() else 0.0
    x, y = _SPACES[space]
    affine = np.diag([float(x), float(y), 1.0, 1.0]) @ affine
    return affine if abs(float(np.linalg.det(affine[:3, :3]))) > 0 else None
