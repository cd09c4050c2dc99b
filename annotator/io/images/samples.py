"""Real images out of installed packages, for a first try and for the demo. Nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.files.atomic import atomic_path

SKIMAGE_SAMPLES: Mapping[str, str] = {
    "astronaut.png": "astronaut.png",
    "brick.png": "brick.png",
    "cell.png": "cell.png",
    "chelsea.png": "chelsea.png",
    "coffee.png": "coffee.png",
    "coins.png": "coins.png",
    "ihc.png": "ihc.png",
    "motorcycle_left.png": "motorcycle.png",
    "retina.jpg": "retina.jpg",
    "rocket.jpg": "rocket.jpg",
}
"""File inside scikit-image's wheel (public domain or CC0): its name here. ``brick.png`` has nothing to annotate."""

PYDICOM_SAMPLES: Mapping[str, str] = {"J2K_pixelrep_mismatch.dcm": "ct-head.dcm", "MR_small.dcm": "mr-small.dcm"}
"""File inside pydicom's wheel: its name here. The CT slice carries the window to show it through."""


def write_samples(folder: str | os.PathLike[str]) -> Path:
    """Copy the sample images into ``folder`` (made when missing); files that are there stay untouched.

    The packages are located, not imported, so this costs milliseconds.

    Raises:
        ImageError: neither package has its samples, or the folder cannot be written.
    """
    target = Path(folder)
    sources = {
        **_existing("skimage", "data", SKIMAGE_SAMPLES),
        **_existing("pydicom", "data/test_files", PYDICOM_SAMPLES),
    }
    if not sources:
        raise ImageError("The sample images are missing.", "Install scikit-image and pydicom, or open your own folder.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, source in sources.items():
            place = target / name
            if not place.exists():
                with atomic_path(place, is_durable=False) as partial:
                    shutil.copyfile(source, partial)
    except OSError as error:
        raise ImageError(
            f"The sample images cannot be written to {brief(target)} ({error.strerror}).", "Choose another folder."
        ) from error
    return target


def _existing(package: str, below: str, names: Mapping[str, str]) -> dict[str, Path]:
    """The samples that are there, by their name here."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return {}
    root = Path(next(iter(spec.submodule_search_locations))) / below
    return {name: root / source for source, name in names.items() if (root / source).is_file()}
