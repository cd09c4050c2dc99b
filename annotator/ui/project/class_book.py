"""The classes of the open project: which one is in use, and every change of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.project import Category, Edit, RowChange, merge_edit, order_edit
from annotator.io.project.store import ProjectStore
from annotator.ui.look.numbers import grouped

if TYPE_CHECKING:
    from annotator.ui.project.session import ProjectSession


class ClassBook:
    """Part of a :class:`ProjectSession`; failures and changes are reported through its signals."""

    def __init__(self, session: ProjectSession) -> None:
        self._session = session
        self.current_id = 0
        """Id of the class that the next object gets; 0: none."""

    def make_valid(self) -> None:
        """Use the first class when the one in use is gone."""
        if self.current_id not in self._session.categories:
            self.current_id = next(iter(self._session.categories), 0)

    def pick(self, category_id: int) -> None:
        """Use a class; it is remembered with the project."""
        session = self._session
        if category_id in session.categories:
            self.current_id = category_id
            session.remember("class", str(category_id))
            session.class_changed.emit(session.category)
            session.class_picked.emit(session.category)

    def by_key(self, key: int) -> Category | None:
        return next((c for c in self._session.categories.values() if c.key == key), None)

    def add(self, name: str = "") -> int:
        """Add a class and use it; returns its id, or 0 when that failed. Without a name it gets a stand-in."""
        session, given = self._session, name.strip()
        store = session.store
        if store is None:
            return 0
        names = {c.name.casefold() for c in session.categories.values()}
        if not given:
            given = next(n for i in range(1, 10_000) if (n := f"class {i}") not in names)
        if given.casefold() in names:
            session.reported.emit(f"There is a class “{given}” already.")
            return 0

        def work() -> None:
            edit = store.category_edit(given)
            session.apply(edit)
            self.pick(edit.changes[0].row.id)

        return self.current_id if session.attempt(work) else 0

    def change(self, category_id: int, **fields: Any) -> None:
        """Change a class's ``name`` or ``colour``. The name of another class changes nothing: merging is offered."""
        session = self._session
        old = session.categories.get(category_id)
        if old is None or old == (new := replace(old, **fields)):
            return
        known = session.categories.values()
        same = next((c for c in known if c.id != old.id and c.name.casefold() == new.name.casefold()), None)
        if same is not None:
            session.merge_offered.emit(old, same)
            return
        title = "rename class" if "name" in fields else "change class"
        session.attempt(lambda: session.apply(Edit(title, (RowChange(old, new),))))

    def merge(self, source_id: int, target_id: int) -> None:
        """Move all objects of a class to another one, and delete it; one step back undoes both."""
        session = self._session
        source, target, store = session.categories.get(source_id), session.categories.get(target_id), session.store
        if source is None or target is None or source is target or store is None:
            return
        was_current, count, path = self.current_id == source_id, self.object_count(source_id), store.path

        def made() -> Edit:
            with ProjectStore.open(path, read_only=True) as reader:
                return merge_edit(source, target, tuple(reader.all_annotations(category_id=source_id)))

        def then() -> None:
            if was_current:
                self.pick(target_id)
            are = "1 object is" if count == 1 else f"{grouped(count)} objects are"
            session.reported.emit(f"Merged: {are} “{brief(target.name)}” now. Undo takes it back.")

        session.large.apply(f"Merge {brief(source.name)} into {brief(target.name)}", made, count, then)

    def move(self, category_id: int, step: int) -> None:
        """Move a class in the list, so many places down."""
        session, order = self._session, list(self._session.categories)
        if category_id not in order:
            return
        at = order.index(category_id)
        order.insert(min(max(at + step, 0), len(order) - 1), order.pop(at))
        edit = order_edit([session.categories[one] for one in order])
        if order != list(session.categories):
            session.attempt(lambda: session.apply(edit))

    def set_key(self, category_id: int, key: int) -> None:
        """Let a number key pick a class (0: none does); a class that has the key loses it."""
        known = self._session.categories
        wanted = [(row, key) for row in known.values() if row.id == category_id and row.key != key]
        lost = [(row, 0) for row in known.values() if key and row.key == key and row.id != category_id]
        if wanted:
            changes = tuple(RowChange(row, replace(row, key=to)) for row, to in (*lost, *wanted))
            self._session.attempt(lambda: self._session.apply(Edit("change key of class", changes)))

    def describe(self, category_id: int, supercategory: str, description: str) -> None:
        """What a data set says of a class; an empty text takes it away."""
        old = self._session.categories.get(category_id)
        if old is None:
            return
        extra = {k: v for k, v in old.extra.items() if k not in ("supercategory", "description")}
        said = {"supercategory": supercategory, "description": description}
        self.change(category_id, extra={**extra, **{key: text for key, text in said.items() if text}})

    def delete_unused(self) -> None:
        """Delete all classes that no object has; one stays."""
        session = self._session
        counts = session.store.category_counts() if session.store is not None else {}
        unused = [row for row in session.categories.values() if not counts.get(row.id)]
        if len(unused) == len(session.categories):
            unused = [row for row in unused if row.id != self.current_id]
        if not unused:
            session.reported.emit("Every class has objects.")
            return
        gone = tuple(RowChange(row, None) for row in unused)
        name = f"delete {counted(len(gone), 'unused class', 'unused classes')}"
        session.attempt(lambda: session.apply(Edit(name, gone)))

    def object_count(self, category_id: int) -> int:
        """How many objects a class has in the whole project."""
        return self._session.store.category_counts().get(category_id, 0) if self._session.store else 0

    def delete(self, category_id: int) -> None:
        """Delete a class that no object has."""
        session = self._session
        old = session.categories.get(category_id)
        if old is None or session.store is None:
            return
        if session.store.category_counts().get(category_id) or len(session.categories) < 2:
            session.reported.emit(f"“{brief(old.name)}” is in use and stays.")
            return
        session.attempt(lambda: session.apply(Edit("delete class", (RowChange(old, None),))))
