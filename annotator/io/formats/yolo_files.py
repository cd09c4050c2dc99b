"""The files of a YOLO data set as they are read: ``data.yaml``, as far as a file from elsewhere is believed, where the
labels lie, and a label file's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.polygon import Ring, rings_to_mask
from annotator.io.project.image_folder import is_plain_place

_OUTSIDE = 0.01  # ultralytics takes as much beyond 0..1
_MOST_BYTES = 4 << 20
"""Of a ``data.yaml``: a few names and folders. Larger ones take minutes to parse."""
_CHOOSE = "Choose the data.yaml of a YOLO data set."


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


def names_of(path: Path) -> dict[int, str]:
    """Class names by index.

    Raises:
        ImportFormatError: the file cannot be used.
    """
    names = _read_yaml(path)["names"]
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    try:
        return {int(index): _text(name) for index, name in pairs}
    except (TypeError, ValueError, OverflowError):
        raise ImportFormatError(f"{brief(path.name)} has class names without numbers.", "Number them from 0.") from None


def label_files(path: Path) -> tuple[list[tuple[Path, str]], str]:
    """Label files and, for each, its image's path below the folder of images, without the suffix; and what to do about
    folders outside of the data set's own, which are not looked into. Empty when there are none.

    Raises:
        ImportFormatError: as :func:`names_of`.
    """
    data, own = _read_yaml(path), path.parent
    root = own / _place(data.get("path"))
    root = root if _is_below(root, own) and root.is_dir() else own  # a path of the machine that it was made on
    splits = [data.get(split) for split in ("train", "val", "test")]
    named = [_place(name) for split in splits for name in (split if isinstance(split, list) else [split])]
    wanted = dict.fromkeys([_labels_of(root / name) for name in named if name] or [root / "labels"])
    folders = [folder for folder in wanted if _is_below(folder, own)]
    elsewhere = [str(folder)[:200] for folder in wanted if folder not in folders]
    found: dict[Path, str] = {}
    for folder in [folder for folder in folders if folder.is_dir()] or [own / "labels"]:
        for file in sorted(folder.rglob("*.txt")):
            found.setdefault(file, file.relative_to(folder).with_suffix("").as_posix())
    told = (
        f"Put {brief(path.name)} and its folders together: labels in {elsewhere[0]} are not read." if elsewhere else ""
    )
    return list(found.items()), told


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ImportFormatError(f"{brief(path.name)} is too large for a list of names and folders.", _CHOOSE)
        data = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ImportFormatError(f"{brief(path)} cannot be read: {error.strerror}.", "Check the name.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ImportFormatError(f"{brief(path.name)} is not YAML.", _CHOOSE) from error
    if not isinstance(data, dict) or not isinstance(data.get("names"), list | dict):
        raise ImportFormatError(f"{brief(path.name)} has no list of class names.", _CHOOSE)
    return data


def _text(name: object) -> str:
    """A class name. Lists of lists of lists may be a few bytes, and gigabytes when they are written out."""
    if not isinstance(name, str | int | float | None):
        raise TypeError(f"a {type(name).__name__} is no name")
    return str(name)


def _place(value: object) -> str:
    """A folder that the file names; empty for what is none, or is on another computer."""
    return value if isinstance(value, str) and is_plain_place(value) else ""


def _is_below(folder: Path, own: Path) -> bool:
    return folder.resolve().is_relative_to(own.resolve())


def _labels_of(images: Path) -> Path:
    """Where ultralytics looks for the labels of a folder of images: the last "images" of its path is "labels"."""
    parts = list(images.parts)
    if "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        parts[at] = "labels"
    return Path(*parts)
