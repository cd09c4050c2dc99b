"""Which reader a segmentation file has. Runs in a reader process, asked by :mod:`annotator.io.images.reading`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.decoding import opened
from annotator.io.images.reader import damage_error
from annotator.io.segments.found import Found, Picture


def read_segments(path: str, pictures: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """What a file has on pictures (:meth:`Picture.to_data`), as :meth:`Found.to_data`. Without pictures: what it is.

    Raises:
        ImageError: it is damaged, or no segmentation.
    """
    wanted = [Picture.from_data(picture) for picture in pictures]
    with opened(path) as (stream, name, reader):
        try:
            found = _read(stream, name, reader.name, wanted)
        except ImageError:
            raise
        except Exception as error:  # decoders raise nearly anything on damaged files
            raise damage_error(os.path.basename(path), error) from error
    return found.to_data()


def _read(stream: Any, name: str, kind: str, pictures: list[Picture]) -> Found:
    if kind == "dicom":
        from annotator.io.segments.dicom import read_dicom

        return read_dicom(stream, name, pictures)
    if kind in ("nifti", "nrrd"):
        from annotator.io.segments.labels import read_labels

        return read_labels(stream, name, kind, pictures)
    raise ImageError(f"{brief(name)} is no segmentation.", "Use DICOM-SEG, RTSTRUCT, NIfTI or NRRD label maps.")
