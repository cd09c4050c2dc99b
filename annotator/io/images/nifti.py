"""NIfTI volumes (``.nii``, ``.nii.gz``): headers by nibabel, a slice at a time."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

import numpy as np

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.io.images.grid import Grid, GridReader, feed
from annotator.io.images.reader import CONVERT, COPY_AGAIN

_SIZES = {348: "Nifti1Header", 540: "Nifti2Header"}
"""nibabel's class for a header of this length."""
_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 544
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM_OF_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_COLOURS = {128: 3, 2304: 4}
_MOST = 1 << 24


class NiftiReader(GridReader):
    """NIfTI-1 and NIfTI-2 in one file."""

    name = "nifti"
    version = 1
    suffixes = frozenset((".nii", ".nii.gz"))
    surveyed = suffixes
    placed = suffixes

    def __init__(self) -> None:
        super().__init__(_read)

    def sniff(self, head: bytes) -> bool:
        return head[4:8] == b"n+2\0"  # the sign of version 1 lies behind the first bytes: known by its suffix


def _read(stream: BinaryIO, name: str) -> Grid:
    """Raises: ImageError: damaged, or of a kind that cannot be shown."""
    stream.seek(0)
    is_packed = stream.read(2) == _GZIP
    head = io.BytesIO()
    if is_packed:
        feed(stream, 0, _HEADER_BYTES, head.write)
    else:
        stream.seek(0)
        head.write(stream.read(_HEADER_BYTES))
    head.seek(0)
    return _grid(_header(head, name), name, is_packed=is_packed)


def _header(head: io.BytesIO, name: str) -> Any:
    block = head.getvalue()
    if len(block) < 4:
        block = bytes(4)
    found = [(size, order) for order in ("<", ">") if (size := struct.unpack(f"{order}i", block[:4])[0]) in _SIZES]
    if not found or len(block) < found[0][0]:
        raise ImageError(f"{brief(name)} is not a NIfTI volume, or its beginning is damaged.", COPY_AGAIN)
    import nibabel  # takes longer than all other readers together: only where there is a volume

    ((size, order),) = found
    # The block alone: what may follow it (extensions) is not looked at.
    return getattr(nibabel, _SIZES[size])(block[:size], order, check=False)


def _grid(header: Any, name: str, *, is_packed: bool) -> Grid:
    dims = [int(n) for n in header["dim"]]
    if not 2 <= dims[0] <= 7 or any(not 0 < n <= _MOST for n in dims[1 : dims[0] + 1]):
        raise ImageError(f"{brief(name)} says that it has no usable size.", COPY_AGAIN)
    sizes = [*dims[1 : dims[0] + 1], 1, 1][: max(4, dims[0])]
    i, j, k = sizes[0], sizes[1], sizes[2] if dims[0] > 2 else 1
    times = int(np.prod([float(n) for n in dims[4 : dims[0] + 1]])) if dims[0] > 3 else 1
    samples = _COLOURS.get(int(header["datatype"]), 1)
    try:
        dtype = np.dtype(np.uint8) if samples > 1 else header.get_data_dtype()
    except Exception as error:  # nibabel's own, for codes that are none
        raise ImageError(f"{brief(name)} holds numbers of an unknown kind.", CONVERT) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ImageError(f"{brief(name)} holds numbers that cannot be shown ({dtype}).", CONVERT)
    unit = _MM_OF_UNIT.get(header.get_xyzt_units()[0], 1.0)
    affine = _RAS_TO_LPS @ np.asarray(header.get_best_affine(), np.float64)
    affine[:3] *= unit
    has_space = bool(np.isfinite(affine).all()) and abs(float(np.linalg.det(affine[:3, :3]))) > 0
    offset = max(int(float(header["vox_offset"])), int(header["sizeof_hdr"]) + 4)
    slope, intercept = _scaling(header)
    notes = (f"{counted(times, 'volume')} of {counted(k, 'slice')}",) if times > 1 else ()
    return Grid(
        (i, j, k, times),
        dtype,
        offset,
        affine,
        samples,
        is_packed=is_packed,
        has_space=has_space,
        is_guess=int(header["qform_code"]) <= 0 and int(header["sform_code"]) <= 0,
        notes=notes,
        shown=_wanted_range(header),
        slope=slope,
        intercept=intercept,
    )


def _scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0, or none, means the numbers as they are."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    return (slope, intercept) if np.isfinite([slope, intercept]).all() and slope != 0 else (1.0, 0.0)


def _wanted_range(header: Any) -> tuple[float, float] | None:
    """``cal_min`` to ``cal_max``."""
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return (low, high) if np.isfinite([low, high]).all() and high > low else None
