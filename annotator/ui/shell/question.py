"""A question above the canvas. It takes no focus and stops nothing: keys or a click answer it, work withdraws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from annotator.domain.brevity import brief_message

_NARROW_PX = 760
"""In a bar narrower than this the answers are below the question."""

_FRAME_PX = 6
_BROKEN_PX = 640
"""A short one is no wider when its text takes several lines."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One way to answer: what the button says, the key that gives the same answer, and what happens."""

    text: str
    key: str
    act: Callable[[], object]


class QuestionBar(QFrame):
    """One question with a button for each answer. The keys are served by whoever asks.

    Args:
        is_short: it has room for one line, and floats.
    """

    def __init__(self, parent: QWidget | None = None, *, is_short: bool = False) -> None:
        super().__init__(parent)
        self.setObjectName("floatingBar" if is_short else "questionBar")
        self._narrow_px = 0 if is_short else _NARROW_PX
        self.label = QLabel()
        self.label.setWordWrap(not is_short)
        self.buttons: list[QPushButton] = []
        self._answers = QHBoxLayout()
        self._answers.setSpacing(8)
        self._answers.addStretch(1)
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(12, 8, 8, 8)
        self._box.setSpacing(8)
        self._box.addWidget(self.label, 1)
        self._box.addLayout(self._answers)
        self.hide()

    @property
    def is_open(self) -> bool:
        return not self.isHidden()

    def ask(self, text: str, answers: Sequence[Answer]) -> None:
        """Show a question in the place of an earlier one; the first answer is the usual one."""
        self._clear()
        text = brief_message(text)
        self.label.setText(text)
        self.setAccessibleName(text)
        for number, answer in enumerate(answers):
            button = QPushButton(f"{answer.text}  ({answer.key})" if answer.key else answer.text)
            button.setObjectName("" if number else "primary")
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(answer.act)
            self._answers.addWidget(button)
            self.buttons.append(button)
        self.show()

    def withdraw(self) -> None:
        self.hide()
        self._clear()

    def fit(self, room_px: int) -> QSize:
        """The size of a short one where there is so much room: in one line, or broken with the answers below."""
        around = self._box.contentsMargins()
        answers_px = sum(button.sizeHint().width() + self._box.spacing() for button in self.buttons)
        text_px = self.label.fontMetrics().horizontalAdvance(self.label.text())
        is_broken = around.left() + text_px + answers_px + around.right() + 2 * self._box.spacing() > room_px
        if is_broken != self.label.wordWrap():
            directions = QBoxLayout.Direction
            self.label.setWordWrap(is_broken)
            self._box.setDirection(directions.TopToBottom if is_broken else directions.LeftToRight)
        if not is_broken:
            return self.sizeHint()
        width = min(room_px, _BROKEN_PX)
        return QSize(width, self._box.heightForWidth(width - _FRAME_PX) + _FRAME_PX)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self._narrow_px:
            return
        directions = QBoxLayout.Direction
        is_narrow = event.size().width() < self._narrow_px
        self._box.setDirection(directions.TopToBottom if is_narrow else directions.LeftToRight)

    def _clear(self) -> None:
        for button in self.buttons:
            self._answers.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = []
