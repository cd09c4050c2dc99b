"""F6: from part to part of the window, so that each can be reached without a mouse."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QApplication, QFrame, QWidget

from annotator.ui.shell.area import CanvasArea
from annotator.ui.shell.tool_strip import ToolStrip

_REASON = Qt.FocusReason.ShortcutFocusReason
_BY_KEY = (_REASON, Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


class FocusFrame(QFrame):
    """A frame round the image when a key has brought the focus there; a mouse needs none."""

    def __init__(self, area: CanvasArea) -> None:
        super().__init__(area.stack)
        self._area = area
        self.setObjectName("focusFrame")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()
        for watched in (area.canvas, area.canvas.viewport(), area.stack):
            watched.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if watched is self._area.canvas and isinstance(event, QFocusEvent):
            self.setGeometry(self._area.stack.rect())
            self.setVisible(event.gotFocus() and event.reason() in _BY_KEY)
            self.raise_()
        elif kind == QEvent.Type.MouseButtonPress:
            self.hide()
        elif kind == QEvent.Type.Resize:
            self.setGeometry(self._area.stack.rect())
        return False


class FocusRound:
    """Message bar, image, lists, film strip, tools, and round again. What is hidden is passed over."""

    def __init__(self, area: CanvasArea, strip: ToolStrip, views: Sequence[QWidget]) -> None:
        self._area, self._strip, self._views = area, strip, tuple(views)
        self._frame = FocusFrame(area)

    def go(self, step: int) -> None:
        """To the next part (+1) or the one before (-1)."""
        parts = [part for part in self._parts() if part.isVisible() and part.isEnabled()]
        now = QApplication.focusWidget()
        at = next((i for i, part in enumerate(parts) if now is not None and self._holds(part, now)), None)
        following = (at + step) % len(parts) if at is not None else (0 if step > 0 else len(parts) - 1)
        parts[following].setFocus(_REASON)

    def _parts(self) -> list[QWidget]:
        """What takes the focus for each part, from the image round."""
        area = self._area
        image = area.canvas if area.stack.currentWidget() is area.canvas else area.empty.open_button
        bar = area.error_bar.button if area.error_bar.button.isVisible() else area.error_bar.close_button
        return [image, *self._views, self._strip.first_button, bar]

    def _holds(self, part: QWidget, widget: QWidget) -> bool:
        """Whether a widget is in the same part of the window."""
        for whole in (self._strip, self._area.error_bar, self._area.stack):
            if whole.isAncestorOf(part):
                return whole.isAncestorOf(widget)
        panel = part.parentWidget()
        return panel is not None and panel.isAncestorOf(widget)
