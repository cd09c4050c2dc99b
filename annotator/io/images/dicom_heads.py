"""The part of a DICOM file's head that an object made of it has to repeat or to name: a list of elements and no others.

It leaves the reader process as DICOM's JSON. Who the patient is goes along only where the person has agreed to it.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import pydicom

from annotator.io.images.dicom_deflated import check_deflated
from annotator.io.images.dicom_facts import uid_of, value_of, whole_number

PATIENT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime"),
)
"""What names the patient or the examination; the referring physician is never taken."""
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID", "FrameOfReferenceUID")
_IMAGE = (
    *("Modality", "Rows", "Columns", "NumberOfFrames", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("ImageOrientationPatient", "ImagePositionPatient", "PositionReferenceIndicator", "ImageType", "SeriesNumber"),
)
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_OF_GROUP = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence", "FrameContentSequence")


def head_in(stream: BinaryIO, name: str, *, with_patient: bool) -> dict[str, Any] | None:
    """The head of one file as DICOM JSON; None where it is no DICOM image that can be named.

    Raises:
        ImageError: unpacking it would take more than the memory for one image.
    """
    check_deflated(stream, name)
    dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
    if any(uid_of(dataset, uid) is None for uid in _UIDS[:4]):
        return None
    found = pydicom.Dataset()
    for keyword in (*_UIDS, *_IMAGE, *(("SpecificCharacterSet", *PATIENT) if with_patient else ())):
        value = value_of(dataset, keyword)
        if value is not None:
            setattr(found, keyword, value)
    if whole_number(dataset, "NumberOfFrames", 1) > 1:
        for keyword in _GROUPS:
            items = value_of(dataset, keyword)
            if isinstance(items, pydicom.Sequence):
                setattr(found, keyword, pydicom.Sequence([_group(item) for item in items]))
    return found.to_json_dict()


def _group(item: pydicom.Dataset) -> pydicom.Dataset:
    """A functional group with what says where its frame lies."""
    kept = pydicom.Dataset()
    for keyword in _OF_GROUP:
        if keyword in item:
            kept[keyword] = item[keyword]
    return kept
