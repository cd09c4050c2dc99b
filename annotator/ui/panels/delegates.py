"""How rows of the panels are painted."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QMouseEvent, QPainter, QPainterPath, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from annotator.domain.brevity import brief_message
from annotator.domain.project import Annotation, Category, ImageRecord, Status
from annotator.ui.look.icons import icon
from annotator.ui.look.numbers import grouped
from annotator.ui.look.theme import RADIUS_PX, Theme
from annotator.ui.panels.chips import paint_class_chip
from annotator.ui.panels.list_models import (
    CATEGORY_ROLE,
    COUNT_ROLE,
    DETAIL_ROLE,
    DRAFTS_ROLE,
    IS_CURRENT_ROLE,
    MARKS_ROLE,
    NUMBER_ROLE,
    PROPOSALS_ROLE,
    ROW_ROLE,
    SLICES_ROLE,
)
from annotator.ui.panels.mask_thumbs import mask_thumb

Index = QModelIndex | QPersistentModelIndex
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_CENTER = Qt.AlignmentFlag.AlignCenter
ROW_HEIGHT_PX, OBJECT_ROW_HEIGHT_PX = 28, 42
_THUMB_SIDE_PX, MARK_PX = 28, 22
THUMB_PX, SMALL_THUMB_PX = (112, 72), (72, 46)
_TILE_MARGIN_PX, _TILE_TEXT_PX = 6, 20
_LONGEST_SUFFIX = 5
_MOST_LETTERS = 300
"""More fit into no row, and would have to be measured."""
"""Letters; what follows the last dot of a DICOM UID may be longer, and is part of the name."""


class RowDelegate(QStyledItemDelegate):
    """What all rows share: size, background of hovered and selected rows."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, ROW_HEIGHT_PX)

    def _background(self, painter: QPainter, option: QStyleOptionViewItem) -> QRect:
        rect: QRect = option.rect
        state = option.state
        tokens = self._theme.tokens
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(tokens.selection))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(tokens.raised))
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(tokens.accent), 1))
            painter.drawRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5))
        return rect.adjusted(12, 0, -12, 0)

    def _text(self, painter: QPainter, rect: QRect, text: str, colour: str, align: Qt.AlignmentFlag = _LEFT) -> None:
        painter.setPen(QColor(colour))
        elided = painter.fontMetrics().elidedText(
            brief_message(text, _MOST_LETTERS), Qt.TextElideMode.ElideRight, rect.width()
        )
        painter.drawText(rect, int(align), elided)


class ObjectDelegate(RowDelegate):
    """Number, shape, class; below the area and the model's guess of the quality; at the right an eye and a lock."""

    hide_wanted = Signal(object)
    lock_wanted = Signal(object)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, OBJECT_ROW_HEIGHT_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        row: Annotation = index.data(ROW_ROLE)
        category: Category | None = index.data(CATEGORY_ROLE)
        tokens = self._theme.tokens
        rect = self._background(painter, option)
        if index.data(IS_CURRENT_ROLE):
            painter.fillRect(option.rect, QColor(tokens.raised))
            painter.fillRect(QRect(option.rect.left(), rect.top(), 3, rect.height()), QColor(tokens.accent))
        number = QRect(rect.left() - 6, rect.top(), 30, rect.height())
        self._text(painter, number, str(index.row() + 1), tokens.dim, _RIGHT)
        colour = category.colour if category else tokens.dim
        ratio = painter.device().devicePixelRatioF()
        thumb = mask_thumb(row, colour, round(_THUMB_SIDE_PX * ratio))
        frame = QRectF(
            rect.left() + 32, rect.center().y() - _THUMB_SIDE_PX / 2 - 1, _THUMB_SIDE_PX + 4, _THUMB_SIDE_PX + 4
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.background))
        painter.drawRoundedRect(frame, RADIUS_PX, RADIUS_PX)
        painter.drawImage(frame.adjusted(2, 2, -2, -2), thumb)
        has_marks = self._paint_marks(painter, option, index)
        lines = rect.adjusted(72, 4, -2 * MARK_PX, -4)
        upper, lower = lines.adjusted(20, 0, 0, -lines.height() // 2), lines.adjusted(0, lines.height() // 2, 0, 0)
        paint_class_chip(painter, QRectF(lines.left(), upper.center().y() - 5.5, 12, 12), category, tokens.dim)
        crowd = " (crowd)" if row.is_crowd else ""
        self._text(painter, upper, (category.name if category else "no class") + crowd, tokens.text)
        room = lower if has_marks else lower.adjusted(0, 0, 2 * MARK_PX, 0)
        self._text(painter, room, index.data(DETAIL_ROLE), tokens.dim)
        painter.restore()

    def _paint_marks(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> bool:
        """What is hidden or locked says so; the pointer over a row shows both. Whether there are any."""
        is_over = bool(option.state & QStyle.StateFlag.State_MouseOver)
        names = (("eye-off", "eye"), ("lock", "unlock"))
        for rect, is_on, (on, off) in zip(_Marks.rects(option.rect), index.data(MARKS_ROLE), names, strict=True):
            if is_on or is_over:
                drawn = icon(on if is_on else off, self._theme.tokens)
                drawn.paint(painter, rect.adjusted(3, 3, -3, -3))
        return is_over or any(index.data(MARKS_ROLE))

    def editorEvent(self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index) -> bool:
        """A click on the eye or the lock of a row."""
        if not isinstance(event, QMouseEvent) or event.button() != Qt.MouseButton.LeftButton:
            return super().editorEvent(event, model, option, index)
        eye, lock = _Marks.rects(option.rect)
        at = event.position().toPoint()
        if not (eye.contains(at) or lock.contains(at)):
            return super().editorEvent(event, model, option, index)
        if event.type() == QEvent.Type.MouseButtonRelease:
            (self.hide_wanted if eye.contains(at) else self.lock_wanted).emit(index.data(ROW_ROLE).id)
        return True


class _Marks:
    """Where the eye and the lock of a row are."""

    @staticmethod
    def rects(row: QRect) -> tuple[QRect, QRect]:
        top = row.center().y() - MARK_PX // 2
        eye = QRect(row.right() - 8 - 2 * MARK_PX, top, MARK_PX, MARK_PX)
        return eye, eye.translated(MARK_PX, 0)


class ClassDelegate(RowDelegate):
    """Chip with the number, name, count of objects; the class in use has a bar at its left edge."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        row: Category = index.data(ROW_ROLE)
        tokens = self._theme.tokens
        rect = self._background(painter, option)
        is_current = bool(index.data(IS_CURRENT_ROLE))
        if is_current:
            painter.fillRect(QRect(rect.left() - 12, rect.top(), 3, rect.height()), QColor(tokens.accent))
            font = QFont(painter.font())
            font.setWeight(QFont.Weight.DemiBold)
            painter.setFont(font)
        chip = QRectF(rect.left(), rect.center().y() - 8.5, 18, 18)
        paint_class_chip(painter, chip, row, tokens.dim, index.data(NUMBER_ROLE))
        self._text(painter, rect, grouped(index.data(COUNT_ROLE)), tokens.dim, _RIGHT)
        self._text(painter, rect.adjusted(30, 0, -52, 0), row.name, tokens.text)
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setAccessibleName("Class name")
        editor.setMaxLength(200)
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Once: rows change while a name is typed (their counts do), and the text is the person's then."""
        if not editor.property("isFilled"):
            super().setEditorData(editor, index)
            editor.setProperty("isFilled", True)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        rect: QRect = option.rect
        editor.setGeometry(rect.adjusted(36, 0, -8, 0))


class FilmDelegate(RowDelegate):
    """A thumbnail, the file's name and its state by shape and colour."""

    thumb_px = THUMB_PX

    @property
    def tile(self) -> QSize:
        """Of one image, with its name."""
        width, height = self.thumb_px
        return QSize(width + 2 * _TILE_MARGIN_PX, height + 2 * _TILE_MARGIN_PX + _TILE_TEXT_PX)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return self.tile

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens = self._theme.tokens
        tile: QRect = option.rect
        row: ImageRecord = index.data(ROW_ROLE)
        state = option.state
        frame = QRectF(tile.left() + 6, tile.top() + 6, *self.thumb_px)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.background))
        painter.drawRoundedRect(frame, RADIUS_PX, RADIUS_PX)
        pixmap = index.data(int(Qt.ItemDataRole.DecorationRole))
        if isinstance(pixmap, QPixmap) and not pixmap.isNull():
            size = pixmap.deviceIndependentSize().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRectF(QPointF(), size)
            target.moveCenter(frame.center())
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(target, pixmap, QRectF(pixmap.rect()))
        elif isinstance(pixmap, QPixmap):
            self._text(painter, frame.toRect(), "cannot be read", tokens.danger, _CENTER)
        is_shown = bool(index.data(IS_CURRENT_ROLE))
        is_pointed_at = bool(state & (QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_HasFocus))
        if is_shown or is_pointed_at:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(tokens.accent if is_shown else tokens.dim), 2))
            painter.drawRoundedRect(frame.adjusted(-2, -2, 2, 2), RADIUS_PX + 1, RADIUS_PX + 1)
        if count := index.data(SLICES_ROLE):
            paint_slice_count(painter, frame, count, self._theme)
        if count := index.data(PROPOSALS_ROLE):
            paint_proposal_count(painter, frame, count, self._theme)
        if index.data(DRAFTS_ROLE):
            paint_draft_mark(painter, frame.topRight() + QPointF(-10, 10), self._theme)
        line = QRect(tile.left() + 6, int(frame.bottom()) + 4, self.thumb_px[0], 18)
        paint_status(painter, QRectF(line.left() + 1, line.center().y() - 4.5, 10, 10), row.status, self._theme)
        painter.setPen(QColor(tokens.text if is_shown else tokens.dim))
        name = line.adjusted(17, 0, 0, 0)
        painter.drawText(name, int(_LEFT), short_name(index.data(), painter.fontMetrics(), name.width()))
        painter.restore()


def short_name(name: str, metrics: QFontMetrics, width_px: int) -> str:
    """A file's name as it fits: first without its suffix, then cut in the middle, as names of a series differ at their
    ends."""
    name = brief_message(name, _MOST_LETTERS)
    if metrics.horizontalAdvance(name) <= width_px:
        return name
    stem, dot, suffix = name.rpartition(".")
    known = stem if dot and stem and len(suffix) <= _LONGEST_SUFFIX else name
    return metrics.elidedText(known, Qt.TextElideMode.ElideMiddle, width_px)


def paint_slice_count(painter: QPainter, frame: QRectF, count: int, theme: Theme) -> None:
    """How many slices a series has, at the lower edge of its thumbnail, on the edges of a pile."""
    tokens = theme.tokens
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    words = grouped(count)
    width = painter.fontMetrics().horizontalAdvance(words) + 12
    badge = QRectF(frame.right() - width - 4, frame.bottom() - 22, width, 18)
    painter.setPen(QPen(QColor(tokens.line), 1))
    painter.setBrush(QColor(tokens.surface))
    for shift in (4, 2, 0):
        painter.drawRoundedRect(badge.translated(-shift, -shift), RADIUS_PX / 2, RADIUS_PX / 2)
    painter.setPen(QColor(tokens.text))
    painter.drawText(badge, int(_CENTER), words)
    painter.restore()


def paint_proposal_count(painter: QPainter, frame: QRectF, count: int, theme: Theme) -> None:
    """How many proposals wait, at the upper edge of a thumbnail; dashed, as they are in the image."""
    tokens = theme.tokens
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    words = grouped(count)
    width = painter.fontMetrics().horizontalAdvance(words) + 12
    badge = QRectF(frame.left() + 4.5, frame.top() + 4.5, width, 17)
    painter.setPen(QPen(QColor(tokens.accent), 1, Qt.PenStyle.DashLine))
    painter.setBrush(QColor(tokens.surface))
    painter.drawRoundedRect(badge, RADIUS_PX / 2, RADIUS_PX / 2)
    painter.setPen(QColor(tokens.text))
    painter.drawText(badge, int(_CENTER), words)
    painter.restore()


def paint_draft_mark(painter: QPainter, centre: QPointF, theme: Theme) -> None:
    """Something is in progress here: a diamond, set off from any picture by an edge."""
    tokens = theme.tokens
    side = 5.0
    diamond = QPolygonF([centre + QPointF(x, y) for x, y in ((0, -side), (side, 0), (0, side), (-side, 0))])
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(tokens.surface))
    painter.drawEllipse(centre, side + 3.5, side + 3.5)
    painter.setBrush(QColor(tokens.accent))
    painter.drawPolygon(diamond)
    painter.restore()


def paint_status(painter: QPainter, rect: QRectF, status: Status, theme: Theme) -> None:
    """A state as a shape: unseen ring, in progress half disc, empty struck ring, done tick."""
    tokens = theme.tokens
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if status is Status.UNSEEN:
        painter.setPen(QPen(QColor(tokens.dim), 1.5))
        painter.drawEllipse(rect.adjusted(1, 1, -1, -1))
    elif status is Status.IN_PROGRESS:
        painter.setPen(QPen(QColor(tokens.warn), 1.5))
        painter.drawEllipse(rect.adjusted(1, 1, -1, -1))
        painter.setBrush(QColor(tokens.warn))
        painter.drawPie(rect.adjusted(1, 1, -1, -1), 90 * 16, 180 * 16)
    elif status is Status.EMPTY:
        painter.setPen(QPen(QColor(tokens.ok), 1.5))
        painter.drawEllipse(rect.adjusted(1, 1, -1, -1))
        painter.drawLine(rect.bottomLeft() + QPointF(2, -2), rect.topRight() + QPointF(-2, 2))
    else:
        tick = QPainterPath(QPointF(rect.left() + 1, rect.center().y()))
        tick.lineTo(rect.left() + 4, rect.bottom() - 1.5)
        tick.lineTo(rect.right() - 0.5, rect.top() + 1.5)
        painter.setPen(QPen(QColor(tokens.ok), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawPath(tick)
    painter.restore()
