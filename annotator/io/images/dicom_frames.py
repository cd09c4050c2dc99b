"""One frame out of a DICOM file of many: its bytes alone are read, so that a stack of a thousand slices scrolls."""

from __future__ import annotations

import struct
from typing import BinaryIO, cast

import pydicom
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate, get_frame

from annotator.io.images.dicom_facts import value_of, whole_number

_PIXEL_DATA = 0x7FE00010
_UNKNOWN_LENGTH = 0xFFFFFFFF
_LONG_VRS = (b"OB", b"OW", b"UN")
HOLDS_ONE_FRAME = "holds_one_frame"
"""Set on a data set whose pixel data are those of the wanted frame alone."""


def take_frame(stream: BinaryIO, dataset: pydicom.Dataset, frame: int) -> bool:
    """Give a data set that was read up to its pixel data those of one frame. The stream stands where reading stopped.

    Returns:
        Whether it could be done; else nothing has changed, and the whole file has to be read (bits and chroma that
        share bytes, values that are not of 8, 16 or 32 bits, odd headers).
    """
    frames = whole_number(dataset, "NumberOfFrames", 1)
    syntax = value_of(getattr(dataset, "file_meta", pydicom.Dataset()), "TransferSyntaxUID")
    if not 0 <= frame < frames or frames < 2 or syntax is None or not syntax.is_transfer_syntax or syntax.is_private:
        return False
    head = _element_head(stream, is_implicit=syntax.is_implicit_VR, order="<" if syntax.is_little_endian else ">")
    if head is None:
        return False
    vr, length = head
    data = (
        _compressed(stream, frame, frames) if syntax.is_compressed else _plain(stream, dataset, frame, frames, length)
    )
    if data is None:
        return False
    dataset[_PIXEL_DATA] = DataElement(_PIXEL_DATA, vr, data)
    setattr(dataset, HOLDS_ONE_FRAME, True)
    return True


def _element_head(stream: BinaryIO, *, is_implicit: bool, order: str) -> tuple[str, int] | None:
    """VR and length of the pixel data; afterwards the stream stands at their value."""
    head = stream.read(8)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) != (_PIXEL_DATA >> 16, _PIXEL_DATA & 0xFFFF):
        return None
    if is_implicit:
        return "OW", int(struct.unpack(f"{order}L", head[4:])[0])
    if head[4:6] not in _LONG_VRS:
        return None
    return head[4:6].decode("ascii"), int(struct.unpack(f"{order}L", stream.read(4))[0])


def _plain(stream: BinaryIO, dataset: pydicom.Dataset, frame: int, frames: int, length: int) -> bytes | None:
    bits, model = whole_number(dataset, "BitsAllocated", 0), value_of(dataset, "PhotometricInterpretation")
    if bits not in (8, 16, 32) or model == "YBR_FULL_422":
        return None
    samples = whole_number(dataset, "SamplesPerPixel", 1)
    size = whole_number(dataset, "Rows", 0) * whole_number(dataset, "Columns", 0) * samples * bits // 8
    if size <= 0 or length == _UNKNOWN_LENGTH or size * frames > length:
        return None
    stream.seek(size * frame, 1)
    data = stream.read(size)
    return data + b"\0" * (size % 2) if len(data) == size else None


def _compressed(stream: BinaryIO, frame: int, frames: int) -> bytes | None:
    try:
        data = get_frame(cast("pydicom.filebase.ReadableBuffer", stream), frame, number_of_frames=frames)
    except (ValueError, EOFError, struct.error):  # odd items: the whole file is read, which says what is wrong with it
        return None
    return encapsulate([data])
