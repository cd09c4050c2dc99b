"""A canvas with noise in it, what it says, and a hand with a mouse."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas.canvas import Canvas, ObjectView, prepare_image
from annotator.ui.canvas.items import PointItem
from tests.gui.test_items import pixels_of

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
NONE = Qt.KeyboardModifier.NoModifier
SHIFT, ALT, CONTROL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)
WIDTH, HEIGHT = 203, 150
Pixels = npt.NDArray[np.int_]


class Heard:
    """Everything a canvas said."""

    def __init__(self, canvas: Canvas) -> None:
        self.points: list[PointPrompt] = []
        self.boxes: list[Box] = []
        self.clicked: list[tuple[int, bool]] = []
        self.activated: list[int] = []
        self.moved: list[tuple[float, float, bool]] = []
        self.zooms: list[float] = []
        self.accepts: list[bool] = []
        canvas.pointed.connect(self.points.append)
        canvas.boxed.connect(self.boxes.append)
        canvas.object_clicked.connect(lambda i, additive: self.clicked.append((i, additive)))
        canvas.object_activated.connect(self.activated.append)
        canvas.cursor_moved.connect(lambda x, y, inside: self.moved.append((x, y, inside)))
        canvas.zoom_changed.connect(self.zooms.append)
        canvas.accept_clicked.connect(lambda: self.accepts.append(True))


def noise_canvas(qtbot: QtBot) -> Canvas:
    """A canvas on the screen, with an image of WIDTH x HEIGHT."""
    made = Canvas()
    qtbot.addWidget(made)
    made.resize(600, 400)
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    made.set_image(prepare_image(rgb))
    with qtbot.waitExposed(made):
        made.show()
    return made


def at(canvas: Canvas, x: float, y: float) -> QPoint:
    where: QPoint = canvas.image_to_view(x, y).toPoint()
    return where


def press(canvas: Canvas, where: QPoint, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    QTest.mousePress(canvas.viewport(), button, keys, where)


def release(canvas: Canvas, where: QPoint, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    QTest.mouseRelease(canvas.viewport(), button, keys, where)


def click(canvas: Canvas, where: QPoint, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    press(canvas, where, button, keys)
    release(canvas, where, button, keys)


def move(canvas: Canvas, where: QPoint, buttons: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE) -> None:
    position = QPointF(where)
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        position,
        canvas.viewport().mapToGlobal(position),
        Qt.MouseButton.NoButton,
        buttons,
        keys,
    )
    QApplication.sendEvent(canvas.viewport(), event)


def drag(
    canvas: Canvas,
    start: QPoint,
    end: QPoint,
    button: Qt.MouseButton = LEFT,
    keys: Qt.KeyboardModifier = NONE,
) -> None:
    press(canvas, start, button, keys)
    for step in range(1, 5):
        move(canvas, start + (end - start) * step / 4, button, keys)
    release(canvas, end, button, keys)


def dots(canvas: Canvas) -> list[PointPrompt]:
    return [item.point for item in canvas.scene().items() if isinstance(item, PointItem) and item.isVisible()]


def shot(canvas: Canvas) -> Pixels:
    return pixels_of(canvas.viewport().grab().toImage())[..., :3].astype(int)


def disc(object_id: int, x: float, y: float, radius: float, colour: str = "#00ff00") -> ObjectView:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    full = np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius
    return ObjectView(object_id, Mask.from_full(full), colour)


def wheel(canvas: Canvas, where: QPoint, angle: int) -> None:
    event = QWheelEvent(
        QPointF(where),
        canvas.viewport().mapToGlobal(QPointF(where)),
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        NONE,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas.viewport(), event)


def window_shot(canvas: Canvas) -> Pixels:
    """What is on the (offscreen) screen after the pending updates, without a repaint."""
    QApplication.processEvents()
    window = canvas.window().windowHandle()
    image = window.screen().grabWindow(window.winId()).toImage()
    return pixels_of(image)[..., :3].astype(int)
