"""Which objects look alike, and which unlike their class: exact search among the vectors of a project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.domain.likeness.describe import Vectors

NEIGHBOURS = 10
LEAST_OF_CLASS = 8
"""A class with fewer objects says nothing about what its objects look like."""
_ROWS_AT_ONCE = 256
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Alike:
    """An object, and how alike it is: a scalar product, -1 to 1."""

    annotation_id: int
    image_id: int
    category_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Suspect:
    """An object that may have the wrong class.

    Attributes:
        share: of its nearest objects in other images that have its class, 0..1.
        likely_id: the class that most of these have.
    """

    annotation_id: int
    image_id: int
    category_id: int
    share: float
    likely_id: int


class Neighbours:
    """The objects of a project by how they look. Never changed.

    Args:
        ids, images, categories: n each, of the objects.
        units: n x D unit vectors (:func:`annotator.domain.likeness.describe.spread`).
    """

    def __init__(self, ids: IntArray, images: IntArray, categories: IntArray, units: Vectors) -> None:
        self._ids, self._images, self._categories, self._units = ids, images, categories, units
        self._place = {int(one): at for at, one in enumerate(ids)}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, annotation_id: object) -> bool:
        return annotation_id in self._place

    def like(self, annotation_id: int, count: int) -> list[Alike]:
        """The objects most like this one, without it, the most alike first.

        Raises:
            KeyError: it is not among them.
        """
        at = self._place[annotation_id]
        scores = self._units @ self._units[at]
        scores[at] = -np.inf
        count = min(count, len(scores) - 1)
        if count <= 0:
            return []
        best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.argsort(-scores[best], kind="stable")]
        return [
            Alike(int(self._ids[i]), int(self._images[i]), int(self._categories[i]), float(scores[i]))
            for i in best.tolist()
        ]

    def suspects(self, progress: Callable[[int, int], object] = lambda _done, _total: None) -> list[Suspect]:
        """Objects whose nearest ones in other images mostly have another class, the most suspect first.

        Classes with fewer than ``LEAST_OF_CLASS`` objects are left out. An order to review in, and no verdict.

        Args:
            progress: called with (done, total); what it raises ends the work.
        """
        kinds, counts = np.unique(self._categories, return_counts=True)
        known = np.isin(self._categories, kinds[counts >= LEAST_OF_CLASS])
        rows = np.flatnonzero(known)
        units, images, categories = (a[rows] for a in (self._units, self._images, self._categories))
        found: list[tuple[float, Suspect]] = []
        count = min(NEIGHBOURS, len(rows))
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            progress(start, len(rows))
            part = slice(start, start + _ROWS_AT_ONCE)
            scores = units[part] @ units.T
            scores[images[part, None] == images[None]] = -np.inf
            best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
            values = np.take_along_axis(scores, best, axis=1)
            for at, (near, value) in enumerate(zip(best, values, strict=True), start=start):
                suspect = self._suspect(rows[at], categories[near[np.isfinite(value)]])
                if suspect is not None:
                    found.append((-float(value.max()), suspect))
        progress(len(rows), len(rows))
        # Of those alike suspect the one with the nearest contradiction first.
        return [one for _, one in sorted(found, key=lambda pair: (pair[1].share, pair[0]))]

    def _suspect(self, row: int, near: IntArray) -> Suspect | None:
        own = int(self._categories[row])
        if not len(near):
            return None
        kinds, counts = np.unique(near, return_counts=True)
        likely, share = int(kinds[counts.argmax()]), float((near == own).mean())
        if likely == own or share >= 0.5:
            return None
        return Suspect(int(self._ids[row]), int(self._images[row]), own, share, likely)
