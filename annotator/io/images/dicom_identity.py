"""Who a DICOM image is of: only for the search for places where that must not stand. None of it is ever shown."""

from __future__ import annotations

from typing import Any, BinaryIO

import pydicom
from pydicom.errors import InvalidDicomError

from annotator.domain.privacy import Identity
from annotator.io.images.dicom_facts import is_burned_in, uid_of, value_of

_ELEMENTS: tuple[tuple[Identity, tuple[str, ...]], ...] = (
    (Identity.NAME, ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")),
    (Identity.PATIENT_ID, ("PatientID", "OtherPatientIDs")),
    (Identity.BIRTH_DATE, ("PatientBirthDate",)),
    (Identity.STUDY_DATE, ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")),
    (Identity.ACCESSION, ("AccessionNumber",)),
)
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def identity_in(stream: BinaryIO) -> dict[str, Any] | None:
    """Plain JSON: ``values`` as [kind, text] pairs, and ``burned_in``: whether the pixels may show text about the
    patient, by the file's own words, else by its kind. None for what is no DICOM file."""
    stream.seek(0)
    if stream.read(132)[128:] != b"DICM":
        return None
    stream.seek(0)
    try:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True)
    except InvalidDicomError:
        return None
    values = [(kind.value, text) for kind, names in _ELEMENTS for name in names for text in _texts(dataset, name)]
    values += [(Identity.UID.value, uid) for name in _UIDS if (uid := uid_of(dataset, name))]
    return {"values": values, "burned_in": is_burned_in(dataset)}


def _texts(dataset: pydicom.Dataset, name: str) -> list[str]:
    value = value_of(dataset, name)
    if value is None:
        return []
    several = value if isinstance(value, pydicom.multival.MultiValue | list) else [value]
    return [str(one) for one in several if str(one).strip()]
