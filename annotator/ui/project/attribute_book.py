"""The attributes of the open project: their definitions, and what is said of objects and images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from annotator.domain.attributes import Attribute, AttributeTarget, problem_of, renamed, with_value
from annotator.domain.counting import counted
from annotator.domain.project import Annotation, Edit, ImageRecord, RowChange

if TYPE_CHECKING:
    from annotator.ui.project.session import ProjectSession


class AttributeBook:
    """Part of a :class:`ProjectSession`; every change is one step to undo."""

    def __init__(self, session: ProjectSession) -> None:
        self._session = session
        self.rows: tuple[Attribute, ...] = ()

    def read(self) -> None:
        """As the file has them now."""
        store = self._session.store
        self.rows = () if store is None else tuple(store.attributes())

    def define(self, wanted: Attribute) -> str:
        """Add a definition (its id is given here).

        Returns:
            Why it cannot be used; empty when it was added.
        """
        session = self._session
        store = session.store
        others = [row.name for row in self.rows if row.target is wanted.target]
        problem = problem_of(wanted.name, wanted.form, wanted.choices, others)
        if problem or store is None:
            return problem
        made = replace(wanted, id=store.new_id("attribute"), name=wanted.name.strip())
        session.attempt(lambda: session.apply(Edit("define attribute", (RowChange(None, made),))))
        return ""

    def change(self, attribute_id: int, wanted: Attribute) -> str:
        """Define one anew. A new name takes along what was said under the old one, in the same step; a value that does
        not fit any more is kept, but not shown.

        Returns:
            Why it cannot be used; empty when it was changed.
        """
        session = self._session
        store = session.store
        old = next((row for row in self.rows if row.id == attribute_id), None)
        if old is None or store is None:
            return "This attribute is not there any more."
        if wanted.target is not old.target:
            return "An attribute of objects does not become one of images: add another one."
        others = [row.name for row in self.rows if row.target is old.target and row.id != old.id]
        problem = problem_of(wanted.name, wanted.form, wanted.choices, others)
        if problem:
            return problem
        new = replace(wanted, id=old.id, name=wanted.name.strip())
        changes = [RowChange(old, new)] if new != old else []
        if new.name != old.name:
            said: Iterable[Annotation | ImageRecord]
            said = session.images if old.target is AttributeTarget.IMAGE else store.all_annotations()
            pairs = ((row, renamed(row, old.name, new.name)) for row in said)
            changes += [RowChange(row, after) for row, after in pairs if after is not row]
        if changes:
            session.attempt(lambda: session.apply(Edit("change attribute", tuple(changes))))
        return ""

    def delete(self, attribute_id: int) -> None:
        """Take a definition away; what was said stays with its objects, and in exports."""
        found = [row for row in self.rows if row.id == attribute_id]
        session = self._session
        if found:
            session.attempt(lambda: session.apply(Edit("delete attribute", (RowChange(found[0], None),))))

    def say(self, rows: Iterable[Annotation | ImageRecord], attribute: Attribute, value: object) -> None:
        """Say the same of objects, or of an image; None takes it back."""
        changes = []
        for row in rows:
            after = with_value(row, attribute, value)
            if after != row:
                changes.append(RowChange(row, after))
        session = self._session
        if changes and session.is_writable:
            what = "image" if attribute.target is AttributeTarget.IMAGE else "object"
            name = f"{attribute.name} of {counted(len(changes), what)}"
            session.large.write(Edit(name, tuple(changes)))
