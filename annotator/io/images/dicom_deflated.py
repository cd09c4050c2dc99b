"""A DICOM file whose data set is deflated, asked how much it holds before all of it is in memory."""

from __future__ import annotations

import zlib
from typing import BinaryIO

import pydicom
from pydicom.filereader import _read_file_meta_info, read_preamble

from annotator.domain import budget
from annotator.domain.errors import ImageError

_DATA_SET_COPIES = 3
_CHUNK_BYTES = 1 << 20


def check_deflated(stream: BinaryIO, name: str) -> None:
    """Before pydicom inflates a data set as a whole.

    Raises:
        ImageError: it would be more than the limit.
    """
    start = stream.tell()
    try:
        read_preamble(stream, force=True)
        meta = _read_file_meta_info(stream)
        if meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian:
            _count_inflated(stream, name)
    finally:
        stream.seek(start)


def _count_inflated(stream: BinaryIO, name: str) -> None:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    count = 0
    while not inflate.eof:
        block = inflate.unconsumed_tail or stream.read(_CHUNK_BYTES)
        if not block:
            return
        count += len(inflate.decompress(block, _CHUNK_BYTES))
        budget.ask(name, _DATA_SET_COPIES * count, error=ImageError)
