"""What ImageJ and OME say of a TIFF besides its pictures: size of a pixel, distance of slices, and what its pages are.

Resolution tags of other programs are for printing (72 dpi): they say nothing of what is in the picture.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from annotator.domain.counting import counted

_MM_OF_UNIT = {
    **dict.fromkeys(("m", "meter", "metre"), 1000.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 10.0),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "\\u00b5m", "\\u03bcm", "micron", "microns", "micrometer", "micrometre"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-6),
    **dict.fromkeys(("inch", "in"), 25.4),
}
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
_ATTRIBUTE = re.compile(r'(\w+)\s*=\s*"([^"]*)"')
_AXES = {"Z": "slice", "C": "channel", "T": "time"}
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class TiffSpace:
    """Attributes:
    spacing_xy: size of a pixel in millimetres, None where it is not known; step_mm: from slice to slice, 0 likewise.
    axes: what counts up from page to page, the fastest first: (letter of Z, C, T; how many).
    """

    spacing_xy: tuple[float, float] | None = None
    step_mm: float = 0.0
    axes: tuple[tuple[str, int], ...] = ()

    def places(self, page: int) -> dict[str, int]:
        """Of a page, from 0, for each axis that has more than one."""
        found: dict[str, int] = {}
        for letter, count in self.axes:
            page, found[letter] = divmod(page, count)
        return {letter: place for letter, place in found.items() if dict(self.axes)[letter] > 1}

    def words(self, page: int) -> str:
        """Where a page is: "slice 3 of 5, channel 1 of 2"; nothing where there is one axis."""
        places, counts = self.places(page), dict(self.axes)
        if len(places) < 2:
            return ""
        return ", ".join(f"{_AXES[letter]} {place + 1} of {counts[letter]}" for letter, place in places.items())

    def notes(self) -> tuple[str, ...]:
        """What the pages are, where they are more than slices."""
        counts = {letter: count for letter, count in self.axes if count > 1}
        if set(counts) <= {"Z"}:
            return ()
        return (", ".join(counted(counts[letter], _AXES[letter]) for letter in "ZCT" if letter in counts),)

    @property
    def slice_step_mm(self) -> float:
        """The step where one page after the other is a slice; else 0."""
        return self.step_mm if {letter for letter, count in self.axes if count > 1} <= {"Z"} else 0.0


def space_of(tiff: Any, pages: int) -> TiffSpace:
    """Of an open :class:`tifffile.TiffFile`; nothing where neither program wrote it, or what it says does not fit.

    Args:
        pages: how many of its pages are pictures.
    """
    if tiff.is_ome:
        return _of_ome(str(tiff.pages[0].description), pages)
    if tiff.is_imagej:
        return _of_imagej(tiff, pages)
    return TiffSpace()


def _of_ome(text: str, pages: int) -> TiffSpace:
    found = _PIXELS.search(text[:_MOST])
    if found is None:
        return TiffSpace()
    about = dict(_ATTRIBUTE.findall(found[1]))
    sizes = [_length(about.get(f"PhysicalSize{axis}"), about.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XYZ"]
    order = [letter for letter in about.get("DimensionOrder", "XYCZT")[2:] if letter in _AXES]
    counts = {letter: _count(about.get(f"Size{letter}")) for letter in order}
    if math.prod(counts.values()) != pages and counts.get("C", 1) > 1:
        counts["C"] = max(1, pages // max(1, math.prod(n for k, n in counts.items() if k != "C")))
    axes = tuple((letter, counts[letter]) for letter in order)
    return _space(sizes, axes, pages)


def _of_imagej(tiff: Any, pages: int) -> TiffSpace:
    about = tiff.imagej_metadata or {}
    unit = str(about.get("unit", ""))
    tags = tiff.pages[0].tags
    across = [_per(tags[code].value) if code in tags else None for code in (282, 283)]
    sizes = [None if per is None else _length(1 / per, unit) for per in across]
    sizes.append(_length(about.get("spacing"), unit))
    axes = (
        ("C", _count(about.get("channels"))),
        ("Z", _count(about.get("slices"))),
        ("T", _count(about.get("frames"))),
    )
    return _space(sizes, axes, pages)


def _space(sizes: list[float | None], axes: tuple[tuple[str, int], ...], pages: int) -> TiffSpace:
    x, y, z = sizes
    spacing = None if x is None or y is None else (x, y)
    if math.prod(count for _, count in axes) != pages:
        return TiffSpace(spacing, z or 0.0)
    return TiffSpace(spacing, z or 0.0, axes)


def _length(value: Any, unit: str) -> float | None:
    """In millimetres; None for what is none."""
    try:
        number = float(value) * _MM_OF_UNIT[unit.strip().lower()]
    except (TypeError, ValueError, KeyError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _per(value: Any) -> float | None:
    """Pixels a unit, as TIFF's rational has it."""
    try:
        over, under = value
        number = float(over) / float(under)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _count(value: Any) -> int:
    try:
        return max(1, int(value))
    except (TypeError, ValueError):
        return 1
