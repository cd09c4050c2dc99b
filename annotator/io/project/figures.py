"""The figures of a project, from its file: a few columns of every row, no mask is decoded."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.figures import ObjectFigure, ProjectFigures, ProposalFigure, project_figures
from annotator.domain.ports.jobs import Progress
from annotator.io.project.proposals import COVERED, DROPPED
from annotator.io.project.schema import translated_errors
from annotator.io.project.soundness import fetch

if TYPE_CHECKING:
    from annotator.io.project.queries import ProjectQueries

_PIECE = 5_000
_OBJECTS = f"""SELECT id, image_id, category_id, area, origin, CASE WHEN instr(extra, '"found"') THEN extra ELSE '' END
  FROM annotation WHERE id > ? ORDER BY id LIMIT {_PIECE}"""
_PROPOSALS = "SELECT source, score, state FROM proposal"


class FigureQueries:
    """What is counted; by the thread that opened the project."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    def objects(self) -> Iterator[ObjectFigure]:
        """Every object, in pieces. Rows that are damaged are left out."""
        last = -1
        while True:
            rows = self._fetch(_OBJECTS, last)
            for row in rows:
                _, image_id, category_id, area_px, origin, extra = row
                if isinstance(origin, str) and all(isinstance(value, int) for value in row[:4]):
                    found_by, score = _found(extra)
                    yield ObjectFigure(image_id, category_id, area_px, origin, found_by, score)
            if len(rows) < _PIECE:
                return
            last = rows[-1][0]

    def proposals(self) -> Iterator[ProposalFigure]:
        """Every proposal that lies in the file, whatever its state."""
        if self._fetch("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'proposal'"):
            for source, score, state in self._fetch(_PROPOSALS):
                if isinstance(source, str) and isinstance(score, float):
                    yield ProposalFigure(source, score, state == DROPPED, state == COVERED)

    def _fetch(self, sql: str, *arguments: int) -> list[tuple[Any, ...]]:
        with translated_errors(self._path, "read"):
            return fetch(self._connection, sql, arguments)


def read_figures(store: ProjectQueries, progress: Progress | None = None) -> ProjectFigures:
    """Count a project.

    Args:
        progress: called with (objects done, objects in all); what it raises ends the work.

    Raises:
        ProjectError: the file cannot be read.
    """
    total = sum(store.annotation_counts().values())

    def objects() -> Iterator[ObjectFigure]:
        for done, one in enumerate(store.figures.objects()):
            if progress is not None and done % _PIECE == 0:
                progress(done, total)
            yield one

    found = project_figures(objects(), store.figures.proposals(), store.categories(), store.status_counts())
    if progress is not None:
        progress(total, total)
    return found


def _found(extra: Any) -> tuple[str, float | None]:
    """Who found an object that was a proposal, and its predicted IoU then."""
    try:
        found = json.loads(extra)["found"] if extra else {}
        source, score = found["source"], found.get("score")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", None
    if not isinstance(source, str):
        return "", None
    is_number = isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score)
    return source, float(score) if score is not None and is_number else None
