"""A remark in a dialog, in a frame; no room is taken while there is none."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel


class Note(QLabel):
    """Plain text over as many lines as it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("note")
        self.setWordWrap(True)
        self.hide()

    def say(self, text: str) -> None:
        self.setText(text)
        self.setVisible(bool(text))
