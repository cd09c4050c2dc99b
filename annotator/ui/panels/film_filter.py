"""Which images the film strip shows: by a part of the name, and by status."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from annotator.domain.project import ImageRecord, Status

_FIELD_PX, _CHOICE_PX, _HEIGHT_PX = 150, 128, 24
_CHOICES = (
    ("All images", None),
    ("Unseen", Status.UNSEEN),
    ("In progress", Status.IN_PROGRESS),
    ("Done", Status.DONE),
    ("Empty", Status.EMPTY),
)


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """``part`` of the path, whatever its case; ``status`` None for any."""

    part: str = ""
    status: Status | None = None

    def shows(self, record: ImageRecord) -> bool:
        return self.part.casefold() in record.path.casefold() and self.status in (None, record.status)


class _Field(QLineEdit):
    """Escape empties it; empty already, it is none of its business."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
            event.accept()
        else:
            super().keyPressEvent(event)


class FilmFilter(QWidget):
    """A field and a choice for the film strip's title line."""

    changed = Signal(object)
    """ImageFilter"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field, self.choice = _Field(), QComboBox()
        self.field.setPlaceholderText("Search")
        self.field.setAccessibleName("Search images by name")
        self.field.setToolTip("Show images whose name has this in it")
        self.field.setClearButtonEnabled(True)
        self.field.setFixedWidth(_FIELD_PX)
        self.field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for text, status in _CHOICES:
            self.choice.addItem(text, status)
        self.choice.setAccessibleName("Show images by status")
        self.choice.setToolTip("Show images of one status only")
        self.choice.setFixedWidth(_CHOICE_PX)
        self.field.textChanged.connect(self._tell)
        self.choice.currentIndexChanged.connect(self._tell)
        for part in (self.field, self.choice):
            part.setFixedHeight(_HEIGHT_PX)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.field)
        row.addWidget(self.choice)

    @property
    def filter(self) -> ImageFilter:
        return ImageFilter(self.field.text().strip(), self.choice.currentData())

    def reset(self) -> None:
        """Another folder: show all of it."""
        self.field.clear()
        self.choice.setCurrentIndex(0)

    def _tell(self) -> None:
        self.changed.emit(self.filter)
