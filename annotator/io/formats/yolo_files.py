"""The files of a YOLO data set as they are read: ``data.yaml``, where the labels lie, and a label file's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.polygon import Ring, rings_to_mask

_OUTSIDE = 0.01  # ultralytics takes as much beyond 0..1


def parsed(line: str) -> tuple[int, Ring]:
    """The class of a row, and its shares: N x 2 of a polygon, or 2 x 2 (centre, size) of a box.

    Raises:
        ValueError: it is no row of a label file.
    """
    first, *rest = line.split()
    try:
        index, values = int(first), np.array([float(value) for value in rest])
    except ValueError:
        raise ValueError("something in it is not a number") from None
    if len(values) % 2 or len(values) < 4:
        raise ValueError(f"{len(values)} coordinates are neither a polygon nor a box")
    if not np.isfinite(values).all() or values.min() < -_OUTSIDE or values.max() > 1 + _OUTSIDE:
        raise ValueError("a coordinate is not between 0 and 1")
    return index, values.clip(0, 1).reshape(-1, 2)


def mask_of(shares: Ring, width: int, height: int) -> Mask:
    return rings_to_mask([shares * (width, height)], width=width, height=height)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ImportFormatError(f"{path} cannot be read: {error.strerror}.", "Check the name.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ImportFormatError(f"{path.name} is not YAML.", "Choose the data.yaml of a YOLO data set.") from error
    if not isinstance(data, dict) or not isinstance(data.get("names"), list | dict):
        raise ImportFormatError(f"{path.name} has no list of class names.", "Choose the data.yaml of a YOLO data set.")
    return data


def names_of(path: Path) -> dict[int, str]:
    names = _read_yaml(path)["names"]
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    try:
        return {int(index): str(name) for index, name in pairs}
    except (TypeError, ValueError):
        raise ImportFormatError(f"{path.name} has class names without numbers.", "Number them from 0.") from None


def label_files(path: Path) -> list[tuple[Path, str]]:
    """Label files and, for each, its image's path below the folder of images, without the suffix."""
    data = _read_yaml(path)
    root = path.parent / str(data.get("path") or "")
    root = root if root.is_dir() else path.parent  # a path of the machine that it was made on
    places = [data.get(split) for split in ("train", "val", "test")]
    named = [name for place in places for name in (place if isinstance(place, list) else [place]) if name]
    folders = dict.fromkeys([_labels_of(root / str(name)) for name in named] or [root / "labels"])
    found: dict[Path, str] = {}
    for folder in [folder for folder in folders if folder.is_dir()] or [root / "labels"]:
        for file in sorted(folder.rglob("*.txt")):
            found.setdefault(file, file.relative_to(folder).with_suffix("").as_posix())
    return list(found.items())


def _labels_of(images: Path) -> Path:
    """Where ultralytics looks for the labels of a folder of images: the last "images" of its path is "labels"."""
    parts = list(images.parts)
    if "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        parts[at] = "labels"
    return Path(*parts)
