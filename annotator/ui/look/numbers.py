"""How the window writes numbers."""

from __future__ import annotations

_THIN_SPACE = "\u202f"
"""Never broken at a line's end, and not taken for the comma between the two numbers of a place."""


def grouped(count: int) -> str:
    """A whole number with its thousands set apart: 164 837."""
    return f"{count:,}".replace(",", _THIN_SPACE)
