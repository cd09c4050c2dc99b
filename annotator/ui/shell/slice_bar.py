"""The slider through a series, below the canvas: where one is, which slices have objects or are done, and gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import TypeVar

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QGridLayout, QMenu, QSizePolicy, QToolButton, QWidget

from annotator.domain.counting import counted
from annotator.ui.look.still import StillLabel
from annotator.ui.look.theme import Theme
from annotator.ui.shell.timeline import NOTCH, Timeline

_HEIGHT_PX = 36
_GROOVE_PX = 4
_HANDLE_PX = 12
_MARK_PX = 5
_KEY_PX = 9
_GAP_PX = 3
_PAGE = 10
_LEAST_BAR_PX = 3.0
_NOTE_FROM_PX = 720
_SPEED_EDGE_PX = 24
"""Around the words of the speed: the sign of the menu and the edges."""


class Mark(Enum):
    """What a slice is marked with."""

    NONE = 0
    OBJECTS = 1
    DONE = 2


class TrackMark(Enum):
    """How a track, or several, stand on a slice; the later ones come first where several meet."""

    NONE = 0
    FOUND = 1
    """Carried there with confidence."""
    KEY = 2
    DOUBTFUL = 3
    LOST = 4
    """The last slice before a track was lost."""


@dataclass(frozen=True, slots=True)
class Slices:
    """What the bar shows of a series.

    Attributes:
        marks: one a slice.
        gaps: places after which slices are missing.
        places_mm: of the slices along the normal; empty where it is not known.
        note: what is to be said of the series.
    """

    marks: tuple[Mark, ...]
    gaps: frozenset[int] = frozenset()
    places_mm: tuple[float, ...] = ()
    note: str = ""
    tracks: tuple[TrackMark, ...] = ()
    """One a slice, of the tracks that are looked at; empty for none."""


class SliceTrack(QWidget):
    """The slider itself. Arrow keys, PageUp / PageDown, Home and End move it; a press on it goes there."""

    moved = Signal(int)
    """The slice that the person wants."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._slices = Slices(())
        self._marks: tuple[tuple[int, int, Mark], ...] = ()
        self._tracks: tuple[tuple[int, int, TrackMark], ...] = ()
        """First slice, how many, and the mark that they share: a video has thousands, and each step paints them."""
        self.position = 0
        self.setFixedHeight(_HEIGHT_PX)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName("Slice")
        theme.subscribe(lambda _tokens: self.update())

    @property
    def count(self) -> int:
        return len(self._slices.marks)

    def show_slices(self, slices: Slices) -> None:
        if slices is not self._slices and slices != self._slices:
            self._slices = slices
            self._marks = tuple(run for run in _runs(slices.marks) if run[2] is not Mark.NONE)
            self._tracks = tuple(run for run in _runs(slices.tracks) if run[2] is not TrackMark.NONE)
            self.update()

    def show_position(self, position: int) -> None:
        self.position = position
        self.setAccessibleDescription(f"{position + 1} of {self.count}")
        self.update()

    def x_of(self, position: int) -> float:
        """The middle of a slice's place, in pixels."""
        return _HANDLE_PX / 2 + (position + 0.5) * (self.width() - _HANDLE_PX) / max(1, self.count)

    def position_at(self, x: float) -> int:
        share = (x - _HANDLE_PX / 2) / max(1, self.width() - _HANDLE_PX)
        return min(max(int(share * self.count), 0), max(0, self.count - 1))

    # --- Qt -----------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.count:
            return
        tokens, middle = self._theme.tokens, self.height() / 2
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.line))
        left, right = _HANDLE_PX / 2, self.width() - _HANDLE_PX / 2
        painter.drawRoundedRect(QRectF(left, middle - _GROOVE_PX / 2, right - left, _GROOVE_PX), 2, 2)
        width = max(2.0, (right - left) / self.count - 1)
        colours = {Mark.OBJECTS: QColor(tokens.accent), Mark.DONE: QColor(tokens.ok)}
        for position, count, mark in self._marks:
            painter.setBrush(colours[mark])
            for at, wide in self._bars(position, count, width):
                painter.drawRect(QRectF(at, middle + _GROOVE_PX / 2 + 3, wide, _MARK_PX))
        self._paint_tracks(painter, width)
        painter.setBrush(QColor(tokens.surface))
        for place in self._slices.gaps:
            at = (self.x_of(place) + self.x_of(place + 1)) / 2
            painter.drawRect(QRectF(at - _GAP_PX / 2, middle - _GROOVE_PX, _GAP_PX, 2 * _GROOVE_PX))
        handle = QRectF(self.x_of(self.position) - _HANDLE_PX / 2, middle - _HANDLE_PX / 2, _HANDLE_PX, _HANDLE_PX)
        if self.hasFocus():
            painter.setBrush(QColor(tokens.text))
            painter.drawEllipse(handle.adjusted(-2, -2, 2, 2))
        painter.setBrush(QColor(tokens.accent))
        painter.drawEllipse(handle)
        painter.end()

    def _paint_tracks(self, painter: QPainter, width: float) -> None:
        """Above the groove: bars for carried slices (half as high where they are doubtful), diamonds for key frames, a
        cross where a track was lost."""
        tokens, base = self._theme.tokens, self.height() / 2 - _GROOVE_PX / 2 - 3
        for first, count, mark in self._tracks:
            if mark in (TrackMark.FOUND, TrackMark.DOUBTFUL):
                is_sure = mark is TrackMark.FOUND
                high = _MARK_PX if is_sure else _MARK_PX / 2
                painter.setBrush(QColor(tokens.accent if is_sure else tokens.warn))
                for left, wide in self._bars(first, count, width):
                    painter.drawRect(QRectF(left, base - high, wide, high))
                continue
            for position in range(first, first + count):
                self._paint_sign(painter, mark, self.x_of(position), base)

    def _bars(self, first: int, count: int, width: float) -> Iterator[tuple[float, float]]:
        """Left edge and width of the bars of slices that are marked alike: one for all where they would touch."""
        if width <= _LEAST_BAR_PX:
            yield self.x_of(first) - width / 2, self.x_of(first + count - 1) - self.x_of(first) + width
        else:
            yield from ((self.x_of(position) - width / 2, width) for position in range(first, first + count))

    def _paint_sign(self, painter: QPainter, mark: TrackMark, at: float, base: float) -> None:
        tokens = self._theme.tokens
        if mark is TrackMark.KEY:
            half, middle = _KEY_PX / 2, base - _KEY_PX / 2
            painter.setBrush(QColor(tokens.text))
            corners = ((0, -half), (half, 0), (0, half), (-half, 0))
            painter.drawPolygon(QPolygonF([QPointF(at + x, middle + y) for x, y in corners]))
        elif mark is TrackMark.LOST:
            half, middle = _KEY_PX / 2 - 1, base - _KEY_PX / 2
            painter.setPen(QPen(QColor(tokens.danger), 2))
            painter.drawLine(QPointF(at - half, middle - half), QPointF(at + half, middle + half))
            painter.drawLine(QPointF(at - half, middle + half), QPointF(at + half, middle - half))
            painter.setPen(Qt.PenStyle.NoPen)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._want(self.position_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._want(self.position_at(event.position().x()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta().y() or event.angleDelta().x()
        if delta:
            self._want(self.position + (-1 if delta > 0 else 1) * max(1, abs(delta) // NOTCH))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key
        steps = {key.Key_Left: -1, key.Key_Down: -1, key.Key_Right: 1, key.Key_Up: 1, key.Key_Home: -self.count}
        steps |= {key.Key_End: self.count, key.Key_PageUp: -_PAGE, key.Key_PageDown: _PAGE}
        step = steps.get(key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self._want(self.position + step)

    def _want(self, position: int) -> None:
        wanted = min(max(position, 0), max(0, self.count - 1))
        if wanted != self.position:
            self.moved.emit(wanted)


class SliceBar(QFrame):
    """Play, the slider, and where one is in words. Hidden for an image that is no slice."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sliceBar")
        self.track = SliceTrack(theme)
        self.play_button = QToolButton()
        self.play_button.setObjectName("flat")
        self.play_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.speed_button = QToolButton()
        self.speed_button.setObjectName("flat")
        self.speed_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.speed_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.speed_button.setMenu(QMenu(self.speed_button))
        self.label = StillLabel()
        self.label.setObjectName("dim")
        self._slices = Slices(())
        self.timeline = Timeline(theme)
        self.timeline.hide()
        rows = QGridLayout(self)
        rows.setContentsMargins(12, 2, 12, 2)
        rows.setHorizontalSpacing(8)
        rows.setVerticalSpacing(0)
        for column, part in enumerate((self.play_button, self.speed_button, self.track, self.label)):
            rows.addWidget(part, 0, column)
        rows.addWidget(self.timeline, 1, 2)
        rows.setColumnStretch(2, 1)
        self.hide()

    def set_action(self, action: QAction) -> None:
        """What the button does: playing."""
        self.play_button.setDefaultAction(action)

    def set_speeds(self, actions: Mapping[float, QAction]) -> None:
        """What the button for the speed offers, by speed."""
        self.speed_button.menu().addActions(list(actions.values()))
        widest = max(self.fontMetrics().horizontalAdvance(_times(speed)) for speed in actions)
        self.speed_button.setMinimumWidth(widest + _SPEED_EDGE_PX)  # the slider keeps its place

    def show_speed(self, speed: float) -> None:
        """How fast it plays, times the normal speed."""
        self.speed_button.setText(_times(speed))
        self.speed_button.setToolTip(f"Plays at {_times(speed)} the normal speed")
        self.speed_button.setAccessibleName(f"Speed of playing: {_times(speed)}")

    def show_slices(self, slices: Slices | None, position: int = 0) -> None:
        """A series and the slice that is shown; None for an image that is no slice."""
        self.setVisible(slices is not None)
        if slices is None:
            return
        self._slices = slices
        self.track.show_slices(slices)
        self.track.show_position(position)
        self._say()
        self.track.setToolTip(
            "  ·  ".join([counted(len(slices.marks), "slice"), *([slices.note] if slices.note else [])])
        )

    def show_position(self, position: int) -> None:
        """Another slice of the series that is shown."""
        self.track.show_position(position)
        self._say()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._say()

    def _say(self) -> None:
        """Where one is. The label is as wide as it ever gets, so that the slider keeps its length while it is moved."""
        if self._slices.marks:
            last = "  ·  ".join(self._words(self._slices, len(self._slices.marks) - 1))
            if (least := self.fontMetrics().horizontalAdvance(last) + 4) != self.label.minimumWidth():
                self.label.setMinimumWidth(least)
            self.label.setText("  ·  ".join(self._words(self._slices, self.track.position)))

    def _words(self, slices: Slices, position: int) -> Sequence[str]:
        """The note stands in the tool tip only, where the slider needs the room."""
        words = [f"{position + 1} / {len(slices.marks)}"]
        if position < len(slices.places_mm):
            words.append(f"{slices.places_mm[position]:.1f} mm")
        return [*words, slices.note] if slices.note and self.width() >= _NOTE_FROM_PX else words


_M = TypeVar("_M", Mark, TrackMark)


def _runs(marks: Sequence[_M]) -> Iterator[tuple[int, int, _M]]:
    """Neighbours with the same mark: the first one's place, and how many they are."""
    at = 0
    for mark, same in groupby(marks):
        count = sum(1 for _ in same)
        yield at, count, mark
        at += count


def _times(speed: float) -> str:
    return f"{speed:g}×"
