"""A picture's own numbers on their way out of a reader process: part of the message, and arrays behind the pixels."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.window import Window
from annotator.domain.windowing import Native

ALIGN_BYTES = 64
_ARRAYS = ("values", "empty", "opacity", "plain")
_FACTS = ("slope", "intercept", "unit", "is_inverted", "kind")


def to_wire(native: Native, rgb: npt.NDArray[np.uint8]) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """Plain JSON data, and the arrays that follow ``rgb`` in this order, each at a multiple of ``ALIGN_BYTES``."""
    arrays: list[npt.NDArray[Any]] = []
    about: dict[str, Any] = {name: getattr(native, name) for name in _FACTS}
    at = rgb.nbytes
    for name in _ARRAYS:
        array = getattr(native, name)
        if array is rgb:
            about[name] = "rgb"
        elif array is not None:
            at = aligned(at)
            about[name] = [array.dtype.str, list(array.shape), at]
            at += array.nbytes
            arrays.append(array)
    return {**about, "default": asdict(native.default)}, arrays


def from_wire(about: dict[str, Any], block: Any, rgb: npt.NDArray[np.uint8]) -> Native:
    """The inverse of :func:`to_wire`; the arrays lie in ``block``, read-only."""
    found: dict[str, Any] = {}
    for name in _ARRAYS:
        place = about.get(name)
        if place == "rgb":
            found[name] = rgb
        elif place is not None:
            dtype, shape, at = np.dtype(place[0]), tuple(place[1]), place[2]
            array = np.frombuffer(block, dtype, int(np.prod(shape)), at).reshape(shape)
            array.setflags(write=False)
            found[name] = array
    native = Native(found.pop("values"), Window(**about["default"]), **{name: about[name] for name in _FACTS})
    return replace(native, **found)


def aligned(count: int) -> int:
    """The next place where an array may begin."""
    return -(-count // ALIGN_BYTES) * ALIGN_BYTES
