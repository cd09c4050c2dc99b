"""Real images out of installed packages, for a first try and for the demo. Nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from annotator.domain.errors import ImageError

SKIMAGE_SAMPLES = (
    "coins.png",
    "coffee.png",
    "chelsea.png",
    "astronaut.png",
    "rocket.jpg",
    "cell.png",
    "ihc.png",
    "retina.jpg",
    "motorcycle_left.png",
    "brick.png",
)
"""Shipped inside scikit-image's wheel (public domain or CC0). ``brick.png`` is for "nothing to annotate"."""

PYDICOM_SAMPLES = ("CT_small.dcm", "MR_small.dcm")
"""Inside pydicom's wheel."""


def write_samples(folder: str | os.PathLike[str]) -> Path:
    """Copy the sample images into ``folder`` (made when missing); files that are there stay untouched.

    The packages are located, not imported, so this costs milliseconds.

    Raises:
        ImageError: neither package has its samples, or the folder cannot be written.
    """
    target = Path(folder)
    sources = [
        *_existing("skimage", "data", SKIMAGE_SAMPLES),
        *_existing("pydicom", "data/test_files", PYDICOM_SAMPLES),
    ]
    if not sources:
        raise ImageError("The sample images are missing.", "Install scikit-image and pydicom, or open your own folder.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for source in sources:
            place = target / source.name
            if not place.exists():
                partial = place.with_name(f".{place.name}.part")
                shutil.copyfile(source, partial)
                os.replace(partial, place)
    except OSError as error:
        raise ImageError(
            f"The sample images cannot be written to {target} ({error.strerror}).", "Choose another folder."
        ) from error
    return target


def _existing(package: str, below: str, names: tuple[str, ...]) -> list[Path]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    root = Path(next(iter(spec.submodule_search_locations))) / below
    return [root / name for name in names if (root / name).is_file()]
