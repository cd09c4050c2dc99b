"""One RTSTRUCT file: written with pydicom, read back by GDCM, its contours filled by another rasteriser than ours."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.domain.planes import SAME_MM
from annotator.domain.polygon import bridged_ring, trace_parts
from annotator.io.formats.medical.dicom_common import MANUFACTURER, element
from annotator.io.formats.medical.seg_file import Sources
from annotator.io.formats.medical.segments import Segment
from annotator.io.segments.dicom import RTSTRUCT_CLASS
from annotator.io.segments.found import CLASS_TAG

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_TAKEN = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_SERIES_NUMBER = 901
_LONGEST_NAME = 64


def write_rtstruct(path: Path, sources: Sources, segments: list[Segment]) -> int:
    """Write one file: a structure for each segment, closed contours on the edges of pixels.

    Returns:
        How many contours have holes, which are reached by a cut: the format has none.
    """
    made, first = _head(path, sources), sources.heads[sources.images[0].path]
    reference = str(first.FrameOfReferenceUID)
    made.StructureSetROISequence, made.ROIContourSequence, made.RTROIObservationsSequence = [], [], []
    bridged = 0
    for number, segment in enumerate(segments, start=1):
        roi = element(
            pydicom.Dataset(),
            ROINumber=number,
            ReferencedFrameOfReferenceUID=reference,
            ROIName=segment.name[:_LONGEST_NAME],
            ROIDescription=f"{CLASS_TAG}{segment.category.name}",
            ROIGenerationAlgorithm="SEMIAUTOMATIC" if any(one.model for one in segment.objects) else "MANUAL",
        )
        contours, holes = _contours(sources, segment)
        bridged += holes
        drawn = element(
            pydicom.Dataset(), ReferencedROINumber=number, ROIDisplayColor=[*segment.rgb], ContourSequence=contours
        )
        observed = element(
            pydicom.Dataset(),
            ObservationNumber=number,
            ReferencedROINumber=number,
            RTROIInterpretedType="",
            ROIInterpreter="",
        )
        made.StructureSetROISequence.append(roi)
        made.ROIContourSequence.append(drawn)
        made.RTROIObservationsSequence.append(observed)
    made.save_as(path, enforce_file_format=True)
    return bridged


def check_rtstruct(path: Path, sources: Sources, segments: list[Segment]) -> tuple[list[str], float]:
    """Every pixel of every structure, by GDCM's reading and scikit-image's filling, and where its centre lies.

    Returns:
        Problems, and how far a point is from the plane that it belongs to, in mm, at most.
    """
    planes = {
        str(sources.heads[image.path].SOPInstanceUID): (image, plane)
        for image, plane in zip(sources.images, sources.planes, strict=True)
        if plane is not None
    }
    problems: list[str] = []
    off_mm = 0.0
    found: dict[tuple[int, int], npt.NDArray[np.bool_]] = {}
    for number, uid, points in _read_back(path):
        image, plane = planes[uid]
        pixels, above = plane.pixels(points)
        off_mm = max(off_mm, float(np.abs(above).max()))
        key = number, image.id
        shape = image.height, image.width
        found[key] = found.get(key, np.zeros(shape, np.bool_)) ^ _filled(pixels, shape)
    wanted: dict[tuple[int, int], Mask] = {}
    for number, segment in enumerate(segments, start=1):
        for one in segment.objects:
            key = number, one.image_id
            wanted[key] = wanted[key].union(one.mask()) if key in wanted else one.mask()
    for key, mask in wanted.items():
        if key not in found or not np.array_equal(found[key], mask.full()):
            problems.append(f"{segments[key[0] - 1].name} on image {key[1]}")
    if len(found) != len(wanted):
        problems.append("contours that nobody asked for")
    if off_mm > SAME_MM:
        problems.append(f"a contour lies {off_mm:.3g} mm off")
    return problems, off_mm


def _head(path: Path, sources: Sources) -> pydicom.Dataset:
    """Everything but the structures."""
    first = sources.heads[sources.images[0].path]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(RTSTRUCT_CLASS), generate_uid(None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in _TAKEN:
        setattr(made, keyword, first.get(keyword, ""))
    if "SpecificCharacterSet" in first:
        made.SpecificCharacterSet = first.SpecificCharacterSet
    now = datetime.now()
    element(
        made,
        SOPClassUID=RTSTRUCT_CLASS,
        SOPInstanceUID=meta.MediaStorageSOPInstanceUID,
        Modality="RTSTRUCT",
        Manufacturer=MANUFACTURER,
        ManufacturerModelName=MANUFACTURER,
        SoftwareVersions=version("annotator"),
        SeriesInstanceUID=generate_uid(None),
        SeriesNumber=_SERIES_NUMBER,
        InstanceNumber=1,
        OperatorsName="",
        StructureSetLabel="ANNOTATOR",
        StructureSetDate=now.strftime("%Y%m%d"),
        StructureSetTime=now.strftime("%H%M%S"),
        FrameOfReferenceUID=first.FrameOfReferenceUID,
        PositionReferenceIndicator=first.get("PositionReferenceIndicator", ""),
        ApprovalStatus="UNAPPROVED",
    )
    made.ReferencedFrameOfReferenceSequence = pydicom.Sequence([_frame_of(sources)])
    return made


def _frame_of(sources: Sources) -> pydicom.Dataset:
    """The frame of reference, in it the study, in it the series, in it the images."""
    first = sources.heads[sources.images[0].path]
    images = [_named(sources.heads[image.path]) for image in sources.images]
    series = element(
        pydicom.Dataset(), SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=pydicom.Sequence(images)
    )
    study = element(
        pydicom.Dataset(),
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=pydicom.Sequence([series]),
    )
    return element(
        pydicom.Dataset(),
        FrameOfReferenceUID=first.FrameOfReferenceUID,
        RTReferencedStudySequence=pydicom.Sequence([study]),
    )


def _named(head: pydicom.Dataset) -> pydicom.Dataset:
    return element(
        pydicom.Dataset(), ReferencedSOPClassUID=head.SOPClassUID, ReferencedSOPInstanceUID=head.SOPInstanceUID
    )


def _contours(sources: Sources, segment: Segment) -> tuple[list[pydicom.Dataset], int]:
    """Of one structure, and how many of them have holes."""
    planes = {image.id: (image, plane) for image, plane in zip(sources.images, sources.planes, strict=True)}
    masks: dict[int, Mask] = {}
    for one in segment.objects:
        masks[one.image_id] = masks[one.image_id].union(one.mask()) if one.image_id in masks else one.mask()
    found: list[pydicom.Dataset] = []
    bridged = 0
    for image_id, mask in sorted(masks.items()):
        image, plane = planes[image_id]
        if plane is None:
            raise ExportError(f"{brief(image.name)} does not say where it lies.")
        for part in trace_parts(mask):
            bridged += bool(part.holes)
            ring = bridged_ring([part.exterior, *part.holes])
            # Positions count from the corner of the first pixel, places in space from its centre.
            points = plane.points(np.asarray(ring, np.float64) - 0.5)
            found.append(
                element(
                    pydicom.Dataset(),
                    ContourNumber=len(found) + 1,
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(points),
                    ContourData=[_decimal(value) for value in points.ravel().tolist()],
                    ContourImageSequence=pydicom.Sequence([_named(sources.heads[image.path])]),
                )
            )
    return found, bridged


def _decimal(value: float) -> str:
    """At most sixteen characters, with no more than a millionth of a millimetre lost."""
    text = f"{value:.7f}".rstrip("0").rstrip(".")
    return text if len(text) <= 16 else f"{value:.9g}"


def _filled(pixels: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels whose centres are inside, by scikit-image."""
    from skimage.draw import polygon2mask

    mask: npt.NDArray[np.bool_] = polygon2mask(shape, pixels[:, ::-1])
    return mask


# --- GDCM -------------------------------------------------------------------------------------------------------------


def _read_back(path: Path) -> list[tuple[int, str, npt.NDArray[np.float64]]]:
    """Number of the structure, UID of the image, and points of every contour, by GDCM.

    Raises:
        ExportError: GDCM cannot read it.
    """
    import gdcm

    reader = gdcm.Reader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise ExportError(f"{brief(path.name)} was not written: it cannot be read back.")
    found = []
    for drawn in _items(gdcm, reader.GetFile().GetDataSet(), (0x3006, 0x0039)):
        number = int(_text(gdcm, drawn, (0x3006, 0x0084)))
        for contour in _items(gdcm, drawn, (0x3006, 0x0040)):
            (named,) = _items(gdcm, contour, (0x3006, 0x0016))
            numbers = [float(word) for word in _text(gdcm, contour, (0x3006, 0x0050)).split("\\")]
            points = np.array(numbers, np.float64).reshape(-1, 3)
            if len(points) != int(_text(gdcm, contour, (0x3006, 0x0046))):
                raise ExportError(f"{brief(path.name)} was not written: a contour has another number of points.")
            found.append((number, _text(gdcm, named, (0x0008, 0x1155)), points))
    return found


def _items(gdcm: Any, dataset: Any, tag: tuple[int, int]) -> list[Any]:
    wanted = gdcm.Tag(*tag)
    if not dataset.FindDataElement(wanted):
        return []
    sequence = dataset.GetDataElement(wanted).GetValueAsSQ()
    return [sequence.GetItem(number).GetNestedDataSet() for number in range(1, sequence.GetNumberOfItems() + 1)]


def _text(gdcm: Any, dataset: Any, tag: tuple[int, int]) -> str:
    value = dataset.GetDataElement(gdcm.Tag(*tag)).GetByteValue()
    return str(value.GetBuffer()).strip(" \0")


def sources_in_space(sources: Sources) -> str:
    """Why a file cannot be made of them; empty when it can."""
    if sources.is_frames:
        return "is left out: contours name whole images, and these are frames of one file"
    if any(plane is None for plane in sources.planes):
        return "is left out: its files do not say where they lie"
    if any("FrameOfReferenceUID" not in sources.heads[image.path] for image in sources.images):
        return "is left out: its files have no frame of reference"
    return ""
