"""Which images the film strip shows: by a part of the name, by status, by drafts."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from annotator.domain.image_filter import ImageFilter
from annotator.domain.project import Status

KEEPS_TO = "Next and previous keep to the images that are shown."
_FIELD_PX, _LEAST_FIELD_PX, _CHOICE_PX = 150, 64, 112
_HEIGHT_PX, _GAP_PX = 24, 8
_CHOICES = (
    ("All images", ImageFilter()),
    ("Unseen", ImageFilter(status=Status.UNSEEN)),
    ("In progress", ImageFilter(status=Status.IN_PROGRESS)),
    ("With draft", ImageFilter(has_draft=True)),
    ("Done", ImageFilter(status=Status.DONE)),
    ("Empty", ImageFilter(status=Status.EMPTY)),
)
_TIPS = {"With draft": "Images with an object that is begun and not accepted"}


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
        self.field.setToolTip(f"Show images whose name has this in it. {KEEPS_TO}")
        self.field.setClearButtonEnabled(True)
        self.field.setMinimumWidth(_LEAST_FIELD_PX)
        self.setMaximumWidth(_FIELD_PX + _GAP_PX + _CHOICE_PX)  # less where the panel is narrow
        self.field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for text, _wanted in _CHOICES:
            self.choice.addItem(text)
            self.choice.setItemData(self.choice.count() - 1, _TIPS.get(text), Qt.ItemDataRole.ToolTipRole)
        self.choice.setAccessibleName("Show images by status")
        self.choice.setToolTip(f"Show images of one status only. {KEEPS_TO}")
        self.choice.setFixedWidth(_CHOICE_PX)
        self.field.textChanged.connect(self._tell)
        self.choice.currentIndexChanged.connect(self._tell)
        for part in (self.field, self.choice):
            part.setFixedHeight(_HEIGHT_PX)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(_GAP_PX)
        row.addWidget(self.field)
        row.addWidget(self.choice)

    @property
    def filter(self) -> ImageFilter:
        return replace(_CHOICES[self.choice.currentIndex()][1], part=self.field.text().strip())

    def reset(self) -> None:
        """Another folder: show all of it."""
        self.field.clear()
        self.choice.setCurrentIndex(0)

    def _tell(self) -> None:
        self.changed.emit(self.filter)
