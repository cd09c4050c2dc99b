"""What DICOM objects that are made of a project have in common: heads of their sources, and UIDs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.uid import UID, generate_uid

from annotator.domain.project import ImageRecord
from annotator.io.formats.medical.consent import PATIENT
from annotator.io.images.reading import read_heads
from annotator.io.project.identifiers import salt_of
from annotator.io.project.queries import ProjectQueries

MANUFACTURER = "annotator"
_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator"),
)


def heads_of(store: ProjectQueries, images: Sequence[ImageRecord], *, identifiers: str) -> dict[str, pydicom.Dataset]:
    """By path, what the heads of DICOM images say, with the elements that have to be there empty where they are not."""
    paths = list(dict.fromkeys(image.path for image in images))
    found: dict[str, pydicom.Dataset] = {}
    for path, head in read_heads(store.readable_root, paths, with_patient=identifiers == PATIENT).items():
        dataset = pydicom.Dataset.from_json(head)
        for keyword in _EMPTY:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
        found[path] = dataset
    return found


class Names:
    """UIDs of what is made: those of tracks are the same every time, so that a second export is the same object."""

    def __init__(self, store: ProjectQueries) -> None:
        self._salt = salt_of(store)

    def tracking_uid(self, series: str, track: str) -> UID:
        """Of an object; by chance where the project has no secret yet."""
        if not self._salt:
            return generate_uid(None)
        digest = hashlib.sha256(f"{self._salt}|{series}|{track}".encode()).hexdigest()
        return UID(f"2.25.{int(digest[:32], 16)}")


def element(dataset: pydicom.Dataset, **values: Any) -> pydicom.Dataset:
    """Set several elements."""
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset
