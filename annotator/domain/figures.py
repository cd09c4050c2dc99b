"""Figures of a project: objects per class and their sizes, images, and what became of the proposals.

Nothing here reads a file: rows come one by one, and of each a few numbers are kept.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from annotator.domain.project import Category, Status

SIZE_BINS = 24
"""Of the histogram of sizes: each as many times as large as the one before as the others, from 1 px to 16 million."""
_LARGEST_PX = float(1 << 24)
BANDS = 10
"""Of predicted IoU, in which the precision of proposals is counted."""
FINDERS = {"everything": "Find everything", "like": "Find all like this", "words": "Find by words"}
"""What the sources of proposals are called, for people; others go by their own name."""


@dataclass(frozen=True, slots=True)
class ObjectFigure:
    """What counts of one object.

    Attributes:
        origin: as an annotation has it.
        found_by: who found it, where it was a proposal; else empty. found_score: its predicted IoU then.
    """

    image_id: int
    category_id: int
    area_px: int
    origin: str
    found_by: str = ""
    found_score: float | None = None


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Of one class.

    Attributes:
        area_px: smallest, lower quartile, median, upper quartile, largest; zeros where there is no object.
        sizes: objects by size, :data:`SIZE_BINS` numbers (:func:`size_edges`).
    """

    name: str
    colour: str
    objects: int
    images: int
    area_px: tuple[float, float, float, float, float]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProposalFigures:
    """What became of the proposals of one finder.

    Attributes:
        accepted: taken by the person, as they were or corrected since. corrected: those of them whose mask was changed.
        rejected: dropped. waiting: open. covered: not needed, because an object was drawn or taken there.
        bands: (accepted, rejected) by predicted IoU, :data:`BANDS` of equal width.
    """

    source: str
    accepted: int
    corrected: int
    rejected: int
    waiting: int
    covered: int
    bands: tuple[tuple[int, int], ...]

    @property
    def judged(self) -> int:
        return self.accepted + self.rejected

    @property
    def precision(self) -> float | None:
        """Share of those that a person has judged that were taken; None: nobody judged any."""
        return self.accepted / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the precision (Wilson, 1927), which says how much a few judgements are worth."""
        count, z = self.judged, 1.96
        if not count:
            return 0.0, 1.0
        share = self.accepted / count
        middle = (share + z * z / (2 * count)) / (1 + z * z / count)
        half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class ProjectFigures:
    """All of a project.

    Attributes:
        images: by status, every one is there. origins: objects by how they came to be, the most first.
    """

    images: Mapping[Status, int]
    objects: int
    images_with_objects: int
    classes: tuple[ClassFigures, ...]
    origins: Mapping[str, int]
    proposals: tuple[ProposalFigures, ...]


@dataclass(slots=True, eq=False)
class _Sums:
    areas: array[int] = field(default_factory=lambda: array("q"))
    images: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Judged:
    accepted: int = 0
    corrected: int = 0
    rejected: int = 0
    waiting: int = 0
    covered: int = 0
    bands: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in range(BANDS)])

    def note(self, score: float | None, *, is_taken: bool) -> None:
        if score is not None and math.isfinite(score):
            self.bands[min(BANDS - 1, max(0, int(score * BANDS)))][0 if is_taken else 1] += 1


@dataclass(frozen=True, slots=True)
class ProposalFigure:
    """What counts of one proposal that lies in the project file: whose, how good, and how it stands."""

    source: str
    score: float
    is_dropped: bool
    is_covered: bool


def size_edges() -> list[float]:
    """The limits of the bins of sizes in pixels, :data:`SIZE_BINS` + 1."""
    return [float(_LARGEST_PX ** (at / SIZE_BINS)) for at in range(SIZE_BINS + 1)]


def project_figures(
    objects: Iterable[ObjectFigure],
    proposals: Iterable[ProposalFigure],
    categories: Sequence[Category],
    images: Mapping[Status, int],
) -> ProjectFigures:
    """Count; classes in their order, those without objects, too."""
    sums: defaultdict[int, _Sums] = defaultdict(_Sums)
    origins: Counter[str] = Counter()
    judged: defaultdict[str, _Judged] = defaultdict(_Judged)
    for one in objects:
        own = sums[one.category_id]
        own.areas.append(one.area_px)
        own.images.add(one.image_id)
        origins[one.origin] += 1
        if one.found_by:
            found = judged[one.found_by]
            found.accepted += 1
            found.corrected += one.origin != one.found_by
            found.note(one.found_score, is_taken=True)
    for proposal in proposals:
        found = judged[proposal.source]
        found.rejected += proposal.is_dropped
        found.covered += proposal.is_covered
        found.waiting += not (proposal.is_dropped or proposal.is_covered)
        if proposal.is_dropped:
            found.note(proposal.score, is_taken=False)
    return ProjectFigures(
        images={status: images.get(status, 0) for status in Status},
        objects=sum(origins.values()),
        images_with_objects=len(set().union(*(own.images for own in sums.values()))),
        classes=tuple(_class(category, sums.get(category.id, _Sums())) for category in categories),
        origins=dict(origins.most_common()),
        proposals=tuple(_proposals(source, judged[source]) for source in sorted(judged)),
    )


def _class(category: Category, own: _Sums) -> ClassFigures:
    areas = np.frombuffer(own.areas, np.int64) if own.areas else np.zeros(0, np.int64)
    marks = np.percentile(areas, (0, 25, 50, 75, 100)).tolist() if areas.size else [0.0] * 5
    counts, _ = np.histogram(np.clip(areas, 1, _LARGEST_PX), size_edges())
    return ClassFigures(
        category.name, category.colour, len(own.areas), len(own.images), tuple(marks), tuple(counts.tolist())
    )


def _proposals(source: str, own: _Judged) -> ProposalFigures:
    # Of the covered ones those that were taken are covered by themselves.
    covered = max(0, own.covered - (own.accepted - own.corrected))
    bands = tuple((taken, dropped) for taken, dropped in own.bands)
    return ProposalFigures(source, own.accepted, own.corrected, own.rejected, own.waiting, covered, bands)
