"""One line over the image for words: what is looked for. Enter asks, the arrows bring back what was asked before."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QStringListModel, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCompleter, QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from annotator.domain.phrase import MOST_LETTERS

WIDTH_PX = 460


class WordsLine(QFrame):
    """It floats and is no dialog. Esc closes it."""

    asked = Signal(str)
    models_wanted = Signal()
    clear_wanted = Signal()
    """The example boxes are to go."""
    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._before: tuple[str, ...] = ()
        self._at = -1
        """Place in what was asked before, the newest first; -1: what is being typed."""
        self._typed = ""
        self.field = QLineEdit()
        self.field.setPlaceholderText("What to find, e.g. nucleus, not debris")
        self.field.setAccessibleName("Find by words")
        self.field.setMaxLength(16 * MOST_LETTERS)
        self.field.installEventFilter(self)
        self._names = QStringListModel(self)
        completer = QCompleter(self._names, self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setCompletionMode(QCompleter.CompletionMode.InlineCompletion)
        self.field.setCompleter(completer)
        self.state = QLabel()
        self.state.setObjectName("dim")
        self.state.setWordWrap(True)
        self.models_button = QPushButton("Models…")
        self.models_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.models_button.clicked.connect(self.models_wanted)
        self.clear_button = QPushButton("Clear boxes")
        self.clear_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clear_button.clicked.connect(self.clear_wanted)
        self.clear_button.hide()
        below = QHBoxLayout()
        below.addStretch(1)
        below.addWidget(self.clear_button)
        below.addWidget(self.models_button)
        box = QVBoxLayout(self)
        box.setContentsMargins(8, 8, 8, 8)
        box.setSpacing(6)
        box.addWidget(self.field)
        box.addWidget(self.state)
        box.addLayout(below)
        self.setFixedWidth(WIDTH_PX)
        self.hide()

    @property
    def is_open(self) -> bool:
        return not self.isHidden()

    def open_with(self, text: str, before: Sequence[str], names: Sequence[str]) -> None:
        """Show it with a text that typing replaces.

        Args:
            before: what was asked before, the newest first. names: of classes, to complete.
        """
        self._before, self._at, self._typed = tuple(before), -1, text
        self._names.setStringList(list(names))
        self.field.setText(text)
        self.field.selectAll()
        self.show()
        self.raise_()
        self.field.setFocus()

    def show_state(self, text: str, *, is_ready: bool, has_boxes: bool = False) -> None:
        """Who will answer, or what is missing; and whether there are example boxes to take away."""
        self.state.setText(text)
        self.clear_button.setVisible(has_boxes)
        self.models_button.setVisible(not is_ready)
        layout = self.layout()
        assert layout is not None
        layout.activate()  # else the height is that of the text before
        self.resize(WIDTH_PX, layout.totalHeightForWidth(WIDTH_PX))

    def close_line(self) -> None:
        if self.is_open:
            self.hide()
            self.closed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self.close_line()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.asked.emit(self.field.text())
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._go(1 if key == Qt.Key.Key_Up else -1)
        else:
            return False
        return True

    def _go(self, step: int) -> None:
        """To older asks (+1) or newer ones (-1), and back to what was typed."""
        if self._at < 0:
            self._typed = self.field.text()
        self._at = min(max(self._at + step, -1), len(self._before) - 1)
        self.field.setText(self._typed if self._at < 0 else self._before[self._at])
