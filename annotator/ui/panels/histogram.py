"""How the values of a picture are spread, with the window over it; its limits can be dragged."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from annotator.domain.window import Window
from annotator.domain.windowing import Spread, through
from annotator.ui.look.theme import Theme, Tokens

_HEIGHT_PX, _SIDE_PX, _GRIP_PX = 80, 10, 8
_CURVE_POINTS = 64
_KEY_SHARE = 0.02


class Histogram(QWidget):
    """Bars on a logarithmic scale; a handle at black, one at white, and the middle between them drags both.

    Arrow keys move the window by a fiftieth of its width, with Shift they widen it.
    """

    dragged = Signal(object)
    """Window, while it is dragged"""
    settled = Signal()
    """The button or key was let go."""
    reset_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setAccessibleName("Histogram")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setFixedHeight(_HEIGHT_PX)
        self._spread: Spread | None = None
        self._window: Window | None = None
        self._range = (0.0, 1.0)
        self._grip = ""
        self._start: tuple[float, Window] | None = None
        self._tokens: Tokens | None = None
        theme.subscribe(self._retint)

    def sizeHint(self) -> QSize:
        return QSize(200, _HEIGHT_PX)

    def show_spread(self, spread: Spread | None) -> None:
        """Of another picture; None for none."""
        self._spread = spread
        if spread is not None:
            # A few outliers (metal, burnt-in marks) may not squeeze all else into one bar.
            reach = max(spread.high - spread.low, 1e-9)
            self._range = (max(spread.least, spread.low - reach), min(spread.greatest, spread.high + reach))
            if not self._range[1] > self._range[0]:
                self._range = (spread.least - 0.5, spread.least + 0.5)
        self.update()

    def show_window(self, window: Window | None) -> None:
        self._window = window
        self.update()

    def place_of(self, value: float) -> float:
        """Where a value stands, in the widget's pixels."""
        low, high = self._range
        return _SIDE_PX + (value - low) / (high - low) * self._inner_width()

    def value_at(self, x: float) -> float:
        low, high = self._range
        return low + (x - _SIDE_PX) / self._inner_width() * (high - low)

    # --- mouse and keys -----------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._window is not None:
            self._grip = self._grip_at(event.position().x())
            self._start = (event.position().x(), self._window)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._start is None or self._spread is None:
            is_grip = self._window is not None and self._grip_at(event.position().x()) != "both"
            self.setCursor(Qt.CursorShape.SplitHCursor if is_grip else Qt.CursorShape.SizeHorCursor)
            return
        x, window = self._start
        by = self.value_at(event.position().x()) - self.value_at(x)
        low, high = window.limits
        least = (self._range[1] - self._range[0]) / 1000
        if self._grip == "low":
            low = min(low + by, high - least)
        elif self._grip == "high":
            high = max(high + by, low + least)
        else:
            low, high = low + by, high + by
        self._tell(window.with_limits(low, high))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._start is not None:
            was, self._start = self._start[1], None
            if was != self._window:
                self.settled.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._start = None
        self.reset_wanted.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None or self._window is None:
            super().keyPressEvent(event)
            return
        low, high = self._window.limits
        by = step * _KEY_SHARE * max(high - low, 1e-9)
        is_wider = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._tell(self._window.with_limits(low - by if is_wider else low + by, high + by))

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and not event.isAutoRepeat():
            self.settled.emit()
        else:
            super().keyReleaseEvent(event)

    # --- painting -----------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self._tokens
        if tokens is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QColor(tokens.accent if self.hasFocus() else tokens.line))
        painter.setBrush(QColor(tokens.field))
        painter.drawRoundedRect(frame, 4, 4)
        if self._spread is None or self._window is None:
            return
        painter.setClipRect(self.rect().adjusted(1, 1, -1, -1))
        self._paint_bars(painter, self._spread, QColor(tokens.dim))
        self._paint_window(painter, self._window, tokens)

    def _paint_bars(self, painter: QPainter, spread: Spread, colour: QColor) -> None:
        counts = np.log1p(spread.counts.astype(np.float64))
        top = float(counts.max()) or 1.0
        edges = np.linspace(spread.least, max(spread.greatest, spread.least + 1e-9), counts.size + 1)
        floor, height = self.height() - 2.0, self.height() - 14.0
        line = QPolygonF([QPointF(self.place_of(float(edges[0])), floor)])
        for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
            y = floor - height * float(count) / top
            line.append(QPointF(self.place_of(float(left)), y))
            line.append(QPointF(self.place_of(float(right)), y))
        line.append(QPointF(self.place_of(float(edges[-1])), floor))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(line)

    def _paint_window(self, painter: QPainter, window: Window, tokens: Tokens) -> None:
        low, high = (self._held(self.place_of(value)) for value in window.limits)
        outside = QColor(tokens.background)
        outside.setAlpha(150)
        painter.fillRect(QRectF(0, 0, low, self.height()), outside)
        painter.fillRect(QRectF(high, 0, self.width() - high, self.height()), outside)
        units = np.array([self.value_at(x) for x in np.linspace(0, self.width(), _CURVE_POINTS)])
        greys = through(units, window)
        greys = 1.0 - greys if window.is_inverted else greys
        curve = QPolygonF(
            [
                QPointF(float(x), self.height() - 4 - float(grey) * (self.height() - 8))
                for x, grey in zip(np.linspace(0, self.width(), _CURVE_POINTS), greys, strict=True)
            ]
        )
        painter.setPen(QPen(QColor(tokens.accent), 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(curve)
        for x, fill in ((low, tokens.background), (high, "#ffffff")):
            painter.setPen(QPen(QColor(tokens.accent), 1.5))
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
            painter.setBrush(QColor(fill))
            painter.drawEllipse(QPointF(x, self.height() - 8.0), 4.5, 4.5)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _tell(self, window: Window) -> None:
        if self._spread is not None and window != self._window and all(map(math.isfinite, window.limits)):
            self._window = window
            self.update()
            self.dragged.emit(window)

    def _grip_at(self, x: float) -> str:
        if self._window is None:
            return "both"
        low, high = (self._held(self.place_of(value)) for value in self._window.limits)
        near = min(("low", abs(x - low)), ("high", abs(x - high)), key=lambda pair: pair[1])
        return near[0] if near[1] <= _GRIP_PX else "both"

    def _held(self, x: float) -> float:
        """A handle beyond the edge waits at it."""
        return min(max(x, 5.0), self.width() - 5.0)

    def _inner_width(self) -> float:
        return max(1.0, self.width() - 2.0 * _SIDE_PX)

    def _retint(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.update()
