"""The rows of the formats for radiology."""

from __future__ import annotations

from annotator.domain.ports.formats import Choice, FormatOption, FormatSpec, Holds
from annotator.io.formats.medical.consent import IDENTIFIERS

_PIXELS = frozenset((Holds.MASKS, Holds.HOLES))
_CLASS = Choice("class", "A class", help="the objects of a class are one segment")
_OBJECT = Choice("object", "An object", help="every object is a segment of its own, through the slices of its track")
_CODES = FormatOption(
    name="codes",
    title="Table of codes",
    default="",
    help="a TOML file with coded terms for names of classes, as resources/codes.toml; empty: that one alone",
)


def _labels(default: str, title: str = "A segment is") -> FormatOption:
    return FormatOption(
        name="labels",
        title=title,
        default=default,
        help="what one segment, or number of a label map, stands for",
        choices=(_CLASS, _OBJECT),
    )


MEDICAL: tuple[FormatSpec, ...] = (
    FormatSpec(
        id="nifti",
        title="NIfTI label maps",
        summary="a .nii.gz file per series, and a table of labels",
        is_folder=True,
        suffix="",
        holds=_PIXELS,
        options=(_labels("class", "A number is"),),
        export="annotator.io.formats.medical.label_maps:export_nifti",
        import_="annotator.io.formats.medical.import_:import_label_map",
        import_name=".nii.gz .nii",
        readers="nibabel, ITK-SNAP, 3D Slicer, nnU-Net, MONAI",
        is_beside=True,
    ),
    FormatSpec(
        id="nrrd",
        title="NRRD segmentations",
        summary="a .seg.nrrd file per series",
        is_folder=True,
        suffix="",
        holds=_PIXELS,
        options=(_labels("object"), _CODES),
        export="annotator.io.formats.medical.label_maps:export_nrrd",
        import_="annotator.io.formats.medical.import_:import_label_map",
        import_name=".nrrd",
        readers="3D Slicer, ITK, pynrrd",
        is_beside=True,
    ),
    FormatSpec(
        id="dicom-seg",
        title="DICOM-SEG",
        summary="a .dcm segmentation per DICOM series",
        is_folder=True,
        suffix="",
        holds=_PIXELS,
        options=(IDENTIFIERS, _labels("object"), _CODES),
        export="annotator.io.formats.medical.segmentation:export_seg",
        import_="annotator.io.formats.medical.import_:import_dicom",
        import_name=".dcm",
        readers="3D Slicer, OHIF, MITK, highdicom, archives",
        is_beside=True,
    ),
    FormatSpec(
        id="rtstruct",
        title="RTSTRUCT",
        summary="a .dcm structure set per DICOM series",
        is_folder=True,
        suffix="",
        holds=_PIXELS,
        options=(IDENTIFIERS, _labels("object")),
        export="annotator.io.formats.medical.segmentation:export_rtstruct",
        import_="annotator.io.formats.medical.import_:import_dicom",
        import_name=".dcm",
        readers="treatment planning systems, 3D Slicer",
        is_beside=True,
    ),
)
