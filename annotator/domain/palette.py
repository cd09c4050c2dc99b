"""Colours of classes: Okabe and Ito's first (safe for the common colour-vision deficiencies), then an extended list."""

from __future__ import annotations

from collections.abc import Collection

OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Without black, which cannot be seen on a dark image. Neighbours in the list differ strongly in hue."""

EXTENDED = (
    "#b07aff",
    "#7fd13b",
    "#ff7f9e",
    "#3ad6c5",
    "#c49c6c",
    "#8aa4ff",
    "#e36bd6",
    "#a8b82f",
    "#ff9d5c",
    "#5fc28a",
    "#d9c2ff",
    "#5d8aa8",
)

PALETTE = OKABE_ITO + EXTENDED


def next_colour(used: Collection[str]) -> str:
    """The first palette colour (``#rrggbb``) that is not in ``used``; starts over when all are."""
    taken = {colour.lower() for colour in used}
    for colour in PALETTE:
        if colour not in taken:
            return colour
    return PALETTE[len(taken) % len(PALETTE)]
