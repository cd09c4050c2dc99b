"""The timeline of a series, under its slider and as long: small pictures, and the tracks as bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from annotator.domain.counting import counted
from annotator.domain.tracks.bars import Span, TrackBar, row_count
from annotator.ui.look.theme import Theme

EDGE_PX = 6
"""On both sides, as the slider has it for its handle."""
SMALL_BELOW_PX = 620
"""Height of the window below which pictures and bars are lower."""
_PICTURE_PX, _SMALL_PICTURE_PX = 40, 24
_ROW_PX, _LEAST_ROW_PX, _GAP_PX = 8, 3, 1
_BARS_PX, _SMALL_BARS_PX = 48, 18
_SPACE_PX = 4
NOTCH = 120
"""Of a wheel: a slice."""
_KEY_PX = 7


@dataclass(frozen=True, slots=True)
class Line:
    """What the timeline shows of a series.

    Attributes:
        count: slices in it, at least 1.
        picture_wh: the proportions of its pictures.
        bars: tracks; colours: ``#rrggbb`` by category; chosen: ids of the tracks that are looked at, empty for all.
    """

    count: int = 1
    picture_wh: tuple[int, int] = (4, 3)
    bars: tuple[TrackBar, ...] = ()
    colours: tuple[tuple[int, str], ...] = ()
    chosen: frozenset[int] = frozenset()


class Timeline(QWidget):
    """A press, or a drag along it, goes there. What changes seldom is painted once."""

    moved = Signal(int)
    """The slice that the person wants."""
    places_changed = Signal()
    """Pictures of other slices are needed: see :meth:`places`."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._line, self._position = theme, Line(), 0
        self._height_px = 0
        self._is_small = False
        self._painted: QPixmap | None = None
        self.picture_at: Callable[[int], QPixmap | None] = lambda _position: None
        """The small picture of a slice, where it is there."""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Timeline")
        theme.subscribe(lambda _tokens: self.refresh())

    def show_line(self, line: Line) -> None:
        before, self._line = self._line, line
        if line == before:
            return
        tracks = len({bar.track_id for bar in line.bars})
        hidden = sum(bar.row >= self.rows_shown for bar in line.bars)
        text = counted(line.count, "slice") + (f"  ·  {counted(tracks, 'track')}" if tracks else "")
        self.setToolTip(f"{text}, {hidden} of them not shown" if hidden else text)
        self.setAccessibleDescription(text)
        if (before.count, before.picture_wh) != (line.count, line.picture_wh):
            self.places_changed.emit()
        self.updateGeometry()
        self.refresh()

    def show_position(self, position: int) -> None:
        self._position = position
        self.update()

    def refresh(self) -> None:
        """Paint all of it again: a picture came, or the colours are others."""
        self._painted = None
        self.update()

    def fit(self, window_height_px: int) -> None:
        """Lower in a low window: the image needs the room."""
        is_small = window_height_px < SMALL_BELOW_PX
        if is_small != self._is_small:
            self._is_small = is_small
            self.updateGeometry()
            self.places_changed.emit()
            self.refresh()

    # --- places -------------------------------------------------------------------------------------------------------

    @property
    def picture_px(self) -> int:
        """How high the pictures are."""
        return _SMALL_PICTURE_PX if self._is_small else _PICTURE_PX

    @property
    def rows_shown(self) -> int:
        """As many rows of bars as there are, or as many as there is room for."""
        room_px = _SMALL_BARS_PX if self._is_small else _BARS_PX
        return min(row_count(self._line.bars), room_px // _LEAST_ROW_PX)

    def _row_px(self) -> float:
        room_px = _SMALL_BARS_PX if self._is_small else _BARS_PX
        return max(_LEAST_ROW_PX, min(_ROW_PX, room_px / max(1, self.rows_shown)))

    def slots(self) -> list[tuple[QRect, int]]:
        """Where the pictures stand, and of which slices: the same ones also after a small change of the width."""
        width_px, height_px = self.width() - 2 * EDGE_PX, self.picture_px
        wide, high = self._line.picture_wh
        each_px = min(max(height_px * wide / max(1, high), height_px / 2), 3 * height_px)
        number = max(1, min(int(width_px / each_px), self._line.count))
        step = 1 << max(0, int(self._line.count / number).bit_length() - 1)
        found = []
        for at in range(number):
            left, right = (EDGE_PX + round(width_px * edge / number) for edge in (at, at + 1))
            middle = (at + 0.5) * self._line.count / number - 0.5
            position = min(round(middle / step) * step, self._line.count - 1)
            found.append((QRect(left, 0, right - left - 1, height_px), position))
        return found

    def places(self) -> list[int]:
        """The slices whose pictures are shown, in order."""
        return sorted({position for _slot, position in self.slots()})

    def x_of(self, position: float) -> float:
        """The middle of a slice's place, in pixels."""
        return EDGE_PX + (position + 0.5) * (self.width() - 2 * EDGE_PX) / self._line.count

    def position_at(self, x: float) -> int:
        share = (x - EDGE_PX) / max(1, self.width() - 2 * EDGE_PX)
        return min(max(int(share * self._line.count), 0), self._line.count - 1)

    def bar_y(self, row: int) -> float:
        """The upper edge of a row of bars."""
        return self.picture_px + _SPACE_PX + row * self._row_px()

    # --- Qt -----------------------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        rows = self.rows_shown
        bars_px = round(rows * self._row_px()) + _SPACE_PX if rows else 0
        return QSize(120, self.picture_px + bars_px + _SPACE_PX)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._painted is None or self._painted.deviceIndependentSize().toSize() != self.size():
            self._painted = self._paint_still()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._painted)
        x = round(self.x_of(self._position))
        painter.fillRect(x - 2, 0, 4, self.height(), QColor(self._theme.tokens.surface))
        painter.fillRect(x - 1, 0, 2, self.height(), QColor(self._theme.tokens.accent))
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.places_changed.emit()
        self.refresh()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._want(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._want(event.position().x())

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta().y() or event.angleDelta().x()
        if delta:
            steps = (-1 if delta > 0 else 1) * max(1, abs(delta) // NOTCH)
            self._go(min(max(self._position + steps, 0), self._line.count - 1))
        event.accept()

    def _want(self, x: float) -> None:
        self._go(self.position_at(x))

    def _go(self, wanted: int) -> None:
        if wanted != self._position:
            self.moved.emit(wanted)

    # --- what stands still --------------------------------------------------------------------------------------------

    def _paint_still(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        found = QPixmap(self.size() * ratio)
        found.setDevicePixelRatio(ratio)
        found.fill(QColor(self._theme.tokens.surface))
        painter = QPainter(found)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for slot, position in self.slots():
            self._paint_picture(painter, slot, position)
        painter.setPen(Qt.PenStyle.NoPen)
        colours, row_px, rows = dict(self._line.colours), self._row_px(), self.rows_shown
        for bar in self._line.bars:
            if bar.row < rows:
                colour = QColor(colours.get(bar.category_id, self._theme.tokens.dim))
                if self._line.chosen and bar.track_id not in self._line.chosen:
                    colour.setAlphaF(0.45)
                self._paint_bar(painter, bar, colour, row_px)
        painter.end()
        return found

    def _paint_picture(self, painter: QPainter, slot: QRect, position: int) -> None:
        picture = self.picture_at(position)
        if picture is None:
            painter.fillRect(slot, QColor(self._theme.tokens.raised))
            return
        size = picture.size().scaled(slot.size(), Qt.AspectRatioMode.KeepAspectRatioByExpanding)
        place = QRect(slot.topLeft(), size)
        place.moveCenter(slot.center())
        painter.setClipRect(slot)
        painter.drawPixmap(place, picture)
        painter.setClipping(False)

    def _paint_bar(self, painter: QPainter, bar: TrackBar, colour: QColor, row_px: float) -> None:
        """In the colour of the class; a thin line where it is doubtful, with diamonds for key frames and a cross where
        the track was lost."""
        tokens, top, high = self._theme.tokens, round(self.bar_y(bar.row)), max(2, int(row_px - _GAP_PX))
        thin_px = max(1, round(high * 0.4))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        thin = QPixmap(1, high)
        thin.fill(QColor(tokens.surface))
        line = QPainter(thin)
        line.fillRect(0, high - thin_px, 1, thin_px, QColor(tokens.warn))
        line.end()
        painter.setBrushOrigin(0, top)
        scale = (self.width() - 2 * EDGE_PX) / self._line.count
        for spans, brush in ((bar.spans, QBrush(colour)), (bar.doubtful, QBrush(thin))):
            painter.setBrush(brush)
            painter.drawRects(_rects(spans, scale, top, high))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        keys = _apart(map(self.x_of, bar.keys))
        if high < _KEY_PX - 1:
            painter.setBrush(QColor(tokens.text))
            painter.drawRects([QRect(round(x) - 1, top, 2, high) for x in keys])
        else:
            painter.setPen(QPen(QColor(tokens.surface), 1))
            painter.setBrush(QColor(tokens.text))
            diamond = QPolygonF([QPointF(*corner) for corner in ((0, -3.5), (3.5, 0), (0, 3.5), (-3.5, 0))])
            for x in keys:
                painter.drawPolygon(diamond.translated(x, top + high / 2))
        for x in _apart(map(self.x_of, bar.lost)):
            half, middle = min(3.0, high / 2), top + high / 2
            painter.fillRect(QRectF(x - half - 2, top, 2 * half + 4, high), QColor(tokens.surface))
            painter.setPen(QPen(QColor(tokens.danger), 2))
            painter.drawLine(QPointF(x - half, middle - half), QPointF(x + half, middle + half))
            painter.drawLine(QPointF(x - half, middle + half), QPointF(x + half, middle - half))
        painter.setPen(Qt.PenStyle.NoPen)


def _rects(spans: tuple[Span, ...], scale: float, top: int, high: int) -> list[QRect]:
    """Where spans are, at ``scale`` pixels a slice; what would lie in the same pixels is one."""
    found: list[QRect] = []
    end_px = -1
    for begin, end in spans:
        left, right = EDGE_PX + round(begin * scale), EDGE_PX + round(end * scale)
        left, right = max(left, end_px), max(right, left + 2)
        if right > end_px:
            found.append(QRect(left, top, right - left, high))
            end_px = right
    return found


def _apart(places_x: Iterable[float]) -> list[float]:
    """Where signs stand, none over another."""
    found: list[float] = []
    for x in places_x:
        if not found or x - found[-1] >= _KEY_PX - 2:
            found.append(x)
    return found
