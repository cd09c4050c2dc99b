"""The Planes panel: a stack cut in all three directions, with a cross-hair in each view, and how thick the cuts are."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.reslice import Slab
from annotator.ui.canvas.edge_letters import EDGE_LETTER
from annotator.ui.look.theme import Theme
from annotator.ui.panels.fitted_area import FittedArea

_NOTCH = 120
_PAGE = 10
_GAP_PX = 6.0
_LEAST_PX, _MOST_SLAB = 96, 500.0
_TITLES = {Slab.MAX: "Maximum", Slab.MEAN: "Mean", Slab.MIN: "Minimum"}


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What a view shows.

    Attributes:
        image: of the cut; size: how wide and high that is in space, in any unit.
        name: of the plane; letters: left, right, top, bottom in the patient.
        shares: where the cross-hair is, as shares of width and height.
    """

    image: QImage
    size: tuple[float, float]
    name: str
    letters: tuple[str, str, str, str]
    shares: tuple[float, float]


class PlaneView(QWidget):
    """One cut. A press or drag moves the cross-hair, the wheel goes through the planes; arrow keys and PageUp,
    PageDown do both."""

    picked = Signal(float, float)
    """(share of the width, share of the height)"""
    turned = Signal(int)
    """So many planes on."""
    stepped = Signal(int, int)
    """The cross-hair is to move by so many places (to the right, down)."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.drawn: Drawn | None = None
        self.setMinimumSize(_LEAST_PX, _LEAST_PX)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        theme.subscribe(lambda _tokens: self.update())

    def show_drawn(self, drawn: Drawn | None) -> None:
        self.drawn = drawn
        name = "Plane" if drawn is None else drawn.name
        self.setAccessibleName(f"{name}, with a cross-hair")
        self.update()

    @property
    def frame(self) -> QRectF:
        """Where the cut is in the widget, in its true proportions."""
        if self.drawn is None:
            return QRectF()
        width, height = self.drawn.size
        scale = min(self.width() / width, self.height() / height)
        found = QRectF(0, 0, width * scale, height * scale)
        found.moveCenter(QRectF(self.rect()).center())
        return found

    # --- Qt -----------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)  # as round any scan: letters are read on it in both themes
        if self.drawn is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self.frame, self.drawn.image)
            self._paint_cross(painter, self.drawn)
            self._paint_words(painter, self.drawn)
        if self.hasFocus():
            painter.setPen(QPen(QColor(self._theme.tokens.accent), 1))
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()

    def _paint_cross(self, painter: QPainter, drawn: Drawn) -> None:
        frame = self.frame
        x, y = frame.left() + drawn.shares[0] * frame.width(), frame.top() + drawn.shares[1] * frame.height()
        colour = QColor(EDGE_LETTER)
        colour.setAlpha(170)
        painter.setPen(QPen(colour, 1))
        for start, end in (
            ((frame.left(), y), (x - _GAP_PX, y)),
            ((x + _GAP_PX, y), (frame.right(), y)),
            ((x, frame.top()), (x, y - _GAP_PX)),
            ((x, y + _GAP_PX), (x, frame.bottom())),
        ):
            painter.drawLine(QPointF(*start), QPointF(*end))

    def _paint_words(self, painter: QPainter, drawn: Drawn) -> None:
        font = QFont(self.font())
        font.setPixelSize(12)
        painter.setFont(font)
        rect = QRectF(self.rect()).adjusted(6, 4, -6, -4)
        centre, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        left, right, top, bottom = drawn.letters
        places = (
            (left, Qt.AlignmentFlag.AlignLeft | middle),
            (right, Qt.AlignmentFlag.AlignRight | middle),
            (top, Qt.AlignmentFlag.AlignTop | centre),
            (bottom, Qt.AlignmentFlag.AlignBottom | centre),
            (drawn.name, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft),
        )
        for text, where in places:
            painter.setPen(QColor(0, 0, 0, 190))
            painter.drawText(rect.translated(1, 1), int(where), text)
            painter.setPen(QColor(EDGE_LETTER))
            painter.drawText(rect, int(where), text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._pick(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._pick(event)

    def _pick(self, event: QMouseEvent) -> None:
        frame = self.frame
        if event.buttons() & Qt.MouseButton.LeftButton and not frame.isEmpty():
            across = (event.position().x() - frame.left()) / frame.width()
            down = (event.position().y() - frame.top()) / frame.height()
            self.picked.emit(min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0))

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta().y() or event.angleDelta().x()
        if delta:
            self.turned.emit((-1 if delta > 0 else 1) * max(1, abs(delta) // _NOTCH))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key
        steps = {key.Key_Left: (-1, 0), key.Key_Right: (1, 0), key.Key_Up: (0, -1), key.Key_Down: (0, 1)}
        pages = {key.Key_PageUp: -1, key.Key_PageDown: 1}
        pressed = key(event.key())
        factor = _PAGE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        if pressed in steps:
            across, down = steps[pressed]
            self.stepped.emit(across * factor, down * factor)
        elif pressed in pages:
            self.turned.emit(pages[pressed] * factor)
        else:
            super().keyPressEvent(event)


class PlanesPanel(QWidget):
    """Three views, stacked or side by side, and the slab."""

    slab_changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.views = tuple(PlaneView(theme) for _ in range(3))
        self.hint = QLabel()
        self.hint.setObjectName("dim")
        self.hint.setWordWrap(True)
        self.hint.setContentsMargins(12, 8, 12, 8)
        self.slab = QComboBox()
        self.slab.setAccessibleName("What a thick slab shows")
        for slab, title in _TITLES.items():
            self.slab.addItem(title, slab)
        self.thickness = QDoubleSpinBox()
        self.thickness.setAccessibleName("Thickness of the slab")
        self.thickness.setRange(0.0, _MOST_SLAB)
        self.thickness.setDecimals(1)
        self.thickness.setSpecialValueText("thin")
        self.thickness.setKeyboardTracking(False)
        self.set_unit("mm")
        self.slab.currentIndexChanged.connect(lambda _index: self.slab_changed.emit())
        self.thickness.valueChanged.connect(lambda _value: self.slab_changed.emit())
        self.body = QWidget()
        self.body.setObjectName("panel")
        self.view = FittedArea(self.body, name="Planes")
        self._row = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._row.setSpacing(4)
        self._row.setContentsMargins(0, 0, 0, 0)
        for view in self.views:
            self._row.addWidget(view, 1)
        inside = QVBoxLayout(self.body)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addLayout(self._row, 1)
        inside.addLayout(self._controls())
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.hint)
        box.addWidget(self.view, 1)
        self.show_note("Open a series of slices to see it in all directions.")

    def _controls(self) -> QHBoxLayout:
        """How thick the cuts are."""
        row = QHBoxLayout()
        row.setContentsMargins(12, 4, 12, 8)
        row.setSpacing(8)
        row.addWidget(QLabel("Slab"))
        row.addWidget(self.thickness)
        row.addWidget(self.slab, 1)
        return row

    def sizeHint(self) -> QSize:
        return QSize(260, 640)

    @property
    def chosen(self) -> tuple[Slab, float]:
        """What a slab shows, and how thick it is; 0: a plane."""
        return Slab(self.slab.currentData()), self.thickness.value()

    def set_unit(self, unit: str) -> None:
        """Of the thickness: millimetres where they are known."""
        self.thickness.setSuffix(f" {unit}")

    def show_note(self, text: str) -> None:
        """A sentence above the views; empty for none."""
        self.hint.setText(text)
        self.hint.setVisible(bool(text))

    def show_drawn(self, drawn: tuple[Drawn, ...]) -> None:
        """The cuts across the three axes; none: nothing is shown."""
        for at, view in enumerate(self.views):
            view.show_drawn(drawn[at] if drawn else None)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        is_wide = self.width() > 2 * self.height()
        self._row.setDirection(QBoxLayout.Direction.LeftToRight if is_wide else QBoxLayout.Direction.TopToBottom)
