"""nnInteractive's arrays on the wire: a head with type and shape, then blosc2 chunks. Read with limits."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.errors import UserError
from annotator.server.problems import Problem

_MAGIC, _VERSION, _ZSTD = b"NNIA", 1, 1
_CODECS = (1, 2)
_HEAD = struct.Struct("<4sBBBB")
_CHUNK = struct.Struct("<QQ")
DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")


def blosc() -> Any:
    """The package blosc2.

    Raises:
        UserError: it is not installed.
    """
    try:
        import blosc2
    except ImportError as error:
        raise UserError(
            "nnInteractive's contract needs the package blosc2, which is not installed.",
            "Run: pip install 'annotator[nninteractive]'",
        ) from error
    return blosc2


def unpacked(data: bytes, *, axes: int, most: int) -> npt.NDArray[Any]:
    """An array of so many axes and at most so many values; nothing is unpacked that is larger than it says.

    Raises:
        Problem: it is none (422), or too large (413).
    """
    try:
        return _unpacked(data, axes=axes, most=most)
    except (struct.error, ValueError, RuntimeError, UnicodeDecodeError) as error:
        raise Problem(422, "no-array", "The body is no array as nnInteractive packs them.") from error


def _unpacked(data: bytes, *, axes: int, most: int) -> npt.NDArray[Any]:
    magic, version, codec, ndim, letters = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != _VERSION or codec not in _CODECS or ndim != axes:
        raise ValueError("not such an array")
    name = data[_HEAD.size : _HEAD.size + letters].decode("ascii")
    if name not in DTYPES:
        raise ValueError("not such numbers")
    at = _HEAD.size + letters
    shape = struct.unpack_from(f"<{ndim}q", data, at)
    if any(side <= 0 for side in shape):
        raise ValueError("nothing in it")
    if math.prod(shape) > most:
        raise Problem(413, "too-many-voxels", f"The array has more than {most:,} values.")
    at += 8 * ndim
    (chunks,) = struct.unpack_from("<I", data, at)
    at += 4
    out = np.empty(math.prod(shape), np.dtype(name))
    whole, written = out.view(np.uint8), 0
    for _ in range(chunks):
        length, packed = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        chunk = data[at : at + packed]
        if len(chunk) != packed or written + length > whole.nbytes or blosc().get_cbuffer_sizes(chunk)[0] != length:
            raise ValueError("a chunk is of another size than it says")
        whole[written : written + length] = np.frombuffer(blosc().decompress2(chunk), np.uint8)
        at, written = at + packed, written + length
    if written != whole.nbytes:
        raise ValueError("something is missing")
    return out.reshape(shape)


def packed(array: npt.NDArray[Any]) -> bytes:
    """The inverse, in one chunk."""
    array = np.ascontiguousarray(array)
    name = array.dtype.name.encode("ascii")
    module = blosc()
    chunk: bytes = module.compress2(
        array.tobytes(), typesize=array.itemsize, codec=module.Codec.ZSTD, clevel=1,
        filters=[module.Filter.NOFILTER],
    )  # fmt: skip
    head = _HEAD.pack(_MAGIC, _VERSION, _ZSTD, array.ndim, len(name)) + name
    shape = struct.pack(f"<{array.ndim}q", *array.shape)
    return head + shape + struct.pack("<I", 1) + _CHUNK.pack(array.nbytes, len(chunk)) + chunk
