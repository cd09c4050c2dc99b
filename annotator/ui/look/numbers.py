"""How the window writes numbers."""

from __future__ import annotations

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
