"""What is said of objects and images: the panel, the dialog of definitions, the bar that asks for what is needed."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from annotator.domain.attributes import Attribute, AttributeTarget, missing, missing_of_image, of_image, of_object
from annotator.domain.counting import counted
from annotator.domain.objects_in_order import found_among
from annotator.domain.project import Annotation, Category, Change, ImageRecord
from annotator.ui.dialogs.attribute_definitions import AttributeDefinitions
from annotator.ui.panels.attributes import AttributePanel, Section
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow

_NONE_YET = "No attributes yet. Define what is to be said of objects and images."
_THE_IMAGE = 0
_NONE_SELECTED = "Select objects to say something of them."


class AttributeControl(QObject):
    """One per window."""

    def __init__(self, window: MainWindow, session: ProjectSession, refine: RefineController) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._panel: AttributePanel = window.attributes
        self._bar = window.area.attribute
        self._asked: list[tuple[int, str]] = []
        """What is still to be asked: an object's id (:data:`_THE_IMAGE` for the image) and an attribute's name."""
        self._then: Callable[[], None] | None = None
        """What waits for the answers about the image."""
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
            categories, define=book.define, change=book.change, delete=book.delete, parent=self._window
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

    def ask_of_image(self, then: Callable[[], None]) -> bool:
        """Ask for what is needed of the image before it is done; ``then`` follows the last answer.

        Returns:
            False when there is nothing to ask, or it was asked and the person goes on without an answer.
        """
        image = self._session.image
        is_asked = self._then is not None and self._bar.is_open
        lacking = () if image is None or is_asked else missing_of_image(image, self._session.attributes.rows)
        if not lacking:
            return False
        self._asked, self._then = [(_THE_IMAGE, one.name) for one in lacking], then
        self._ask_next()
        self.answer()
        return True

    def skip(self) -> bool:
        """Ask for the rest of it later: it stays marked in the panel. False when nothing is asked."""
        was_open = self._bar.is_open
        self._asked, self._then = [], None
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
        open_now = [(row, one) for row, name in self._asked for one in self._lacking(row) if one.name == name]
        before, self._asked = self._asked[:1], [(row, one.name) for row, one in open_now]
        if not any(row == _THE_IMAGE for row, _ in open_now):
            self._then = None
        if not open_now:
            self._bar.withdraw()
        elif before != self._asked[:1] or not self._bar.is_open:
            row, attribute = open_now[0]
            self._bar.ask(f"{self._called(row)}: {attribute.name}", attribute)
            if row == _THE_IMAGE:
                self.answer()

    def _lacking(self, row_id: int) -> tuple[Attribute, ...]:
        """What is needed of an object of this image, or of the image, and was not said."""
        image, attributes = self._session.image, self._session.attributes.rows
        if row_id == _THE_IMAGE:
            return () if image is None else missing_of_image(image, attributes)
        found = found_among(self._session.annotations, (row_id,))
        return tuple(one for row in found for one in missing(row, attributes))

    def _called(self, row_id: int) -> str:
        if row_id == _THE_IMAGE:
            return "This image"
        (found,) = found_among(self._session.annotations, (row_id,))
        category = self._session.categories.get(found.category_id)
        return f"{category.name if category else 'object'} #{self._window.objects.model.row_of(row_id) + 1}"

    def _on_answer(self, value: object) -> None:
        if not self._asked:
            return
        row_id, name = self._asked[0]
        image, then = self._session.image, self._then
        rows: list[Annotation | ImageRecord] = [*found_among(self._session.annotations, (row_id,))]
        target = AttributeTarget.OBJECT
        if row_id == _THE_IMAGE:
            rows, target = [] if image is None else [image], AttributeTarget.IMAGE
        for one in self._session.attributes.rows:
            if one.target is target and one.name == name:
                self._session.attributes.say(rows, one, value)
        if self._bar.is_open:
            return
        self._window.canvas.setFocus()
        if then is not None and not self._asked:
            then()

    def _on_said(self, attribute: Attribute, value: object) -> None:
        image = self._session.image
        rows: list[Annotation | ImageRecord] = []
        if attribute.target is AttributeTarget.IMAGE:
            rows += [] if image is None else [image]
        else:
            ids = self._window.objects.selected_ids()
            own = found_among(self._session.annotations, ids)
            rows += [row for row in own if attribute.category_id in (0, row.category_id)]
        self._session.attributes.say(rows, attribute, value)

    def _show(self) -> None:
        session, panel = self._session, self._panel
        if panel.isHidden() and not panel.fields:
            return
        ids, attributes = self._window.objects.selected_ids(), session.attributes.rows
        chosen = found_among(session.annotations, ids)
        sections: list[Section] = []
        own = [of_object(attributes, category_id) for category_id in dict.fromkeys(row.category_id for row in chosen)]
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
