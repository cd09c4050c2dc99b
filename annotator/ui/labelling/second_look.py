"""What a second look says of objects: approved, to be done again, and a note."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QInputDialog

from annotator.domain.counting import counted
from annotator.domain.project import Annotation, Review, note_edit, review_edit
from annotator.ui.panels.dock import ObjectPanel
from annotator.ui.project.session import ProjectSession

MAX_NOTE_LENGTH = 2000


class SecondLook(QObject):
    """One per window; acts on the selected objects of the image that is shown."""

    def __init__(self, panel: ObjectPanel, session: ProjectSession) -> None:
        super().__init__(panel)
        self._panel, self._session = panel, session
        self.dialog: QInputDialog | None = None
        """The note that is being written."""
        panel.review_wanted.connect(self.set_review)
        panel.note_wanted.connect(self.ask_note)

    def approve(self) -> None:
        """Say of the selected objects that they are right, or take that back where it is said of all."""
        self.set_review(self._panel.selected_ids(), Review.APPROVED)

    def rework(self) -> None:
        """Say of the selected objects that they need work, or take that back where it is said of all."""
        self.set_review(self._panel.selected_ids(), Review.REWORK)

    def edit_note(self) -> None:
        """Write a note on the selected objects."""
        self.ask_note(self._panel.selected_ids())

    def set_review(self, ids: Iterable[int], review: Review) -> None:
        """As :meth:`approve` and :meth:`rework`, of any objects of the image."""
        chosen = self._chosen(ids)
        is_said = bool(chosen) and all(annotation.review is review for annotation in chosen)
        wanted = Review.OPEN if is_said else review
        edit = review_edit(tuple(a for a in chosen if a.review is not wanted), wanted)
        self._session.large.write(edit)

    def ask_note(self, ids: Iterable[int]) -> None:
        """Open the dialog for a note on these objects; what they have in common is there already."""
        chosen = self._chosen(ids)
        if not chosen:
            return
        notes = {annotation.note for annotation in chosen}
        dialog = self.dialog = QInputDialog(self._panel.window())
        dialog.setInputMode(QInputDialog.InputMode.TextInput)
        dialog.setOption(QInputDialog.InputDialogOption.UsePlainTextEditForTextInput)
        dialog.setWindowTitle("Note")
        dialog.setLabelText(f"Note on {counted(len(chosen), 'object')}:")
        dialog.setTextValue(notes.pop() if len(notes) == 1 else "")
        kept = [annotation.id for annotation in chosen]
        dialog.textValueSelected.connect(lambda text: self._write(kept, text))
        dialog.finished.connect(dialog.deleteLater)
        dialog.finished.connect(self._forget)
        dialog.open()

    def _forget(self) -> None:
        self.dialog = None

    def _write(self, ids: Iterable[int], text: str) -> None:
        note = text.strip()[:MAX_NOTE_LENGTH]
        changed = tuple(annotation for annotation in self._chosen(ids) if annotation.note != note)
        self._session.large.write(note_edit(changed, note))

    def _chosen(self, ids: Iterable[int]) -> tuple[Annotation, ...]:
        wanted = set(ids) if self._session.is_writable else set()
        return tuple(annotation for annotation in self._session.annotations if annotation.id in wanted)
