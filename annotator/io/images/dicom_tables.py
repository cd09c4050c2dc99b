"""Lookup tables of DICOM: modality, VOI and palette, in every encoding that files have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.processing import apply_color_lut

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.display import ByteArray
from annotator.io.images.reader import CONVERT

_COLOURS = ("Red", "Green", "Blue")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Entries for the values from ``first`` on.

    Attributes:
        entries: whole numbers, at least one.
        first: the value that the first entry is for, as stored: files without types do not say whether it is signed.
        bits: of an entry, 1 to 16.
    """

    entries: npt.NDArray[np.int64]
    first: int
    bits: int

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Values to entries; below the table its first one, above it its last."""
        finite = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=1e9, neginf=-1e9)
        index = np.rint(finite).astype(np.int64) - self._start(float(finite.min()), float(finite.max()))
        return self.entries[np.clip(index, 0, self.entries.size - 1)]

    def _start(self, low: float, high: float) -> int:
        """``first`` as signed or unsigned: the reading in which the table covers more of the values (PS3.3
        C.11.2.1.1)."""

        def covered(start: int) -> float:
            return min(high, start + self.entries.size - 1) - max(low, start)

        return max((self.first, self.first - 65536), key=covered) if self.first > 32767 else self.first


def read_table(item: pydicom.Dataset, dataset: pydicom.Dataset, *, prefix: str = "LUT") -> Table:
    """A table from its descriptor and data. (pydicom 3.0's own readers fail on, or garble, 8-bit entries that are
    packed and palettes of big-endian files.)

    Raises:
        ValueError: it is empty or has no usable descriptor.
    """
    descriptor, stored = item.get(f"{prefix}Descriptor"), item.get(f"{prefix}Data")
    if descriptor is None or stored is None or len(descriptor) != 3:
        raise ValueError("a table without descriptor or data")
    count, first, bits = (int(v) for v in descriptor)
    count = count & 0xFFFF or 65536
    bits = max(1, min(bits & 0xFFFF, 16))
    if isinstance(stored, bytes):
        packed = bits <= 8 and len(stored) <= count + 1
        order = ">" if dataset.original_encoding[1] is False else "<"
        kind = np.dtype(np.uint8) if packed else np.dtype(f"{order}u2")
        if packed and order == ">" and item[f"{prefix}Data"].VR == "OW":  # two in a word, the lower byte first
            stored = np.frombuffer(stored, "u2").byteswap().tobytes()
        entries = np.frombuffer(stored[: len(stored) // kind.itemsize * kind.itemsize], kind).astype(np.int64)
    else:
        entries = np.atleast_1d(np.asarray(stored, np.int64)) & 0xFFFF
    if entries.size == 0:
        raise ValueError("an empty table")
    return Table(entries[:count], first, bits)


def through_palette(values: npt.NDArray[Any], dataset: pydicom.Dataset, name: str) -> ByteArray:
    """H x W entries of a palette to H x W x 3.

    Raises:
        ImageError: there is no usable palette.
    """
    try:
        if "RedPaletteColorLookupTableData" in dataset:
            tables = [read_table(dataset, dataset, prefix=f"{c}PaletteColorLookupTable") for c in _COLOURS]
            colours = np.stack([table(values) for table in tables], axis=2)
            bits = max(table.bits for table in tables)
        else:
            colours = np.asarray(apply_color_lut(values, dataset))[:, :, :3]
            bits = colours.dtype.itemsize * 8
    except Exception as error:
        raise ImageError(f"{brief(name)} has no usable palette.", CONVERT) from error
    # Some write entries of 8 bits into a palette of 16: nobody means the darkest 256th of all colours.
    shift = 0 if colours.max(initial=0) <= 255 else max(0, bits - 8)
    shown: ByteArray = np.clip(colours >> shift, 0, 255).astype(np.uint8)
    return shown
