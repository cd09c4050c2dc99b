"""Which class of the project each category of a COCO file becomes; ids are kept where they are free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotator.domain.palette import as_colour, colours_after
from annotator.domain.project import Category, RowChange
from annotator.io.formats.coco.parse import clean_text, plain_json, text_id, whole_number
from annotator.io.project.place import DEFAULT_CATEGORY
from annotator.io.project.store import ProjectStore


@dataclass(frozen=True, slots=True)
class CategoryPlan:
    """``by_id``: the project's class by the file's own id; ``changes``: classes that have to be added or changed."""

    by_id: dict[int, int]
    changes: tuple[RowChange, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    source_id: int
    name: str
    extra: dict[str, Any]


def plan_categories(rows: Sequence[Any], store: ProjectStore, *, problems: list[str], notes: list[str]) -> CategoryPlan:
    """A class of the same name is used as it is; others are added. The untouched first class "object" of a project
    without objects makes way, so that a data set comes back with its own classes and ids."""
    wanted = _usable(rows, problems)
    present = store.categories()
    changes: list[RowChange] = []
    if wanted and _is_pristine(present, store):
        changes.append(RowChange(present[0], None))
        present, first_new = [], 1
    else:
        first_new = store.peek_id("category")
    matches = _matches(wanted, present)
    for item in wanted:
        match = matches.get(item.source_id)
        if match is not None and item.extra and not match.extra:
            changes.append(RowChange(match, replace(match, extra=item.extra)))
    by_id = {source_id: match.id for source_id, match in matches.items()}
    new = [item for item in wanted if item.source_id not in matches]
    ids = _new_ids(new, first_new, named={item.source_id for item in wanted})
    keys = {category.key for category in present}
    own = {item.source_id: colour for item in new if (colour := as_colour(item.extra.get("color"))) is not None}
    colours = colours_after([*(category.colour for category in present), *own.values()])
    for item in new:
        key = next((digit for digit in range(1, 10) if digit not in keys), 0)
        colour = own.get(item.source_id) or next(colours)
        category = Category(ids[item.source_id], item.name, colour, key, item.extra)
        keys.add(key)
        changes.append(RowChange(None, category))
        by_id[item.source_id] = category.id
        if category.id != item.source_id:
            notes.append(f"class {item.name[:80]!a} has id {category.id} here, {item.source_id} in the file")
    return CategoryPlan(by_id, tuple(changes))


def _matches(wanted: Sequence[_Wanted], present: Sequence[Category]) -> dict[int, Category]:
    """The project's class by the file's id. Of several with one name, those of the same id belong together, and the
    others in order: so has an earlier import of the file made them."""
    unused = {category.id: category for category in sorted(present, key=lambda category: category.id)}
    found: dict[int, Category] = {}
    for item in wanted:
        same = unused.get(item.source_id)
        if same is not None and same.name == item.name:
            found[item.source_id] = unused.pop(same.id)
    for item in wanted:
        match = next((category for category in unused.values() if category.name == item.name), None)
        if item.source_id not in found and match is not None:
            found[item.source_id] = unused.pop(match.id)
    return found


def _new_ids(new: Sequence[_Wanted], first_new: int, *, named: set[int]) -> dict[int, int]:
    """Own ids where they are from ``first_new`` on (lower ones are, or were, used), else the next free ones that the
    file does not name: a second import must not take one class for another."""
    ids = {item.source_id: item.source_id for item in new if item.source_id >= max(1, first_new)}
    following = max([first_new - 1, *ids.values()]) + 1
    for item in new:
        while following in named:
            following += 1
        if item.source_id not in ids:
            ids[item.source_id] = following
            following += 1
    return ids


def _is_pristine(present: Sequence[Category], store: ProjectStore) -> bool:
    if len(present) != 1 or store.peek_id("annotation") != 1 or store.peek_id("category") != 2:
        return False
    return present[0].name == DEFAULT_CATEGORY and not present[0].extra


def _usable(rows: Sequence[Any], problems: list[str]) -> list[_Wanted]:
    counts = Counter(whole_number(row.get("id")) for row in rows if isinstance(row, dict))
    found: list[_Wanted] = []
    told: set[int] = set()
    for number, row in enumerate(rows, start=1):
        source_id = whole_number(row.get("id")) if isinstance(row, dict) else None
        if source_id is None or source_id < 0:
            why = text_id(row) if isinstance(row, dict) else ""
            problems.append(f"category {number}: {why}" if why else f"category {number} has no usable id")
            continue
        if counts[source_id] > 1:
            if source_id not in told:
                problems.append(f"category id {source_id} is used {counts[source_id]} times; none of them is taken")
            told.add(source_id)
            continue
        name = _name(row, source_id, problems)
        found.append(_Wanted(source_id, name, _extra(row, name, problems)))
    return found


def _name(row: dict[str, Any], source_id: int, problems: list[str]) -> str:
    name = row.get("name")
    if isinstance(name, str) and name.strip():
        try:
            return clean_text(name)
        except ValueError as error:
            problems.append(f"the name of category {source_id} {error}")
    else:
        problems.append(f"category {source_id} has no name")
    return f"category {source_id}"


def _extra(row: dict[str, Any], name: str, problems: list[str]) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    for key, value in row.items():
        # An empty one is what is written for a class without: a class that comes back is the same.
        if key in ("id", "name") or (key == "supercategory" and not (isinstance(value, str) and value)):
            continue
        try:
            extra[clean_text(key)] = plain_json(value)
        except ValueError as error:
            problems.append(f"class {name[:80]!a}: the field {key[:40]!a} {error}; it was left out")
    return extra
