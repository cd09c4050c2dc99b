"""What can be asked of an open project about its series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from annotator.domain.media import Series
from annotator.domain.project import Row


class SliceRows:
    """Part of :class:`annotator.io.project.queries.ProjectQueries`, whose way to rows it is given."""

    def __init__(self, rows: Callable[..., list[Row]], fetch: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._rows, self._fetch = rows, fetch

    def series(self) -> list[Series]:
        """All series in the order of their ids."""
        return cast(list[Series], self._rows("series", "ORDER BY id"))

    def annotated(self, series_id: int) -> frozenset[int]:
        """Ids of the slices of a series that have objects."""
        slices = "SELECT id FROM image WHERE series_id = ?"
        found = self._fetch(f"SELECT DISTINCT image_id FROM annotation WHERE image_id IN ({slices})", series_id)
        return frozenset(image_id for (image_id,) in found)

    def positions(self, series_id: int) -> dict[int, int]:
        """The places of the slices of a series, by image id."""
        return dict(self._fetch("SELECT id, position FROM image WHERE series_id = ?", series_id))

    def files(self) -> frozenset[str]:
        """The paths of all images, each once."""
        return frozenset(path for (path,) in self._fetch("SELECT DISTINCT path FROM image"))
