"""DICOM images, read with pydicom. Nothing about the patient leaves, and no message quotes what is in a file.

What files in the wild leave out has the meaning that most viewers give it: colours lie pixel by pixel, all bits are
in use, numbers are not signed.
"""

from __future__ import annotations

import logging
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import pixel_array

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.claims import ask_for
from annotator.io.images.colours import Samples, Shown, show_samples
from annotator.io.images.dicom_deflated import check_deflated
from annotator.io.images.dicom_facts import facts_of, modality_of, spacing_of, value_of, whole_number
from annotator.io.images.dicom_frames import HOLDS_ONE_FRAME, take_frame
from annotator.io.images.dicom_grey import show_grey
from annotator.io.images.dicom_series import axes_of_frame, places_in_dicom, survey_dicom
from annotator.io.images.dicom_tables import through_palette
from annotator.io.images.places import FilePlaces
from annotator.io.images.reader import (
    CONVERT,
    COPY_AGAIN,
    DIRECTIONS_FACT,
    Pixels,
    RgbArray,
    check_frame,
    check_size,
    frame_note,
    joined,
)
from annotator.io.images.survey import Survey

_log = logging.getLogger(__name__)
# Files in the wild bend the rules for values that are not looked at here; each would print a warning.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
# It logs a traceback for each decoder that it tries in vain; the person gets one ImageError instead.
logging.getLogger("pydicom.pixels.decoders.base").setLevel(logging.CRITICAL)

_PIXEL_TAGS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GREY_MODELS = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_COLOUR_MODELS = ("RGB", "YBR_FULL", "YBR_FULL_422")
_JPEG2000_MODELS = ("YBR_RCT", "YBR_ICT")
_REFUSED_MODELS = ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "XYB")
_UNKNOWN_MODEL = "a colour model that is not in the standard"


class DicomReader:
    """DICOM Part 10 files, and bare data sets named ``.dcm``."""

    name = "dicom"
    version = 2
    suffixes = frozenset((".dcm", ".dicom", ".dic", ".ima"))
    surveyed = suffixes
    placed = suffixes

    def sniff(self, head: bytes) -> bool:
        return head[128:132] == b"DICM"

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        dataset = _open(stream, name, frame=frame)
        frames = _check_image(dataset, name, max_pixels)
        check_frame(name, frame, frames)
        _ask_memory(dataset, name)
        _complete(dataset, frames)
        model = _checked_model(dataset, name)
        values = _decode(dataset, name, frame)
        if model == _PALETTE and values.ndim == 2:
            shown = Shown(through_palette(values, dataset, name), "")
        elif values.ndim == 3:
            shown = _show_colour(values, whole_number(dataset, "BitsStored", 8))
        elif model in _GREY_MODELS:
            shown = show_grey(values, dataset, frame)
        else:
            raise ImageError(f"{brief(name)} says that it has colours ({model}), and has one channel.", CONVERT)
        note = joined(shown.words, frame_note(frame, frames))
        spacing, facts = spacing_of(dataset, frame), facts_of(dataset)
        axes = axes_of_frame(dataset, frame)
        if axes is not None:
            facts[DIRECTIONS_FACT] = [[round(value, 4) for value in axis] for axis in axes]
        return Pixels(shown.rgb, shown.words, spacing, facts, note, shown.native)

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        dataset = _open(stream, name, pixels=False)
        return whole_number(dataset, "Columns", 0), whole_number(dataset, "Rows", 0)

    def survey(self, stream: BinaryIO, name: str) -> Survey:
        """See :class:`annotator.io.images.survey.SurveyingReader`."""
        return survey_dicom(stream, name)

    def places(self, stream: BinaryIO, name: str) -> FilePlaces:
        """See :class:`annotator.io.images.places.PlacingReader`."""
        return places_in_dicom(stream, name)

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        # Window and stretch are those of the whole frame.
        return self.read(stream, name, frame=0, max_pixels=max_pixels).rgb


def _open(stream: BinaryIO, name: str, *, pixels: bool = True, frame: int = 0) -> pydicom.Dataset:
    """The data set; of a file of many frames, the pixels of one only, where that can be."""
    stream.seek(0)
    try:
        check_deflated(stream, name)
        head = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
        if not pixels or take_frame(stream, head, frame):
            return head
        stream.seek(0)
        # Files without the Part 10 header are still common; whether it is an image shows in its tags.
        return pydicom.dcmread(stream, force=True)
    except InvalidDicomError as error:
        raise ImageError(f"{brief(name)} is not a DICOM file.", COPY_AGAIN) from error


def _ask_memory(dataset: pydicom.Dataset, name: str) -> None:
    """For one frame: its numbers as they are stored and in the units of its window, grey and RGB."""
    samples, bits = whole_number(dataset, "SamplesPerPixel", 1), whole_number(dataset, "BitsAllocated", 16)
    per_pixel = samples * (2 * bits / 8 + (4 if bits <= 16 else 16)) + 4
    ask_for(name, whole_number(dataset, "Columns", 0), whole_number(dataset, "Rows", 0), per_pixel)


def _check_image(dataset: pydicom.Dataset, name: str, max_pixels: int) -> int:
    """The number of frames.

    Raises:
        ImageError: no DICOM, no pixels in it, or too many.
    """
    if not any(tag in dataset for tag in _PIXEL_TAGS):
        if "SOPClassUID" not in dataset and "Rows" not in dataset:
            raise ImageError(f"{brief(name)} is not a DICOM file, or it is cut off.", COPY_AGAIN)
        if "Rows" in dataset:
            raise ImageError(f"{brief(name)} is cut off: it has no pixel data.", COPY_AGAIN)
        kind = modality_of(dataset) or "unknown kind"
        raise ImageError(f"{brief(name)} is a DICOM file without a picture ({kind}).", "Take it out of the folder.")
    check_size(name, whole_number(dataset, "Columns", 0), whole_number(dataset, "Rows", 0), max_pixels)
    return max(1, whole_number(dataset, "NumberOfFrames", 1))


def _complete(dataset: pydicom.Dataset, frames: int) -> None:
    """Give the elements that the decoders insist on a value where the file has none that can be."""
    dataset.NumberOfFrames = frames
    if value_of(dataset, "SamplesPerPixel") is None:
        dataset.SamplesPerPixel = 1
    is_colour = whole_number(dataset, "SamplesPerPixel", 1) > 1
    if is_colour and whole_number(dataset, "PlanarConfiguration", 0) not in (0, 1):
        del dataset.PlanarConfiguration
    if is_colour and value_of(dataset, "PlanarConfiguration") is None:
        dataset.PlanarConfiguration = 0
    if value_of(dataset, "PhotometricInterpretation") is None:
        dataset.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    allocated = whole_number(dataset, "BitsAllocated", 0)
    if allocated and not 1 <= whole_number(dataset, "BitsStored", 0) <= allocated:
        dataset.BitsStored = allocated
    if whole_number(dataset, "PixelRepresentation", -1) not in (0, 1):
        dataset.PixelRepresentation = 0


def _checked_model(dataset: pydicom.Dataset, name: str) -> str:
    """The colour model.

    Raises:
        ImageError: one that cannot be shown.
    """
    value = value_of(dataset, "PhotometricInterpretation")
    model = value.strip().upper() if isinstance(value, str) else ""
    allocated = whole_number(dataset, "BitsAllocated", 0)
    kinds = (*_GREY_MODELS, _PALETTE, *_COLOUR_MODELS, *_JPEG2000_MODELS)
    if model not in kinds:
        shown = model if model in _REFUSED_MODELS else _UNKNOWN_MODEL
        raise ImageError(f"{brief(name)} has DICOM colours that cannot be shown ({brief(shown)}).", CONVERT)
    if (
        "FloatPixelData" not in dataset
        and "DoubleFloatPixelData" not in dataset
        and allocated not in (1, 8, 16, 32, 64)
    ):
        raise ImageError(f"{brief(name)} stores {allocated} bits for each number, which cannot be read.", CONVERT)
    dataset.PhotometricInterpretation = model
    return model


def _decode(dataset: pydicom.Dataset, name: str, frame: int) -> npt.NDArray[Any]:
    """H x W or H x W x 3, the frame's stored numbers; YCbCr as RGB."""
    if not hasattr(dataset, "file_meta") or not dataset.file_meta.get("TransferSyntaxUID"):
        _assume_transfer_syntax(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise ImageError(
            f"{brief(name)} is stored in a private or unknown way (transfer syntax).", "Save it uncompressed."
        )
    shift = 0 if syntax.is_compressed else _shift_of(dataset)
    model = str(dataset.PhotometricInterpretation)
    if not syntax.is_compressed and (model in _JPEG2000_MODELS or (model[:3] == "YBR" and dataset.BitsAllocated > 8)):
        raise ImageError(f"{brief(name)} has DICOM colours that cannot be shown ({model}, uncompressed).", CONVERT)
    dataset.BitsStored = whole_number(dataset, "BitsStored", 8) + shift  # unused upper bits are cut off by pydicom
    if getattr(dataset, HOLDS_ONE_FRAME, False):
        dataset.NumberOfFrames, frame = 1, 0
    try:
        values = np.asarray(pixel_array(dataset, index=frame))
    except (RuntimeError, NotImplementedError, ImportError) as error:
        kind = syntax.name if syntax.is_compressed else "uncompressed"
        raise ImageError(
            f"{brief(name)} cannot be decompressed ({kind}).",
            "Save it uncompressed, e.g. with: gdcmconv --raw IN OUT",
        ) from error
    except ValueError as error:
        if "less than expected" in str(error) or "expected length" in str(error):
            raise ImageError(f"{brief(name)} is cut off: pixel data is missing.", COPY_AGAIN) from error
        raise
    dataset.BitsStored -= shift
    return values >> shift if shift else values


def _shift_of(dataset: pydicom.Dataset) -> int:
    """How many unused bits lie below the stored ones: they need not begin at the lowest."""
    stored = whole_number(dataset, "BitsStored", 8)
    shift = whole_number(dataset, "HighBit", stored - 1) + 1 - stored
    return shift if 0 < shift <= whole_number(dataset, "BitsAllocated", 8) - stored else 0


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


def _show_colour(values: npt.NDArray[Any], bits: int) -> Shown:
    """RGB of any depth, stretched above 8 bits as in every other format; the same words name the pixels."""
    if bits <= 8 and values.dtype.kind == "u":
        values = values.astype(np.uint8)
    return show_samples(Samples(values, "rgb", bits=bits if bits < 8 else None))
