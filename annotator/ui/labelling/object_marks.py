"""Objects that are hidden, shown alone, locked or selected in other ways than one by one."""

from __future__ import annotations

import json

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.ui.labelling.views import Views
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow

_LOCKED_KEY = "locked"


class ObjectMarks(QObject):
    """What is hidden lasts until the project is closed; what is locked is kept with it."""

    def __init__(self, window: MainWindow, session: ProjectSession, *, views: Views) -> None:
        super().__init__(window)
        self._window, self._session, self._views = window, session, views
        self.hidden: frozenset[int] = frozenset()
        self._is_solo = False
        session.opened.connect(self._on_opened)
        session.changed.connect(lambda _change: self._show())
        session.image_changed.connect(lambda _image: self._end_solo())
        window.objects.selection_changed.connect(lambda _ids: self._show() if self._is_solo else None)
        window.objects.hide_wanted.connect(self._hide)
        window.objects.lock_wanted.connect(self._lock)

    # --- hidden and locked --------------------------------------------------------------------------------------------

    def hide(self) -> None:
        """Hide the selected objects, or show them when all of them are hidden."""
        self._hide(self._window.objects.selected_ids())

    def show_all(self) -> None:
        """Nothing is hidden any more."""
        self.hidden, self._is_solo = frozenset(), False
        self._show()

    def solo(self) -> None:
        """Only what is selected is shown, until this is asked for again or another image comes."""
        self._is_solo = not self._is_solo
        self._show()
        self._tell("Only what is selected is shown." if self._is_solo else "All objects are shown again.")

    def lock(self) -> None:
        """Lock the selected objects against every change, or unlock them when all of them are locked."""
        self._lock(self._window.objects.selected_ids())

    def _hide(self, ids: frozenset[int]) -> None:
        self.hidden = self.hidden - ids if ids <= self.hidden else self.hidden | ids
        self._show()

    def _lock(self, ids: frozenset[int]) -> None:
        session = self._session
        was_locked = ids <= session.locked
        session.locked = session.locked - ids if was_locked else session.locked | ids
        session.remember(_LOCKED_KEY, json.dumps(sorted(session.locked)))
        self._show()
        self._tell(f"{counted(len(ids), 'object')} {'unlocked' if was_locked else 'locked'}.")

    # --- selecting ----------------------------------------------------------------------------------------------------

    def select_many(self, ids: frozenset[int], is_additive: bool) -> None:
        """What a drag of the select tool has touched, beside what was selected or in its place."""
        objects = self._window.objects
        objects.select_ids(objects.selected_ids() | ids if is_additive else ids)

    def invert_selection(self) -> None:
        objects = self._window.objects
        objects.select_ids(frozenset(row.id for row in self._session.annotations) - objects.selected_ids())

    def select_class(self) -> None:
        """All objects of the classes that are selected; without a selection, of the class in use."""
        objects, rows = self._window.objects, self._session.annotations
        ids = objects.selected_ids()
        classes = {row.category_id for row in rows if row.id in ids} or {self._session.classes.current_id}
        objects.select_ids(frozenset(row.id for row in rows if row.category_id in classes))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_opened(self) -> None:
        store = self._session.store
        try:
            kept = json.loads((store.meta_get(_LOCKED_KEY) if store is not None else None) or "[]")
            locked = frozenset(one for one in kept if isinstance(one, int))
        except (ValueError, TypeError):
            locked = frozenset()
        self._session.locked = locked
        self.show_all()

    def _end_solo(self) -> None:
        self._is_solo = False
        self._show()

    def _show(self) -> None:
        hidden = self.hidden
        if self._is_solo:
            hidden |= frozenset(row.id for row in self._session.annotations) - self._window.objects.selected_ids()
        self._views.objects.set_hidden(hidden)
        self._window.objects.model.set_marks(hidden=hidden, locked=self._session.locked)

    def _tell(self, text: str) -> None:
        self._window.notices.tell(text, about=Subject.TOOL)
