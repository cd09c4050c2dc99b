"""How the window writes numbers."""

from __future__ import annotations

from annotator.domain.counting import counted
from annotator.domain.tracks.size import TrackSize

_THIN_SPACE = "\u202f"
"""Never broken at a line's end, and not taken for the comma between the two numbers of a place."""


def grouped(count: int) -> str:
    """A whole number with its thousands set apart: 164 837."""
    return f"{count:,}".replace(",", _THIN_SPACE)


def area_text(area_px: int, spacing_mm: tuple[float, float] | None = None) -> str:
    """An area in square millimetres where the pixel's size (x, y) is known, else in pixels."""
    if spacing_mm is None:
        return f"{grouped(area_px)} px²"
    area_mm2 = area_px * spacing_mm[0] * spacing_mm[1]
    return f"{grouped(round(area_mm2))} mm²" if area_mm2 >= 100 else f"{area_mm2:.3g} mm²"


def volume_text(volume_mm3: float) -> str:
    """A volume in the unit that people use for one of that size."""
    if volume_mm3 >= 1:
        millilitres = volume_mm3 / 1000
        return f"{grouped(round(millilitres))} mL" if millilitres >= 100 else f"{millilitres:.3g} mL"
    return f"{volume_mm3:.3g} mm³" if volume_mm3 >= 1e-3 else f"{volume_mm3 * 1e9:.3g} µm³"


def millimetres(length_mm: float) -> str:
    """A length with three digits or so, and the unit that people use for one of that size."""
    if 0 < length_mm < 0.1:
        return f"{length_mm * 1000:.3g} µm"
    return f"{grouped(round(length_mm))} mm" if length_mm >= 100 else f"{length_mm:.3g} mm"


def diameter_text(diameter: float, *, is_mm: bool) -> str:
    """A longest diameter, in millimetres or in pixels."""
    return f"⌀ {millimetres(diameter) if is_mm else f'{diameter:.1f} px'}"


def track_text(size: TrackSize, *, has_volume: bool = True) -> str:
    """A track as one object in space: its volume (frames of a video have none), its longest diameter, and on how many
    slices it is."""
    volume = f"{grouped(size.pixels)} px³" if size.volume_mm3 is None else volume_text(size.volume_mm3)
    slices = counted(size.slices, "slice")
    return "  ·  ".join([*([volume] if has_volume else []), diameter_text(size.diameter, is_mm=size.is_mm), slices])


def size_text(width_px: float, height_px: float, spacing_mm: tuple[float, float] | None = None) -> str:
    """Width and height of a box in pixels, and where the pixel's size (x, y) is known in millimetres, too."""
    pixels = f"{width_px:.0f} × {height_px:.0f} px"
    if spacing_mm is None:
        return pixels
    width, height = millimetres(width_px * spacing_mm[0]), millimetres(height_px * spacing_mm[1])
    unit = width.split(" ")[-1]
    short = width.removesuffix(f" {unit}") if height.endswith(f" {unit}") else width
    return f"{pixels}  ·  {short} × {height}"
