"""Slices in space: which files are one stack, in which order, and what is wrong with it. Pure.

Slices are sorted by where they lie along the normal of their plane (rows x columns of ImageOrientationPatient), never
by number or file name. Positions are in millimetres in the patient's coordinates (LPS).
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low

from annotator.domain.counting import counted

_SAME_PLACE = 0.01
"""Slices closer than this share of the step lie at the same place, and steps that differ by more are irregular."""
_LEAST_MM = 1e-3
_ORIENTATION_DIGITS = 3
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """What a file says of its slice.

    Attributes:
        path: of the file; whatever the caller knows it by.
        series: of files that belong together, from UIDs and the size of the picture.
        row, column: unit vectors along a row and a column of pixels; position: of the first pixel, mm.
        kinds: what tells volumes of one series apart (time, echo, b-value, acquisition), the most telling first; an
            empty text where the file does not say.
    """

    path: str
    series: str
    row: Vector
    column: Vector
    position: Vector
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices in their order.

    Attributes:
        identity: the same for the same stack, also after slices were added.
        offsets_mm: of each slice along the normal, from the first.
        step_mm: the (lower) median from slice to slice.
        gaps: places of the slices after which some are missing, with how many.
        is_tilted: whether the slices do not lie straight above each other (gantry tilt).
        notes: what is to be said of it, a sentence's part each.
    """

    identity: str
    slices: tuple[SliceFacts, ...]
    offsets_mm: tuple[float, ...]
    step_mm: float
    gaps: tuple[tuple[int, int], ...] = ()
    is_tilted: bool = False
    notes: tuple[str, ...] = ()


def stacks_of(facts: Iterable[SliceFacts]) -> list[Stack]:
    """All stacks of two slices or more, in the order of their first files; the other slices are pictures of their own.

    Slices of one series at the same place are parted by the first of their ``kinds`` that tells them apart; what is
    still twice is a stack of its own.
    """
    groups: dict[tuple[str, tuple[float, ...]], list[SliceFacts]] = defaultdict(list)
    for one in facts:
        plane = tuple(round(value, _ORIENTATION_DIGITS) + 0.0 for value in (*one.row, *one.column))
        groups[one.series, plane].append(one)
    found: list[Stack] = []
    for (series, plane), members in groups.items():
        for word, parted in _parted(members):
            named = hashlib.sha256(f"{series}|{plane}|{word}".encode()).hexdigest()[:32]
            found.extend(_layers(parted, named))
    return [stack for stack in found if len(stack.slices) > 1]


def along_normal(positions: Sequence[Vector], row: Vector, column: Vector) -> list[float]:
    """Where points lie along the normal of a plane, in millimetres."""
    normal = _cross(row, column)
    return [_dot(position, normal) for position in positions]


def ordered_frames(positions: Sequence[Vector], row: Vector, column: Vector) -> list[int] | None:
    """The frames of one file by their place along the normal; None where two lie at one place (time, echoes): then the
    file's own order says more."""
    places = along_normal(positions, row, column)
    order = sorted(range(len(places)), key=places.__getitem__)
    steps = [places[b] - places[a] for a, b in itertools.pairwise(order)]
    if not steps or min(steps) < max(_LEAST_MM, _SAME_PLACE * median_low(steps)):
        return None
    return order


def _parted(members: list[SliceFacts]) -> list[tuple[str, list[SliceFacts]]]:
    """One group, or one for each value of the first kind by which no place is taken twice."""
    if _has_own_places(members):
        return [("", members)]
    for kind in range(max(len(one.kinds) for one in members)):
        by_value: dict[str, list[SliceFacts]] = defaultdict(list)
        for one in members:
            by_value[one.kinds[kind] if kind < len(one.kinds) else ""].append(one)
        if len(by_value) > 1 and all(map(_has_own_places, by_value.values())):
            return [(f"{kind}={value}", group) for value, group in by_value.items()]
    return [("", members)]


def _has_own_places(members: list[SliceFacts]) -> bool:
    places = sorted(along_normal([one.position for one in members], members[0].row, members[0].column))
    steps = [b - a for a, b in itertools.pairwise(places)]
    if not steps:
        return True
    return min(steps) >= max(_LEAST_MM, _SAME_PLACE * median_low(steps))


def _layers(members: list[SliceFacts], identity: str) -> list[Stack]:
    """A stack of one slice a place, and where places are taken again, another one of those."""
    first = members[0]
    places = along_normal([one.position for one in members], first.row, first.column)
    at = sorted(zip(places, members, strict=True), key=lambda item: (item[0], item[1].path))
    distinct = sorted({round(place / _LEAST_MM) for place in places})
    steps = [(b - a) * _LEAST_MM for a, b in itertools.pairwise(distinct)]
    same_mm = max(_LEAST_MM, _SAME_PLACE * median_low(steps)) if steps else _LEAST_MM
    layers: list[list[tuple[float, SliceFacts]]] = []
    for place, one in at:
        layer = next((found for found in layers if place - found[-1][0] > same_mm), None)
        if layer is None:
            layers.append([(place, one)])
        else:
            layer.append((place, one))
    twice = len(members) - len(layers[0])
    return [
        _stack(
            layer, identity if number == 0 else f"{identity}.{number}", twice=twice if number == 0 else 0, copy=number
        )
        for number, layer in enumerate(layers)
    ]


def _stack(layer: list[tuple[float, SliceFacts]], identity: str, *, twice: int, copy: int) -> Stack:
    places, slices = [place for place, _ in layer], tuple(one for _, one in layer)
    steps = [b - a for a, b in itertools.pairwise(places)]
    step = median_low(steps) if steps else 0.0
    gaps: list[tuple[int, int]] = []
    uneven = 0
    for number, this in enumerate(steps):
        missing = round(this / step) - 1
        if missing > 0:
            gaps.append((number, missing))
        elif abs(this - step) > _SAME_PLACE * step:
            uneven += 1
    is_tilted = _is_tilted(slices, step)
    notes: list[str] = []
    if gaps:
        notes.append(f"{counted(sum(missing for _, missing in gaps), 'slice')} missing")
    if uneven:
        notes.append(f"{counted(uneven, 'step')} of another length")
    if is_tilted:
        notes.append("tilted")
    if twice:
        notes.append(f"{counted(twice, 'slice')} there twice, in a series of their own")
    if copy:
        notes.append("slices that are there twice")
    return Stack(
        identity, slices, tuple(round(p - places[0], 4) for p in places), step, tuple(gaps), is_tilted, tuple(notes)
    )


def _is_tilted(slices: tuple[SliceFacts, ...], step: float) -> bool:
    """Whether the way from the first slice to the last leaves the normal by more than a share of the steps."""
    first, last = slices[0], slices[-1]
    way = tuple(b - a for a, b in zip(first.position, last.position, strict=True))
    normal = _cross(first.row, first.column)
    along = _dot(way, normal)
    sideways = math.sqrt(max(0.0, _dot(way, way) - along * along))
    return sideways > max(_LEAST_MM, _SAME_PLACE * step) * max(1, len(slices) - 1)


def _cross(a: Sequence[float], b: Sequence[float]) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
