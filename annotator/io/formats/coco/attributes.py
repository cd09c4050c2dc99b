"""Definitions of attributes in a COCO file: the list ``attributes`` at its top, which other readers pass over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from annotator.domain.attributes import VALUES_KEY, Attribute, from_json
from annotator.domain.project import RowChange
from annotator.io.project.store import ProjectStore


def plan_attributes(
    rows: Iterable[Any], store: ProjectStore, classes: Mapping[int | None, int], notes: list[str]
) -> tuple[RowChange, ...]:
    """The definitions that the project does not have yet.

    Args:
        classes: the project's class by the file's own id.
        notes: gets a line about those that cannot be used; the values stay with their objects all the same.
    """
    known = {(one.target, one.name.casefold()) for one in store.attributes()}
    changes: list[RowChange] = []
    for row in rows:
        found = from_json(row, store.peek_id("attribute"))
        if found is None or (found.category_id and found.category_id not in classes):
            notes.append("a definition of an attribute cannot be used; its values are kept")
            continue
        if (found.target, found.name.casefold()) in known:
            continue
        known.add((found.target, found.name.casefold()))
        extra = {**found.extra, "class": classes[found.category_id]} if found.category_id else found.extra
        changes.append(RowChange(None, replace(found, id=store.new_id("attribute"), extra=extra)))
    return tuple(changes)


def with_all_values(values: dict[str, Any] | None, own: Iterable[Attribute]) -> dict[str, Any] | None:
    """What is said of an object or image, with the defaults where nothing was said; None for nothing at all."""
    known = {} if values is None else values
    said = {one.name: one.value_of({VALUES_KEY: known}) for one in own if one.name not in known}
    found = {**known, **{name: value for name, value in said.items() if value is not None}}
    return found or values
