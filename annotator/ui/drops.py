"""Files and folders that are dropped on the window, wherever on it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QWidget

_KINDS = (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop)


class PathDrops(QObject):
    """Takes local paths for several widgets: one that shows an image would take every drop for itself."""

    dropped = Signal(list)
    """list[Path], never empty"""

    def __init__(self, *widgets: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        for widget in widgets:
            widget.setAcceptDrops(True)
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() not in _KINDS:
            return False
        drop = cast(QDropEvent, event)  # the others are made from it
        paths = [Path(url.toLocalFile()) for url in drop.mimeData().urls() if url.isLocalFile()]
        if paths:
            drop.acceptProposedAction()
        else:
            drop.ignore()
        if paths and event.type() == QEvent.Type.Drop:
            self.dropped.emit(paths)
        return True
