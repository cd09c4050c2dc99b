"""Which findings still hold after changes of the project."""

from __future__ import annotations

from collections.abc import Iterable

from annotator.domain.checks.finding import Finding
from annotator.domain.checks.listing import class_marks, status_holds, still_holds
from annotator.domain.project import Annotation, Change
from annotator.ui.panels.check_rows import CheckModel
from annotator.ui.project.session import ProjectSession

_MOST_READ = 200
"""Findings whose objects are read again after one change; of more only that they are touched is known."""


def follow(model: CheckModel, session: ProjectSession, change: Change) -> None:
    """Mark the findings that are about something else now, and unmark those that a step back has made true again."""
    found = model.list
    touched = {one.mark: one for id_ in change.annotation_ids for one in found.by_object.get(id_, ())}
    for finding in touched.values():
        is_known = len(touched) <= _MOST_READ
        model.set_stale(finding, not (is_known and still_holds(finding, rows_of(session, finding))))
    for image_id in change.image_ids:
        for finding in found.by_image.get(image_id, ()):
            model.set_stale(finding, not _status_holds(session, finding))
    if change.category_ids:
        marks = class_marks(tuple(session.categories.values()))
        for finding in _of_classes(model):
            model.set_stale(finding, finding.mark not in marks)


def rows_of(session: ProjectSession, finding: Finding) -> list[Annotation]:
    """The objects of a finding that are there, as they are now, in its order.

    Raises:
        ProjectError: the file cannot be read.
    """
    rows: list[Annotation] = []
    for object_id in finding.object_ids if session.store is not None else ():
        try:
            rows.append(session.store.annotation(object_id))  # type: ignore[union-attr]
        except KeyError:
            continue
    return rows


def _status_holds(session: ProjectSession, finding: Finding) -> bool:
    row, image = session.row_of.get(finding.image_id), session.image
    # Of another image than the one that is shown the objects are not counted here; the next check does.
    is_known = row is not None and image is not None and image.id == finding.image_id
    return row is not None and is_known and status_holds(finding, session.images[row], len(session.annotations))


def _of_classes(model: CheckModel) -> Iterable[Finding]:
    return (one for group in model.list.groups if group.spec.id == "class-names" for one in group.findings)
