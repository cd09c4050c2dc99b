"""What floats on the canvas's edge: candidates, the class in use, the first hint. None of it takes the focus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate
from annotator.domain.project import Category
from annotator.ui.look.numbers import grouped
from annotator.ui.look.theme import RADIUS_PX, Theme
from annotator.ui.panels.chips import paint_class_chip

_SHAPE_PX = 32
_BUTTON_PX = (112, 44)
_STRIP_MARGIN_PX = 6
STRIP_HEIGHT_PX = _BUTTON_PX[1] + 2 * _STRIP_MARGIN_PX


def common_frame(masks: Sequence[Mask]) -> tuple[int, int, int, int]:
    """The pixel box (x, y, w, h) that holds all of the masks; at least one pixel."""
    boxes = [mask.bbox_xywh for mask in masks if not mask.is_empty] or [(0, 0, 1, 1)]
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    return left, top, max(b[0] + b[2] for b in boxes) - left, max(b[1] + b[3] for b in boxes) - top


def silhouette(mask: Mask, side_px: int, *, frame: tuple[int, int, int, int]) -> QImage:
    """A mask as an opaque-on-transparent picture, with ``frame`` (x, y, w, h) fitted into ``side_px`` squared.

    The crop is sampled, so the cost follows the picture, not the object.
    """
    image = QImage(side_px, side_px, QImage.Format.Format_Alpha8)
    image.fill(0)
    left, top, width, height = frame
    scale = (side_px - 4) / max(width, height)
    out_w, out_h = max(1, round(width * scale)), max(1, round(height * scale))
    rows = np.minimum(((np.arange(out_h) + 0.5) / scale).astype(np.int64), height - 1) + top - mask.y
    columns = np.minimum(((np.arange(out_w) + 0.5) / scale).astype(np.int64), width - 1) + left - mask.x
    h, w = mask.bits.shape
    inside = ((rows >= 0) & (rows < h))[:, None] & ((columns >= 0) & (columns < w))[None]
    if not inside.any():
        return image
    sampled = mask.bits[np.clip(rows, 0, h - 1)][:, np.clip(columns, 0, w - 1)]
    alpha = np.ascontiguousarray(sampled & inside).astype(np.uint8) * 255
    crop = QImage(alpha.data, out_w, out_h, out_w, QImage.Format.Format_Alpha8)
    painter = QPainter(image)
    painter.drawImage((side_px - out_w) // 2, (side_px - out_h) // 2, crop)
    painter.end()
    return image


class _CandidateButton(QToolButton):
    """One candidate: its shape, its name, the model's guess of its quality."""

    def __init__(
        self, theme: Theme, candidate: Candidate, *, colour: str, frame: tuple[int, int, int, int], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._colour = colour
        self._name = candidate.label or "mask"
        self._score = f"{candidate.predicted_iou:.2f}"
        self._shape = silhouette(candidate.mask, _SHAPE_PX, frame=frame)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(f"candidate {self._name}, predicted quality {self._score}")
        self.setToolTip(f"{self._name.capitalize()}: predicted IoU {self._score}, {grouped(candidate.mask.area)} px²")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(*_BUTTON_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.setPen(QPen(QColor(tokens.accent if self.isChecked() else tokens.line), 2 if self.isChecked() else 1))
        painter.setBrush(QColor(tokens.selection if self.isChecked() else tokens.raised))
        painter.drawRoundedRect(frame, RADIUS_PX, RADIUS_PX)
        box = QRectF(6, (self.height() - _SHAPE_PX) / 2, _SHAPE_PX, _SHAPE_PX)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.background))
        painter.drawRoundedRect(box, RADIUS_PX - 1, RADIUS_PX - 1)
        painter.drawImage(box, _filled(self._shape, self._colour))
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(tokens.text))
        left = box.right() + 10
        painter.drawText(QRectF(left, 4, 60, 18), int(Qt.AlignmentFlag.AlignVCenter), self._name)
        painter.setFont(self.font())
        painter.setPen(QColor(tokens.text if self.isChecked() else tokens.dim))
        painter.drawText(QRectF(left, 22, 60, 18), int(Qt.AlignmentFlag.AlignVCenter), self._score)
        painter.end()


def _filled(shape: QImage, colour: str) -> QImage:
    image = QImage(shape.size(), QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(QColor(colour))
    painter = QPainter(image)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationIn)
    painter.drawImage(0, 0, shape)
    painter.end()
    return image


class CandidateStrip(QWidget):
    """Part, whole, group: shown only while there is a choice."""

    chosen = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._items: tuple[Candidate, ...] = ()
        self._colour = ""
        self._buttons: list[_CandidateButton] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(*[_STRIP_MARGIN_PX] * 4)
        self._row.setSpacing(6)
        self._key_hint = QLabel("Tab")
        self._key_hint.setObjectName("dim")
        self._row.addWidget(self._key_hint)
        self.setAccessibleName("Candidates for this click")
        self.hide()

    def show_candidates(self, items: Sequence[Candidate], current: int, *, colour: str) -> None:
        """Show the candidates; fewer than two hide the strip."""
        items = tuple(items)
        if len(items) < 2:
            self._items = ()
            self.hide()
            return
        # By identity: candidates hold arrays, which have no plain equality.
        if colour != self._colour or [id(item) for item in items] != [id(item) for item in self._items]:
            self._items, self._colour = items, colour
            for button in self._buttons:
                self._row.removeWidget(button)
                button.deleteLater()
            self._buttons = []
            frame = common_frame([candidate.mask for candidate in items])
            for at, candidate in enumerate(items):
                button = _CandidateButton(self._theme, candidate, colour=colour, frame=frame, parent=self)
                button.clicked.connect(lambda _=False, i=at: self.chosen.emit(i))
                self._row.insertWidget(at, button)
                self._buttons.append(button)
        for at, button in enumerate(self._buttons):
            button.setChecked(at == current)
        self.show()
        self.adjustSize()

    def paintEvent(self, event: QPaintEvent) -> None:
        _paint_card(self, self._theme)


class ClassChip(QWidget):
    """The class that the next object gets: colour, number, name. A click opens the class search."""

    clicked = Signal()

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._category: Category | None = None
        self._number, self._note = 0, ""
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Class of the next object. 1 to 9 switch, C searches.")

    def set_category(self, category: Category | None, *, number: int = 0, note: str = "") -> None:
        """``number`` stands in the chip; ``note`` follows the name, e.g. that clicks remove."""
        is_same = (category, number, note) == (self._category, self._number, self._note)
        if is_same and self.isHidden() == (category is None):
            return
        self._category, self._number, self._note = category, number, note
        self.setAccessibleName(f"Class in use: {category.name if category else 'none'} {note}".strip())
        self.setVisible(category is not None)
        self.adjustSize()
        self.update()

    def _text(self) -> str:
        name = self._category.name if self._category else ""
        name = self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, 220)
        return f"{name}   {self._note}" if self._note else name

    def sizeHint(self) -> QSize:
        return QSize(52 + self.fontMetrics().horizontalAdvance(self._text()), 32)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.clicked.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._category is None:
            return
        _paint_card(self, self._theme)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_class_chip(painter, QRectF(8, 7, 18, 18), self._category, "", self._number)
        painter.setPen(QColor(self._theme.tokens.text))
        flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.drawText(QRectF(36, 0, self.width() - 40, self.height()), flags, self._text())
        painter.end()


_HINT_MARGIN_PX = 16


class HintLine(QWidget):
    """A sentence of help; one line where there is room."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._label = QLabel(self)
        self._label.setWordWrap(True)
        self._most_px = 0
        self.is_wanted = True
        """Until the person has accepted an object for the first time."""
        self.is_heeded = False
        """Once there was a click: it was read, and lies over the image. The next start shows it again if wanted."""
        row = QHBoxLayout(self)
        row.setContentsMargins(_HINT_MARGIN_PX, 8, _HINT_MARGIN_PX, 8)
        row.addWidget(self._label)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_text(self, text: str) -> None:
        if text == self._label.text() and not self.isHidden():
            return
        self._label.setText(text)
        self.setAccessibleName(text)
        self._resize()
        self.show()

    def fit(self, most_px: int) -> None:
        """Be no wider than this; a longer text has several lines."""
        if most_px != self._most_px:
            self._most_px = most_px
            self._resize()

    def _resize(self) -> None:
        if not self._label.text():
            return
        margins = 2 * _HINT_MARGIN_PX
        text_px = self._label.fontMetrics().horizontalAdvance(self._label.text()) + 2
        width = min(text_px, self._most_px - margins) if self._most_px > margins else text_px
        self._label.setFixedWidth(width)
        self._label.setMinimumHeight(0)  # else it is never lower than it was
        self._label.setFixedHeight(self._label.heightForWidth(width))
        self.adjustSize()

    def paintEvent(self, event: QPaintEvent) -> None:
        _paint_card(self, self._theme)


def _paint_card(widget: QWidget, theme: Theme) -> None:
    painter = QPainter(widget)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    surface = QColor(theme.tokens.surface)
    surface.setAlpha(240)
    painter.setPen(QPen(QColor(theme.tokens.line), 1))
    painter.setBrush(surface)
    painter.drawRoundedRect(QRectF(widget.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX + 2, RADIUS_PX + 2)
    painter.end()


_BEAT_MS = 40


class BusyLine(QWidget):
    """A thin line at the canvas's top: moving while the length of work is unknown, else filling up."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._phase = 0.0
        self._timer_id = 0
        self.setFixedHeight(3)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName("Busy")
        self.hide()

    def set_busy(self, is_busy: bool) -> None:
        """It comes with the first beat: what is over before is not shown."""
        if is_busy and not self._timer_id:
            self._timer_id = self.startTimer(_BEAT_MS)
        elif not is_busy and self._timer_id:
            self.killTimer(self._timer_id)
            self._timer_id = 0
            self.hide()

    def timerEvent(self, _event: object) -> None:
        self.show()
        self._phase = (self._phase + 0.02) % 1.0
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._theme.tokens.line))
        width = self.width() * 0.25
        left = (self.width() + width) * self._phase - width
        part = QRectF(QPointF(left, 0), QPointF(left + width, self.height()))
        painter.fillRect(part, QColor(self._theme.tokens.accent))
        painter.end()
