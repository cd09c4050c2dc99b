"""Generated DICOM files: slices whose place and content are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

ROOT_UID = "1.2.826.0.1.3680043.8.498"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def write_slice(
    path: Path,
    pixels: npt.NDArray[Any],
    *,
    number: int,
    position: Sequence[float] | None = None,
    orientation: Sequence[float] = AXIAL,
    series: str = "1",
    **fields: Any,
) -> None:
    """One CT file: (H, W) or (frames, H, W), 16 bit, without rescaling; a window of 0..1000."""
    uid = f"{ROOT_UID}.{series}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{uid}.{number + 1}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID, made.StudyInstanceUID, made.FrameOfReferenceUID = uid, f"{uid}.0", f"{uid}.0.1"
    made.Modality, made.InstanceNumber = "CT", number
    made.Rows, made.Columns = pixels.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelSpacing = [0.5, 0.5]
    made.WindowCenter, made.WindowWidth = 500, 1000
    if pixels.ndim == 3:
        made.NumberOfFrames = pixels.shape[0]
    if position is not None:
        made.ImagePositionPatient, made.ImageOrientationPatient = list(position), list(orientation)
    for name, value in fields.items():
        setattr(made, name, value)
    made.PixelData = pixels.astype("<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)


def write_stack(
    folder: Path, places: Sequence[float], *, series: str = "1", prefix: str = "", size: int = 16, **fields: Any
) -> None:
    """A file a slice; names and instance numbers say nothing of the order, every pixel says the place (10 x mm)."""
    for number, place in enumerate(places):
        name = f"{prefix}{(number * 7919) % 997:03d}.dcm"
        pixels = np.full((size, size), round(place * 10))
        position = (0.0, 0.0, float(place))
        write_slice(folder / name, pixels, number=(number * 31) % 97, position=position, series=series, **fields)


def enhanced_groups(places: Sequence[float]) -> dict[str, Any]:
    """The functional groups of a multi-frame file whose frames lie at these places."""
    shared, plane = Dataset(), Dataset()
    plane.ImageOrientationPatient = list(AXIAL)
    shared.PlaneOrientationSequence = pydicom.Sequence([plane])
    frames = []
    for place in places:
        at, group = Dataset(), Dataset()
        at.ImagePositionPatient = [0.0, 0.0, float(place)]
        group.PlanePositionSequence = pydicom.Sequence([at])
        frames.append(group)
    return {
        "SharedFunctionalGroupsSequence": pydicom.Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": pydicom.Sequence(frames),
    }
