"""What is said of objects and images: the panel, the dialog of definitions, the bar that asks for what is needed."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.domain.attributes import Attribute, AttributeTarget, missing, of_image, of_object
from annotator.domain.counting import counted
from annotator.domain.project import Annotation, Category, Change, ImageRecord
from annotator.ui.dialogs.attribute_definitions import AttributeDefinitions
from annotator.ui.panels.attributes import AttributePanel, Section
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow

_NONE_YET = "No attributes yet. Define what is to be said of objects and images."
_NONE_SELECTED = "Select objects to say something of them."


class AttributeControl(QObject):
    """One per window."""

    def __init__(self, window: MainWindow, session: ProjectSession, refine: RefineController) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._panel: AttributePanel = window.attributes
        self._bar = window.area.attribute
        self._asked: list[tuple[int, str]] = []
        """What is still to be asked: an object's id and an attribute's name."""
        self.dialog: AttributeDefinitions | None = None
        self._panel.said.connect(self._on_said)
        self._panel.define_wanted.connect(self.define)
        self._bar.said.connect(self._on_answer)
        self._bar.skipped.connect(self.skip)
        window.objects.selection_changed.connect(lambda _ids: self._show())
        session.opened.connect(self._on_opened)
        session.changed.connect(self._on_change)
        session.image_changed.connect(lambda _image: self._on_image())
        refine.accepted.connect(lambda annotation, _change: self._on_accepted(annotation))

    def define(self) -> None:
        """Open the dialog of definitions."""
        if self.dialog is not None or not self._session.is_writable:
            return
        book, categories = self._session.attributes, list(self._session.categories.values())
        dialog = self.dialog = AttributeDefinitions(
            categories, define=book.define, delete=book.delete, parent=self._window
        )
        dialog.show_rows(book.rows)
        dialog.finished.connect(self._forget)
        dialog.open()

    def answer(self) -> None:
        """Give the focus to the question, else to the panel."""
        field = self._bar.field
        if field is not None:
            field.setFocus()
            return
        self._window.show_panel("attributes", True)
        for first in self._panel.fields[:1]:
            first.setFocus()

    def skip(self) -> bool:
        """Ask for the rest of it later: it stays marked in the panel. False when nothing is asked."""
        was_open = self._bar.is_open
        self._asked = []
        self._bar.withdraw()
        return was_open

    # --- inside -------------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.dialog = None

    def _on_opened(self) -> None:
        self._session.attributes.read()
        self.skip()
        self._show()

    def _on_image(self) -> None:
        self.skip()
        self._show()

    def _on_change(self, change: Change) -> None:
        if change.has_attributes:
            self._session.attributes.read()
            if self.dialog is not None:
                self.dialog.show_rows(self._session.attributes.rows)
        self._show()
        self._ask_next()

    def _on_accepted(self, annotation: Annotation) -> None:
        lacking = missing(annotation, self._session.attributes.rows)
        self._asked += [(annotation.id, one.name) for one in lacking if (annotation.id, one.name) not in self._asked]
        self._ask_next()

    def _ask_next(self) -> None:
        """Show the first question that is not answered yet, by undo or in the panel."""
        rows = {row.id: row for row in self._session.annotations}
        open_now = [
            (object_id, one)
            for object_id, name in self._asked
            if object_id in rows
            for one in missing(rows[object_id], self._session.attributes.rows)
            if one.name == name
        ]
        before, self._asked = self._asked[:1], [(object_id, one.name) for object_id, one in open_now]
        if not open_now:
            self._bar.withdraw()
        elif before != self._asked[:1] or not self._bar.is_open:
            object_id, attribute = open_now[0]
            category = self._session.categories.get(rows[object_id].category_id)
            number = self._window.objects.model.row_of(object_id) + 1
            self._bar.ask(f"{category.name if category else 'object'} #{number}: {attribute.name}", attribute)

    def _on_answer(self, value: object) -> None:
        if not self._asked:
            return
        object_id, name = self._asked[0]
        rows = [row for row in self._session.annotations if row.id == object_id]
        for one in self._session.attributes.rows:
            if one.target is AttributeTarget.OBJECT and one.name == name:
                self._session.attributes.say(rows, one, value)
        if not self._bar.is_open:
            self._window.canvas.setFocus()

    def _on_said(self, attribute: Attribute, value: object) -> None:
        image = self._session.image
        rows: list[Annotation | ImageRecord] = []
        if attribute.target is AttributeTarget.IMAGE:
            rows += [] if image is None else [image]
        else:
            ids = self._window.objects.selected_ids()
            own = [row for row in self._session.annotations if row.id in ids]
            rows += [row for row in own if attribute.category_id in (0, row.category_id)]
        self._session.attributes.say(rows, attribute, value)

    def _show(self) -> None:
        session, panel = self._session, self._panel
        if panel.isHidden() and not panel.fields:
            return
        ids, attributes = self._window.objects.selected_ids(), session.attributes.rows
        chosen = [row for row in session.annotations if row.id in ids]
        sections: list[Section] = []
        own = [of_object(attributes, row.category_id) for row in chosen]
        shared = [one for one in (own[0] if own else ()) if all(one in other for other in own)]
        if shared:
            heading = _name_of(chosen, session.categories)
            sections.append((heading, [_shown(one, chosen) for one in shared]))
        if session.image is not None and (of_images := of_image(attributes)):
            sections.append(("Image", [_shown(one, [session.image]) for one in of_images]))
        hint = _NONE_YET if not attributes else "" if chosen else _NONE_SELECTED
        panel.show_sections(sections, hint=hint, is_writable=session.is_writable)


def _shown(attribute: Attribute, rows: list[Annotation] | list[ImageRecord]) -> tuple[Attribute, object, bool]:
    values = [attribute.value_of(row.extra) for row in rows]
    is_mixed = any(value != values[0] for value in values)
    return attribute, None if is_mixed else values[0], is_mixed


def _name_of(chosen: list[Annotation], categories: dict[int, Category]) -> str:
    category = categories.get(chosen[0].category_id)
    return counted(len(chosen)) if len(chosen) > 1 else category.name if category else "object"
