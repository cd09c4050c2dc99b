"""Colours of classes that never run out: Okabe and Ito's first, then always the one farthest from all that are there.

Far is measured in OKLab (Ottosson 2020), as people with normal sight see it and as those with each of the three common
colour-vision deficiencies do (Machado et al. 2009, full severity). Everything here is deterministic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Without black, which cannot be seen on a dark image. Neighbours in the list differ strongly in hue."""

NEIGHBOURS = 6
"""So many colours before a new one are its neighbours, from which it is at least twice as far as from the others."""
DEFICIENT_WEIGHT = 2.0
"""Two colours are as close as they are to normal sight, or this often as close as they are to a deficient one: with two
dimensions left out of three, it cannot tell as many apart."""
_LEVELS = np.linspace(0, 255, 16)
_LIGHTNESS = (0.5, 0.95)
"""Of OKLab, 0 to 1: nothing that drowns in a dark image, nothing that is white."""
_LEAST_CHROMA = 0.04
"""Of OKLab: greys are what images are made of."""
_SAME = 0.05
"""One of Okabe and Ito's is not given when a colour this near to it is there."""
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""What a sight makes of linear RGB, 3 x 3."""


def oklab(rgb: Floats, sight: str = "normal") -> Floats:
    """OKLab (N x 3: L 0..1, a, b) of sRGB (N x 3, 0..255) as one of ``SIGHTS`` sees it."""
    part = rgb / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ SIGHTS[sight].T, 0, 1)
    result: Floats = np.cbrt(seen @ _TO_CONES.T) @ _TO_LAB.T
    return result


def rgb_of(colours: Sequence[str]) -> Floats:
    """``#rrggbb`` as N x 3, 0..255.

    Raises:
        ValueError: one is not of that form.
    """
    rows = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours]
    return np.array(rows, np.float64).reshape(-1, 3)


def as_colour(value: object) -> str | None:
    """``#rrggbb`` from what files call a colour: such a text, or red, green and blue of 0..255; None for all else."""
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        return value.lower()
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    is_rgb = all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in value)
    return "#{:02x}{:02x}{:02x}".format(*value) if is_rgb else None


def _places(rgb: Floats) -> Floats:
    """Where colours lie for each sight, 4 x N x 3, deficient ones weighted."""
    weights = [1.0 if sight == "normal" else DEFICIENT_WEIGHT for sight in SIGHTS]
    return np.stack([weight * oklab(rgb, sight) for weight, sight in zip(weights, SIGHTS, strict=True)])


def distances(colours: Sequence[str]) -> Floats:
    """How far apart colours are to whoever tells them apart least, N x N; black and white are 1 apart."""
    places = _places(rgb_of(colours))
    result: Floats = np.sqrt(_gaps(places, places))
    return result


@cache
def _candidates() -> tuple[Floats, Floats]:
    """All colours that may be given, N x 3, and their places."""
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3).round()
    lab = oklab(grid)
    is_seen = (lab[:, 0] >= _LIGHTNESS[0]) & (lab[:, 0] <= _LIGHTNESS[1])
    rgb = grid[is_seen & (np.hypot(lab[:, 1], lab[:, 2]) >= _LEAST_CHROMA)]
    return rgb, _places(rgb)


def _gaps(some: Floats, others: Floats) -> Floats:
    """Squared distances of places to whoever sees least of them, N x M."""
    result = np.full((some.shape[1], others.shape[1]), np.inf)
    ones = np.ones((some.shape[1], 1)), np.ones((others.shape[1], 1))
    for one, other in zip(some, others, strict=True):
        # |a - b|^2 as one product: thousands of colours are compared within a frame.
        left = np.hstack((-2 * one, (one**2).sum(axis=1, keepdims=True), ones[0]))
        right = np.hstack((other, ones[1], (other**2).sum(axis=1, keepdims=True)))
        np.minimum(result, left @ right.T, out=result)
    return np.clip(result, 0, None, out=result)


def colours_after(used: Sequence[str]) -> Iterator[str]:
    """Colours (``#rrggbb``) for more classes without end, each far from all before it.

    Args:
        used: the colours that there are, in their order; any that a file brought, too. What is no ``#rrggbb`` is
            left out.
    """
    used = [colour for colour in map(as_colour, used) if colour is not None]
    rgb, places = _candidates()
    first = list(_free_of(OKABE_ITO, used))
    gaps = _gaps(places, _places(rgb_of(used)))
    nearest = gaps.min(axis=1, initial=np.inf)
    recent = list(gaps.T[-NEIGHBOURS:])
    while True:
        if first:
            colour = first.pop(0)
        else:
            # Half as far counts for twice as near.
            # Rounded: the same everywhere.
            at = int(np.argmax(np.minimum(nearest, np.min(recent, axis=0) / 4).round(9)))
            colour = "#{:02x}{:02x}{:02x}".format(*rgb[at].astype(int))
        yield colour
        gap = _gaps(places, _places(rgb_of([colour])))[:, 0]
        nearest, recent = np.minimum(nearest, gap), [*recent[1 - NEIGHBOURS :], gap]


def _free_of(colours: Sequence[str], used: Sequence[str]) -> Iterator[str]:
    """Those of ``colours`` that are not near to a used one."""
    near = np.sqrt(_gaps(_places(rgb_of(colours)), _places(rgb_of(used)))).min(axis=1, initial=np.inf)
    yield from (colour for colour, distance in zip(colours, near, strict=True) if distance >= _SAME)


def next_colour(used: Sequence[str]) -> str:
    """The colour (``#rrggbb``) for one more class: see :func:`colours_after`."""
    return next(colours_after(used))
