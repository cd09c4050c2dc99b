"""NIfTI-1 files of labels, written as the standard says; nibabel reads them back (:mod:`.check`)."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.io.formats.medical.volumes import Volume

_HEAD_BYTES, _OFFSET = 348, 352
_TYPES = {"uint8": 2, "uint16": 512}
_LABELS = 1002
"""NIFTI_INTENT_LABEL"""
_ALIGNED = 2
"""Of qform and sform: what the coordinates are in; the scanner's, or another image's."""
_MM = 2
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MOST_PIXELS = 32_767
"""Along an axis."""


def write_nifti(path: Path, volume: Volume, frames: Iterable[npt.NDArray[Any]], dtype: str) -> None:
    """Write slice by slice.

    Args:
        frames: as they are stored, j x i, in order.
        dtype: "uint8" or "uint16".
    """
    # No time and no name in the packed file: the same project gives the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream:
        stream.write(_header(volume, dtype))
        for frame in frames:
            stream.write(np.ascontiguousarray(frame, np.dtype(dtype).newbyteorder("<")).tobytes())


def _header(volume: Volume, dtype: str) -> bytes:
    head = bytearray(_OFFSET)
    i, j, k, times = volume.shape
    struct.pack_into("<i", head, 0, _HEAD_BYTES)
    struct.pack_into("<8h", head, 40, 3 if times == 1 else 4, i, j, k, times, 1, 1, 1)
    struct.pack_into("<hhh", head, 68, _LABELS, _TYPES[dtype], 8 * np.dtype(dtype).itemsize)
    struct.pack_into("<3f", head, 108, _OFFSET, 1.0, 0.0)
    head[123] = _MM
    head[344:348] = b"n+1\0"
    spacing = volume.spacing or (1.0, 1.0, 1.0)
    if volume.affine is None:
        struct.pack_into("<8f", head, 76, 1.0, *spacing, 1.0, 0, 0, 0)
        head[123] = _MM if volume.spacing is not None else 0
        return bytes(head)
    affine = _LPS_TO_RAS @ volume.affine
    sign, quaternion = _quaternion(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    struct.pack_into("<8f", head, 76, sign, *spacing, 1.0, 0, 0, 0)
    struct.pack_into("<hh", head, 252, 0 if volume.is_sheared else _ALIGNED, _ALIGNED)
    if not volume.is_sheared:
        struct.pack_into("<6f", head, 256, *quaternion, *affine[:3, 3])
    struct.pack_into("<12f", head, 280, *affine[:3].ravel())
    return bytes(head)


def _quaternion(turn: npt.NDArray[np.float64]) -> tuple[float, tuple[float, float, float]]:
    """Handedness (1 or -1) and b, c, d of a turn whose columns are unit vectors."""
    sign = 1.0 if np.linalg.det(turn) > 0 else -1.0
    turn = turn * [1.0, 1.0, sign]
    # From the largest of the four, so that nothing is divided by nearly 0.
    squares = [1 + np.trace(turn), *(1 + 2 * turn[axis, axis] - np.trace(turn) for axis in range(3))]
    most = int(np.argmax(squares))
    size = float(np.sqrt(max(squares[most], 0.0)) / 2)
    (_, xy, xz), (yx, _, yz), (zx, zy, _) = turn.tolist()
    parts = {
        0: (size * size * 4, zy - yz, xz - zx, yx - xy),
        1: (zy - yz, size * size * 4, xy + yx, xz + zx),
        2: (xz - zx, xy + yx, size * size * 4, yz + zy),
        3: (yx - xy, xz + zx, yz + zy, size * size * 4),
    }[most]
    a, b, c, d = (part / (4 * size) for part in parts)
    return sign, (b, c, d) if a >= 0 else (-b, -c, -d)
