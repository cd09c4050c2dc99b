"""DICOM images, read with pydicom: rescale, stored window, inversion, colour models. Nothing about the patient leaves.

The first of several windows is used; a VOI table goes before a window, as the standard says; without either, values are
stretched between robust percentiles.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array

from annotator.domain.errors import ImageError
from annotator.io.images.display import apply_window, grey_to_rgb, percentile_range, scale_to_bytes
from annotator.io.images.reader import COPY_AGAIN, Pixels, RgbArray, check_frame, check_size

# Files in the wild bend the rules for values that are not looked at here; each would print a warning.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
# It logs a traceback for each decoder that it tries in vain; the person gets one ImageError instead.
logging.getLogger("pydicom.pixels.decoders.base").setLevel(logging.CRITICAL)

_KEPT_TAGS = ("SOPInstanceUID", "SeriesInstanceUID", "Modality")
_PIXEL_TAGS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_COLOUR_MODELS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420", "YBR_PARTIAL_422")

FloatFunction = Callable[[npt.NDArray[np.float64]], npt.NDArray[Any]]


class DicomReader:
    """DICOM Part 10 files, and bare data sets named ``.dcm``."""

    name = "dicom"
    version = 1
    suffixes = frozenset((".dcm", ".dicom", ".dic", ".ima"))

    def sniff(self, head: bytes) -> bool:
        return head[128:132] == b"DICM"

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        dataset = _open(stream, name)
        frames = _check_image(dataset, name, max_pixels)
        check_frame(name, frame, frames)
        values = _decode(dataset, name, frame)
        notes: list[str] = []
        model = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip()
        if model == "PALETTE COLOR":
            colours = apply_color_lut(values, dataset)
            # Some write entries of 8 bits into a palette of 16: nobody means the darkest 256th of all colours.
            colours = colours.astype(np.uint8) if colours.max(initial=0) <= 255 else colours
            rgb, window = _to_eight_bits(colours), ""
        elif values.ndim == 3 or model in _COLOUR_MODELS:
            rgb, window = _to_eight_bits(values, int(dataset.get("BitsStored", 8))), ""
        else:
            grey, window = _show_grey(values, dataset, frame)
            rgb = grey_to_rgb(~grey if model == "MONOCHROME1" else grey)
        if window:
            notes.append(window)
        if frames > 1:
            notes.append(f"frame {frame + 1} of {frames}")
        extra = {tag: str(dataset.get(tag)) for tag in _KEPT_TAGS if dataset.get(tag)}
        return Pixels(rgb, window, _spacing(dataset, frame), extra, ", ".join(notes))

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        dataset = _open(stream, name, pixels=False)
        return int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        return self.read(stream, name, frame=0, max_pixels=max_pixels).rgb


def _open(stream: BinaryIO, name: str, *, pixels: bool = True) -> pydicom.Dataset:
    stream.seek(0)
    try:
        # Files without the Part 10 header are still common; whether it is an image shows in its tags.
        return pydicom.dcmread(stream, force=True, stop_before_pixels=not pixels)
    except InvalidDicomError as error:
        raise ImageError(f"{name} is not a DICOM file.", COPY_AGAIN) from error


def _check_image(dataset: pydicom.Dataset, name: str, max_pixels: int) -> int:
    """The number of frames.

    Raises:
        ImageError: no DICOM, no pixels in it, or too many.
    """
    if not any(tag in dataset for tag in _PIXEL_TAGS):
        if "SOPClassUID" not in dataset and "Rows" not in dataset:
            raise ImageError(f"{name} is not a DICOM file, or it is cut off.", COPY_AGAIN)
        kind = str(dataset.get("Modality", "") or "unknown kind")
        if "Rows" in dataset:
            raise ImageError(f"{name} is cut off: it has no pixel data.", COPY_AGAIN)
        raise ImageError(f"{name} is a DICOM file without a picture ({kind}).", "Take it out of the folder.")
    check_size(name, int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0), max_pixels)
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def _decode(dataset: pydicom.Dataset, name: str, frame: int) -> npt.NDArray[Any]:
    if not hasattr(dataset, "file_meta") or not dataset.file_meta.get("TransferSyntaxUID"):
        _assume_transfer_syntax(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        return np.asarray(pixel_array(dataset, index=frame))
    except (RuntimeError, NotImplementedError, ImportError) as error:
        kind = syntax.name if syntax.is_compressed else str(error).splitlines()[0][:160]
        raise ImageError(
            f"{name} cannot be decompressed ({kind}).",
            "Save it uncompressed, e.g. with: gdcmconv --raw IN OUT",
        ) from error
    except ValueError as error:
        if "less than expected" in str(error) or "expected length" in str(error):
            raise ImageError(f"{name} is cut off: pixel data is missing.", COPY_AGAIN) from error
        raise


def _assume_transfer_syntax(dataset: pydicom.Dataset) -> None:
    """A bare data set does not name its encoding; pydicom found out how to parse it, and pixels are uncompressed."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    implicit, little = dataset.original_encoding
    if little is False:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    elif implicit:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    else:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian


def _show_grey(values: npt.NDArray[Any], dataset: pydicom.Dataset, frame: int) -> tuple[npt.NDArray[np.uint8], str]:
    """8-bit grey and the words for the window. For 8 and 16 bits through a table of all possible values."""
    to_units = _modality(dataset, frame)
    window = _voi(dataset, frame)
    if window is not None:
        show, words = window
    elif values.dtype == np.uint8 and int(dataset.get("BitsStored", 0)) == 8 and not _has_rescale(dataset, frame):
        return values, ""
    else:
        units = to_units(values.astype(np.float64))
        padding = dataset.get("PixelPaddingValue")
        missing = float(to_units(np.array([float(padding)]))[0]) if isinstance(padding, int) else None
        low, high = percentile_range(units, padding=missing)
        show, words = lambda x: scale_to_bytes(x, low, high), f"stretched {low:g} to {high:g}"
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        limits = np.iinfo(values.dtype)
        table = show(to_units(np.arange(limits.min, limits.max + 1, dtype=np.float64)))
        return table[values.astype(np.int32) - limits.min], words
    return show(to_units(values.astype(np.float64))), words


def _modality(dataset: pydicom.Dataset, frame: int) -> FloatFunction:
    """Stored values to the units of the window (Hounsfield, ...): a table or slope and intercept."""
    if dataset.get("ModalityLUTSequence"):
        return lambda x: np.asarray(apply_modality_lut(np.rint(x).astype(np.int64), dataset), np.float64)
    group = _functional(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = _number(group.get("RescaleSlope")), _number(group.get("RescaleIntercept"))
    a, b = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    return lambda x: x * a + b


def _has_rescale(dataset: pydicom.Dataset, frame: int) -> bool:
    group = _functional(dataset, frame, "PixelValueTransformationSequence") or dataset
    return bool(dataset.get("ModalityLUTSequence")) or "RescaleSlope" in group


def _voi(dataset: pydicom.Dataset, frame: int) -> tuple[FloatFunction, str] | None:
    """The stored VOI table or the first stored window as a function to 0..255, and its words; None without one."""
    group = _functional(dataset, frame, "FrameVOILUTSequence") or dataset
    if group.get("VOILUTSequence"):
        return _voi_table(group.VOILUTSequence[0], dataset), "window table"
    centre, width = _number(group.get("WindowCenter")), _number(group.get("WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    function = str(group.get("VOILUTFunction") or "LINEAR").strip().upper()
    words = f"window {width:g}/{centre:g}" + ("" if function == "LINEAR" else f" {function.lower()}")
    return lambda x: apply_window(x, centre, width, function), words


def _voi_table(item: pydicom.Dataset, dataset: pydicom.Dataset) -> FloatFunction:
    """A stored table as a function. (pydicom 3.0's own counts the index in the table's depth: wrong above 256 entries
    of 8 bits.)"""
    count, first, bits = (int(v) for v in item.LUTDescriptor)
    stored = item.LUTData
    if isinstance(stored, bytes):
        is_big_endian = dataset.original_encoding[1] is False
        packed = bits <= 8 and len(stored) <= (count or 65536) + 1
        table = np.frombuffer(stored, np.uint8 if packed else np.dtype(">u2" if is_big_endian else "<u2"))
    else:
        table = np.atleast_1d(np.asarray(stored, np.int64))
    table = table[: count or 65536]
    if table.size == 0:
        raise ValueError("the stored window table is empty")
    shown = scale_to_bytes(table, 0.0, float(2 ** max(1, min(bits, 16)) - 1))

    def through_table(x: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        start = _first_mapped(first, table.size, float(x.min()), float(x.max()))
        return shown[np.clip(np.rint(x).astype(np.int64) - start, 0, table.size - 1)]

    return through_table


def _first_mapped(first: int, count: int, low: float, high: float) -> int:
    """The first value of a table, of 16 bits: files without types do not say whether it is signed (PS3.3 C.11.2.1.1).
    That reading counts in which the table covers more of the values."""

    def covered(start: int) -> float:
        return min(high, start + count - 1) - max(low, start)

    return max((first, first - 65536), key=covered) if first > 32767 else first


def _spacing(dataset: pydicom.Dataset, frame: int) -> tuple[float, float] | None:
    group = _functional(dataset, frame, "PixelMeasuresSequence") or dataset
    stored = group.get("PixelSpacing")
    if stored is None or isinstance(stored, str) or len(stored) != 2:
        return None
    down, right = (_number(v) for v in stored)
    if down is None or right is None or down <= 0 or right <= 0:
        return None
    return right, down


def _functional(dataset: pydicom.Dataset, frame: int, name: str) -> pydicom.Dataset | None:
    """A functional group of an enhanced multi-frame object: the frame's own, else the shared one."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in (*per_frame[frame : frame + 1], *shared[:1]):
        if group.get(name):
            return group[name].value[0]  # type: ignore[no-any-return]
    return None


def _number(value: Any) -> float | None:
    """The first of one or several decimal strings, if it is a finite number."""
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | float) and hasattr(value, "__len__"):
        if len(value) == 0:
            return None
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _to_eight_bits(rgb: npt.NDArray[Any], bits: int | None = None) -> RgbArray:
    """Colour of more than 8 bits keeps its upper ones."""
    if rgb.ndim == 2:
        rgb = rgb[:, :, None].repeat(3, axis=2)
    if rgb.dtype == np.uint8:
        return np.ascontiguousarray(rgb[:, :, :3])
    stored = bits if bits is not None and bits > 8 else rgb.dtype.itemsize * 8
    return np.ascontiguousarray(np.right_shift(rgb[:, :, :3], max(0, stored - 8)).astype(np.uint8))
