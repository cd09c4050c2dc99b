"""Checks of a whole project: image after image, with no more in memory than two numbers an object."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from annotator.domain.brevity import brief
from annotator.domain.checks.edges import edge_support
from annotator.domain.checks.finding import Finding, mark_of
from annotator.domain.checks.objects import CheckedObject, CheckLimits, check_objects
from annotator.domain.counting import counted
from annotator.domain.project import Category, ImageRecord, Status

_LEAST_OBJECTS = 20
"""Of a class, before anything can be unusual in it."""
_FAR = 4.0
"""So many times the usual distance from the middle (median absolute deviation, as standard deviations)."""
MOST_EDGE_SUPPORT = 1.2
"""An outline with more contrast on it than this many times that beside it is never reported."""
_EDGE_SUPPORT = 2.0
"""What an outline on an edge has; assumed of classes with few objects."""
_LEAST_SPREAD = {"size": 0.2, "score": 0.03}
"""Logarithm of the area, and score: classes that vary by less are taken to vary by this."""


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """One image with its objects.

    Attributes:
        unusable: (object id, why) of objects that cannot be read.
        is_marked: whether the status was set by a person: a COCO file has none.
        pixels: reads the image, H x W x 3 uint8, or gives None where that cannot be done; None: nobody wants it.
    """

    image: ImageRecord
    objects: Sequence[CheckedObject]
    unusable: Sequence[tuple[int, str]] = ()
    is_marked: bool = True
    pixels: Callable[[], npt.NDArray[np.uint8] | None] | None = None


@dataclass(slots=True, eq=False)
class _Figures:
    """Of one class: what is compared, and whose it is."""

    image_ids: array[int] = field(default_factory=lambda: array("q"))
    object_ids: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[float] = field(default_factory=lambda: array("d"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    edges: array[float] = field(default_factory=lambda: array("d"))
    """How well outlines lie on edges; empty where no images are read."""
    contents: list[bytes] = field(default_factory=list)
    """Of those whose figure is low enough to be reported; else empty."""


def check_project(
    images: Iterable[CheckedImage], categories: Sequence[Category], limits: CheckLimits | None = None
) -> Iterator[Finding]:
    """All findings: of the classes, then image after image, at last what is unusual among all."""
    limits = limits or CheckLimits()
    names = {category.id: category.name for category in categories}
    yield from _class_names(categories)
    figures: defaultdict[int, _Figures] = defaultdict(_Figures)
    for entry in images:
        image_id = entry.image.id
        yield from _status(entry)
        for object_id, why in entry.unusable:
            yield Finding("unusable", image_id, (object_id,), 0.0, why, mark_of("unusable", image_id, (object_id,)))
        yield from check_objects(image_id, entry.objects, names, limits)
        image = None if entry.pixels is None or not entry.objects else entry.pixels()
        for one in entry.objects:
            own = figures[one.category_id]
            _note(own, image_id, one)
            if entry.pixels is not None:
                _note_edges(own, image, one)
    for category_id, known in figures.items():
        yield from _unusual(known, names.get(category_id, "?"))
        yield from _off_edges(known, names.get(category_id, "?"))


def _status(entry: CheckedImage) -> Iterator[Finding]:
    image = entry.image
    count = len(entry.objects) + len(entry.unusable)
    if entry.is_marked and image.status is Status.DONE and not count:
        yield Finding("done-without", image.id, (), 0.0, "no object", mark_of("done-without", image.id, ()))
    if entry.is_marked and image.status is Status.EMPTY and count:
        yield Finding("empty-with", image.id, (), count, counted(count), mark_of("empty-with", image.id, ()))


def _class_names(categories: Sequence[Category]) -> Iterator[Finding]:
    alike: defaultdict[str, list[Category]] = defaultdict(list)
    for category in categories:
        alike["".join(category.name.split()).casefold()].append(category)
    for same in alike.values():
        if len(same) > 1:
            texts = " and ".join(f"“{category.name}”" for category in same)
            content = [category.name.encode() for category in same]
            mark = mark_of("class-names", 0, [category.id for category in same], content)
            yield Finding("class-names", 0, (), len(same), texts, mark)


def _note(figures: _Figures, image_id: int, one: CheckedObject) -> None:
    figures.image_ids.append(image_id)
    figures.object_ids.append(one.id)
    figures.sizes.append(math.log(max(1, one.mask.area)))
    figures.scores.append(math.nan if one.score is None else one.score)


def _note_edges(figures: _Figures, image: npt.NDArray[np.uint8] | None, one: CheckedObject) -> None:
    fits = image is not None and image.shape[:2] == (one.mask.height, one.mask.width) and not one.is_crowd
    found = edge_support(image, one.mask) if image is not None and fits else None
    figures.edges.append(math.nan if found is None else found)
    figures.contents.append(one.rle if found is not None and found < MOST_EDGE_SUPPORT else b"")


def _off_edges(figures: _Figures, name: str) -> Iterator[Finding]:
    """Outlines that lie on edges far less than others of their class do."""
    values = np.array(figures.edges)
    known = np.isfinite(values)
    if not known.any():
        return
    usual = float(np.median(values[known])) if known.sum() >= _LEAST_OBJECTS else _EDGE_SUPPORT
    least = min(MOST_EDGE_SUPPORT, usual / 2)
    for at in np.flatnonzero(known & (values < least)).tolist():
        image_id, object_id = figures.image_ids[at], figures.object_ids[at]
        text = f"{values[at]:.1f} times the contrast beside it, where {brief(name)} has about {usual:.1f}"
        mark = mark_of("edges", image_id, (object_id,), (figures.contents[at],))
        yield Finding("edges", image_id, (object_id,), least - float(values[at]), text, mark)


def _unusual(figures: _Figures, name: str) -> Iterator[Finding]:
    for check, values in (("size", np.array(figures.sizes)), ("score", np.array(figures.scores))):
        known = np.isfinite(values)
        if known.sum() < _LEAST_OBJECTS:
            continue
        middle = float(np.median(values[known]))
        spread = max(1.4826 * float(np.median(np.abs(values[known] - middle))), _LEAST_SPREAD[check])
        far = (values - middle) / spread
        chosen = np.flatnonzero(known & ((far < -_FAR) if check == "score" else (np.abs(far) > _FAR)))
        for at in chosen.tolist():
            image_id, object_id = figures.image_ids[at], figures.object_ids[at]
            if check == "size":
                times = math.exp(abs(values[at] - middle))
                text = f"{times:.1f} times {'larger' if values[at] > middle else 'smaller'} than most of {brief(name)}"
            else:
                text = f"{values[at]:.2f}, where most of {brief(name)} have {middle:.2f}"
            mark = mark_of(check, image_id, (object_id,), [f"{values[at]:.4f}".encode()])
            yield Finding(check, image_id, (object_id,), abs(float(far[at])), text, mark)


def counts_of(findings: Iterable[Finding]) -> Mapping[str, int]:
    """Number of findings by check."""
    found: defaultdict[str, int] = defaultdict(int)
    for finding in findings:
        found[finding.check] += 1
    return dict(found)
