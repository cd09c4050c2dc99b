"""Files of more than 8 bits that Pillow would cut to 8, or whose channels it would take for opacity: 16-bit PNG and
PNM, JPEG 2000, AVIF of 10 and 12 bits, JPEG of 12. Decoded with imagecodecs, described for ``colours.py``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import numpy.typing as npt

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.colours import Samples
from annotator.io.images.reader import CONVERT, COPY_AGAIN

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_NO_BYTES = memoryview(b"")
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_JPEG_MAGIC = b"\xff\xd8\xff"
_JP2_MAGIC, _J2K_MAGIC = b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"
_JP2_HEADER_BYTES = 1 << 20
_SYCC, _GREYSCALE = 18, 17
_AVIF_HEADER_BYTES = 1 << 16


DeepDecoder = Callable[[BinaryIO, str, int], Samples]
"""From a stream, the name for messages and the frame to samples that are not turned upright.

Raises:
    ImageError: cut off, or stored in a way that cannot be shown.
    Exception: nearly any, for damaged files.
"""


@dataclass(frozen=True, slots=True)
class Jpeg2000:
    """What the header of a JPEG 2000 file says.

    Attributes:
        width, height: pixels.
        depths: bits of each component; is_signed: whether one of them is.
        space: the number of the enumerated colour space; None without one.
        opacity: the component that is opacity; is_premultiplied: whether colours are multiplied by it.
        has_palette: whether components are entries of a palette.
    """

    width: int
    height: int
    depths: tuple[int, ...]
    is_signed: bool
    space: int | None = None
    opacity: int | None = None
    is_premultiplied: bool = False
    has_palette: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether Pillow shows it as it is: 8 bits or fewer, one or three components, or opacity that is said to be."""
        channels = len(self.depths) - (self.opacity is not None)
        ends_with_opacity = self.opacity in (None, len(self.depths) - 1) and not self.is_premultiplied
        return self.has_palette or (max(self.depths) <= 8 and channels in (1, 3) and ends_with_opacity)


def deep_decoder(stream: BinaryIO, head: bytes) -> DeepDecoder | None:
    """What decodes a file of this module, by its header; None for all others.

    Args:
        head: the first 64 bytes of the file.
    """
    for is_it, decode in _FORMATS:
        if is_it(stream, head):
            return decode
    return None


def size_without_pillow(stream: BinaryIO, head: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG or JPEG 2000 file that Pillow does not know; None for others."""
    if head.startswith(_JPEG_MAGIC):
        frame = _jpeg_frame(stream)
        return None if frame is None else (frame.width, frame.height)
    about = jpeg2000_header(stream)
    return None if about is None else (about.width, about.height)


# --- PNG --------------------------------------------------------------------------------------------------------------


def _is_deep_png(_stream: BinaryIO, head: bytes) -> bool:
    return head.startswith(PNG_MAGIC) and head[24:25] == b"\x10"


def _read_png(stream: BinaryIO, _name: str, _frame: int) -> Samples:
    stream.seek(0)
    data = stream.read()
    values = _three_axes(imagecodecs.png_decode(critical_png(data)))
    kind = data[25]
    if kind in (4, 6):
        return Samples(values, "grey" if kind == 4 else "rgb", alpha=values.shape[2] - 1)
    clear = next((content for name, content, _ in _png_chunks(data) if name == b"tRNS"), _NO_BYTES)
    if len(clear) == 2 * values.shape[2]:
        colour = np.frombuffer(clear, ">u2").astype(np.uint16)
        opaque = (values != colour).any(axis=2, keepdims=True)
        alpha = np.where(opaque, np.uint16(65535), np.uint16(0))
        return Samples(np.dstack([values, alpha]), "grey" if kind == 0 else "rgb", alpha=values.shape[2])
    return Samples(values, "grey" if kind == 0 else "rgb")


def critical_png(data: bytes) -> bytes:
    """Only what makes the picture: the decoder complains on the terminal about odd colour profiles and texts."""
    chunks = list(_png_chunks(data))
    if all(kind in _PNG_CHUNKS for kind, _, _ in chunks):
        return data
    return b"".join([PNG_MAGIC, *(whole for kind, _, whole in chunks if kind in _PNG_CHUNKS)])


def png_clear_grey(stream: BinaryIO, head: bytes) -> int | None:
    """The grey of 2 or 4 bits that a PNG calls transparent, as it is shown (0..255). (Pillow compares the number as
    stored with what it has already made 8 bits of.)"""
    if not head.startswith(PNG_MAGIC) or head[24:25] not in (b"\x02", b"\x04") or head[25:26] != b"\0":
        return None
    place = stream.tell()
    stream.seek(0)
    try:
        clear = next((content for kind, content, _ in _png_chunks(stream.read()) if kind == b"tRNS"), _NO_BYTES)
    finally:
        stream.seek(place)
    full = 2 ** head[24] - 1
    return (int.from_bytes(clear, "big") & full) * 255 // full if len(clear) == 2 else None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Kind, content and all the bytes of each chunk; nothing is copied."""
    view, at = memoryview(data), len(PNG_MAGIC)
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], view[at + 8 : at + 8 + size], view[at : at + 12 + size]
        at += 12 + size


# --- PNM --------------------------------------------------------------------------------------------------------------


def _is_deep_pnm(stream: BinaryIO, head: bytes) -> bool:
    if head[:2] not in (b"P2", b"P3", b"P5", b"P6"):
        return False
    try:
        return _pnm_header(stream)[3] > 255
    except ValueError:
        return False


def _pnm_header(stream: BinaryIO) -> tuple[bytes, int, int, int]:
    stream.seek(0)
    kind = stream.read(2)
    width, height, most = (_pnm_number(stream) for _ in range(3))
    return kind, width, height, most


def _read_pnm(stream: BinaryIO, name: str, _frame: int) -> Samples:
    kind, width, height, _ = _pnm_header(stream)
    channels = 3 if kind in (b"P3", b"P6") else 1
    wanted = width * height * channels
    if kind in (b"P5", b"P6"):
        data = stream.read(2 * wanted)
        numbers: npt.NDArray[Any] = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype(np.uint16)
    else:
        numbers = np.array(stream.read().split()[:wanted], np.uint16)
    if numbers.size < wanted:
        raise ImageError(f"{brief(name)} is cut off: the file ends before the picture does.", COPY_AGAIN)
    return Samples(numbers.reshape(height, width, channels), "grey" if channels == 1 else "rgb")


def _pnm_number(stream: BinaryIO) -> int:
    """The next number of a header, and the one blank behind it.

    Raises:
        ValueError: there is none.
    """
    digits = b""
    while True:
        byte = stream.read(1)
        if byte == b"#" and not digits:
            stream.readline()
        elif byte.isdigit() and len(digits) < 10:
            digits += byte
        elif byte.isspace() and not digits:
            continue
        else:
            return int(digits)


# --- JPEG 2000 --------------------------------------------------------------------------------------------------------


def _is_unplain_jpeg2000(stream: BinaryIO, head: bytes) -> bool:
    about = jpeg2000_header(stream) if head.startswith((_JP2_MAGIC, _J2K_MAGIC)) else None
    return about is not None and not about.is_plain


def _read_jpeg2000(stream: BinaryIO, name: str, _frame: int) -> Samples:
    about = jpeg2000_header(stream)
    if about is None:
        raise ValueError("no header")
    if len(set(about.depths[:3])) > 1:
        raise ImageError(f"{brief(name)} is a JPEG 2000 file whose channels differ in depth.", CONVERT)
    stream.seek(0)
    values = _three_axes(imagecodecs.jpeg2k_decode(stream.read()))
    channels = len(about.depths) - (about.opacity is not None)
    if about.space == _SYCC and channels >= 3:
        if about.is_signed:
            raise ImageError(f"{brief(name)} is a JPEG 2000 file of signed YCbCr colours.", CONVERT)
        values = _from_ycc(values, about.depths[0])
    is_colour = channels >= 3 and about.space != _GREYSCALE
    return Samples(
        values,
        "rgb" if is_colour else "grey",
        bits=about.depths[0] if not about.is_signed else None,
        alpha=about.opacity,
        is_premultiplied=about.is_premultiplied,
    )


def jpeg2000_header(stream: BinaryIO) -> Jpeg2000 | None:
    """What a JPEG 2000 file says of itself before its pixels; None when it is damaged there."""
    stream.seek(0)
    head = stream.read(_JP2_HEADER_BYTES)
    at = head.find(_J2K_MAGIC)
    if at < 0 or len(head) < at + 42:
        return None
    width, height, left, top = struct.unpack_from(">IIII", head, at + 8)
    (components,) = struct.unpack_from(">H", head, at + 40)
    sizes = head[at + 42 : at + 42 + 3 * components : 3]
    if components == 0 or len(sizes) < components:
        return None
    boxes = dict(_boxes(head, 0, at)) if head.startswith(_JP2_MAGIC) else {}
    inner = dict(_boxes(boxes.get(b"jp2h", b""), 0, None))
    opacity, is_premultiplied = _opacity(inner.get(b"cdef", b""), components)
    colour = inner.get(b"colr", b"")
    return Jpeg2000(
        width - left,
        height - top,
        tuple((size & 127) + 1 for size in sizes),
        any(size & 128 for size in sizes),
        space=int.from_bytes(colour[3:7], "big") if colour[:1] == b"\x01" else None,
        opacity=opacity,
        is_premultiplied=is_premultiplied,
        has_palette=b"pclr" in inner,
    )


def _boxes(data: bytes, at: int, end: int | None) -> Iterator[tuple[bytes, bytes]]:
    end = len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def _opacity(definition: bytes, components: int) -> tuple[int | None, bool]:
    for at in range(2, len(definition) - 5, 6):
        channel, kind, _ = struct.unpack_from(">HHH", definition, at)
        if kind in (1, 2) and 0 < channel < components:
            return channel, kind == 2
    return None, False


def _from_ycc(values: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """sYCC of any depth to RGB of the same depth (IEC 61966-2-1 Amd. 1)."""
    middle, full = 2.0 ** (bits - 1), 2**bits - 1
    y = values[:, :, 0].astype(np.float64)
    cb, cr = (values[:, :, n].astype(np.float64) - middle for n in (1, 2))
    rgb = np.dstack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb])
    out = values.copy()
    out[:, :, :3] = np.rint(np.clip(rgb, 0, full)).astype(values.dtype)
    return out


# --- AVIF and JPEG ----------------------------------------------------------------------------------------------------


def _avif_bits(stream: BinaryIO) -> int:
    stream.seek(0)
    head = stream.read(_AVIF_HEADER_BYTES)
    at = head.find(b"av1C")
    flags = head[at + 6] if 0 <= at < len(head) - 6 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _is_deep_avif(stream: BinaryIO, head: bytes) -> bool:
    return head[4:12] in (b"ftypavif", b"ftypavis") and _avif_bits(stream) > 8


def _read_avif(stream: BinaryIO, _name: str, frame: int) -> Samples:
    bits = _avif_bits(stream)
    stream.seek(0)
    values = _three_axes(imagecodecs.avif_decode(stream.read(), index=frame))
    channels = values.shape[2]
    alpha = channels - 1 if channels in (2, 4) else None
    return Samples(values, "grey" if channels < 3 else "rgb", bits=bits, alpha=alpha)


@dataclass(frozen=True, slots=True)
class _JpegFrame:
    bits: int
    width: int
    height: int
    channels: int


def _jpeg_frame(stream: BinaryIO) -> _JpegFrame | None:
    """The head of the first frame of a JPEG file; None when there is none in sight."""
    stream.seek(2)
    while True:
        mark = stream.read(4)
        if len(mark) < 4 or mark[0] != 0xFF:
            return None
        if mark[1] == 0xFF:  # a filler before the marker
            stream.seek(-3, 1)
        elif 0xC0 <= mark[1] <= 0xCF and mark[1] not in (0xC4, 0xC8, 0xCC):
            frame = stream.read(6)
            if len(frame) < 6:
                return None
            bits, height, width, channels = struct.unpack(">BHHB", frame)
            return _JpegFrame(bits, width, height, channels)
        else:
            stream.seek(max(0, int.from_bytes(mark[2:], "big") - 2), 1)


def _is_deep_jpeg(stream: BinaryIO, head: bytes) -> bool:
    frame = _jpeg_frame(stream) if head.startswith(_JPEG_MAGIC) else None
    return frame is not None and frame.bits > 8


def _read_jpeg(stream: BinaryIO, name: str, _frame: int) -> Samples:
    frame = _jpeg_frame(stream)
    if frame is None or frame.channels not in (1, 3):
        raise ImageError(f"{brief(name)} is a deep JPEG of a kind that cannot be shown.", CONVERT)
    stream.seek(0)
    values = _three_axes(imagecodecs.jpeg8_decode(stream.read()))
    return Samples(values, "grey" if frame.channels == 1 else "rgb", bits=frame.bits)


def _three_axes(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values[:, :, None] if values.ndim == 2 else values


_FORMATS: tuple[tuple[Callable[[BinaryIO, bytes], bool], DeepDecoder], ...] = (
    (_is_deep_png, _read_png),
    (_is_unplain_jpeg2000, _read_jpeg2000),
    (_is_deep_pnm, _read_pnm),
    (_is_deep_avif, _read_avif),
    (_is_deep_jpeg, _read_jpeg),
)
