"""Which class of the project each category of a COCO file becomes; ids are kept where they are free."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotator.domain.palette import as_colour, colours_after
from annotator.domain.project import Category, RowChange
from annotator.domain.tally import Tally
from annotator.io.formats.coco.parse import clean_text, plain_json, text_id, whole_number
from annotator.io.project.place import DEFAULT_CATEGORY
from annotator.io.project.store import ProjectStore

LONGEST_NAME = 200
"""Letters of a class's name, as in the window."""
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters: nobody sees them in a list, and a terminal obeys them."""


@dataclass(frozen=True, slots=True)
class CategoryPlan:
    """What becomes of the file's classes.

    Attributes:
        by_id: the project's class by the file's own id; None stands for objects of a file without classes.
        changes: classes that have to be added or changed.
        order: ids of all classes of the project as they are to be listed; empty: as they are.
    """

    by_id: dict[int | None, int]
    changes: tuple[RowChange, ...]
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UsableCategory:
    """A class of the file: its id there, its name, and its other fields."""

    source_id: int
    name: str
    extra: dict[str, Any]


def usable_categories(rows: Iterable[Any], tally: Tally, notes: list[str]) -> list[UsableCategory] | None:
    """The classes of a file in its order; None when it lists none, so that its objects have no class.

    Rows that say the same of one id are one; when they differ, none of them is taken.
    """
    given = list(rows)
    if not given:
        return None
    by_id: dict[int, list[Any]] = {}
    for number, row in enumerate(given, start=1):
        source_id = whole_number(row.get("id")) if isinstance(row, dict) else None
        if source_id is None or source_id < 0:
            why = text_id(row) if isinstance(row, dict) else ""
            tally.add(f"category {number}{':' if why else ''}", why or "has no usable id", noun="category")
            continue
        by_id.setdefault(source_id, []).append(row)
    found: list[UsableCategory] = []
    for source_id, same in by_id.items():
        if any(row != same[0] for row in same):
            text = f"is used {len(same)} times for different classes; none of them is taken"
            tally.add(f"category id {source_id}", text, noun="category")
            continue
        if len(same) > 1:
            notes.append(f"category id {source_id} is listed {len(same)} times, the same each time; it is one class")
        name = _name(same[0], source_id, tally)
        found.append(UsableCategory(source_id, name, _extra(same[0], name, tally)))
    for name, count in Counter(item.name for item in found).items():
        if count > 1:
            notes.append(f"{count} classes have the name {name[:80]!a}; they are kept apart")
    return found


def plan_categories(coco_rows: Iterable[Any], store: ProjectStore, *, tally: Tally, notes: list[str]) -> CategoryPlan:
    """A class of the same name is used as it is; others are added, in the order of the file and with its ids as far as
    they are free. The untouched first class "object" of a project without objects makes way, so that a data set comes
    back with its own classes and ids."""
    wanted = usable_categories(coco_rows, tally, notes)
    if wanted is None:
        notes.append(f"the file lists no classes; its objects are taken as {DEFAULT_CATEGORY!a}")
        return _classless(store)
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
    by_id: dict[int | None, int] = {source_id: match.id for source_id, match in matches.items()}
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
    order = (*(category.id for category in present), *(ids[item.source_id] for item in new)) if new else ()
    return CategoryPlan(by_id, tuple(changes), order)


def _classless(store: ProjectStore) -> CategoryPlan:
    """One class for all objects: the project's "object", which is added where it was renamed or deleted."""
    present = next((category for category in store.categories() if category.name == DEFAULT_CATEGORY), None)
    if present is not None:
        return CategoryPlan({None: present.id}, ())
    edit = store.category_edit(DEFAULT_CATEGORY)
    return CategoryPlan({None: edit.changes[0].row.id}, edit.changes)


def _matches(wanted: Sequence[UsableCategory], present: Sequence[Category]) -> dict[int, Category]:
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


def _new_ids(new: Sequence[UsableCategory], first_new: int, *, named: set[int]) -> dict[int, int]:
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


def _name(row: dict[str, Any], source_id: int, tally: Tally) -> str:
    name = row.get("name")
    if isinstance(name, str) and name.strip():
        try:
            plain = clean_text(name)
        except ValueError as error:
            tally.add(f"the name of category {source_id}", str(error), noun="category")
            return f"category {source_id}"
        if _UNSEEN.search(plain):
            plain = " ".join(_UNSEEN.sub(" ", plain).split())
        if len(plain) > LONGEST_NAME:
            text = f"has a name of {len(plain):,} letters; {LONGEST_NAME} of them were taken"
            tally.add(f"category {source_id}", text, noun="category")
        return plain[:LONGEST_NAME].rstrip() or f"category {source_id}"
    tally.add(f"category {source_id}", "has no name", noun="category")
    return f"category {source_id}"


def _extra(row: dict[str, Any], name: str, tally: Tally) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    for key, value in row.items():
        # An empty one is what is written for a class without: a class that comes back is the same.
        if key in ("id", "name") or (key == "supercategory" and not (isinstance(value, str) and value)):
            continue
        try:
            extra[clean_text(key)] = plain_json(value)
        except ValueError as error:
            text = f"the field {key[:40]!a} {error}; it was left out"
            tally.add(f"class {name[:80]!a}:", text, noun="category")
    return extra
