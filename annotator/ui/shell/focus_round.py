"""F6: from part to part of the window, so that each can be reached without a mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QApplication, QDockWidget, QFrame, QWidget

from annotator.ui.shell.area import CanvasArea
from annotator.ui.shell.panel_column import PanelColumn
from annotator.ui.shell.status import StatusLine
from annotator.ui.shell.tool_strip import ToolStrip

_REASON = Qt.FocusReason.ShortcutFocusReason
_BY_KEY = (_REASON, Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


class Rounded(Protocol):
    """The window with its parts."""

    area: CanvasArea
    column: PanelColumn
    status: StatusLine
    strip: ToolStrip


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
    """Image and what floats on it, slices, panels, status bar, tools, messages, and round again. What is hidden is
    passed over; a panel that lies behind another one comes to the front.

    Args:
        views: what takes the focus in each panel.
    """

    def __init__(self, window: Rounded, views: Sequence[QWidget]) -> None:
        self._window, self._views = window, tuple(views)
        self._frame = FocusFrame(window.area)

    def go(self, step: int) -> None:
        """To the next part (+1) or the one before (-1)."""
        parts = [(whole, stop) for whole, stop in self._parts() if stop is not None and stop.isVisible()]
        now = QApplication.focusWidget()
        # The innermost: what floats on the image lies in it, too.
        held = [at for at, (whole, _) in enumerate(parts) if now is not None and _holds(whole, now)]
        at = max(held, key=lambda i: sum(_holds(parts[j][0], parts[i][0]) for j in held)) if held else None
        following = (at + step) % len(parts) if at is not None else (0 if step > 0 else len(parts) - 1)
        stop = parts[following][1]
        if stop is not None:
            self._window.column.bring_holder(stop)
            stop.setFocus(_REASON)

    def _parts(self) -> list[tuple[QWidget, QWidget | None]]:
        """Every part with what takes the focus for it, from the image round."""
        window, area = self._window, self._window.area
        image: QWidget = area.canvas if area.stack.currentWidget() is area.canvas else area.empty.open_button
        floating = [(part, first_stop(part)) for part in (*area.bars, area.words)]
        docks = [_dock_of(view) for view in self._views]
        panels = [
            (dock, view if _can_stop(view) else first_stop(dock.widget()))
            for dock, view in zip(docks, self._views, strict=True)
        ]
        rest = (window.status, window.strip, area.error_bar, area.question)
        return [
            (area.stack, image),
            *floating,
            (area.slices, area.slices.track if area.slices.isVisible() else None),
            *panels,
            *((part, window.strip.first_button if part is window.strip else first_stop(part)) for part in rest),
        ]


def first_stop(whole: QWidget) -> QWidget | None:
    """What Tab reaches first in a part of the window; None: nothing."""
    at: QWidget | None = whole.nextInFocusChain()
    while at is not None and at is not whole:
        if whole.isAncestorOf(at) and _can_stop(at):
            return at
        at = at.nextInFocusChain()
    return None


def _can_stop(widget: QWidget) -> bool:
    by_tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    return bool(by_tab) and widget.isVisible() and widget.isEnabled()


def _holds(whole: QWidget, widget: QWidget) -> bool:
    return whole is widget or whole.isAncestorOf(widget)


def _dock_of(view: QWidget) -> QDockWidget:
    """The panel with its title line."""
    at: QWidget | None = view
    while not isinstance(at, QDockWidget):
        if at is None:
            raise ValueError("the view lies in no panel")
        at = at.parentWidget()
    return at
