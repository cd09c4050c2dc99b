"""A pair of hands on the window: real mouse and key events, waiting with a limit, and pictures of what is seen.

Waiting runs Qt's event loop (which lets other threads have the interpreter), never ``QTest.qWait`` (which does not).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PySide6.QtCore import QEventLoop, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from annotator.ui.canvas.tools.measure import MeasureTool
from annotator.ui.shell.main_window import MainWindow

LEFT, MIDDLE, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton, Qt.MouseButton.RightButton
PLAIN, CTRL, SHIFT, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
)
WAIT_S = 60.0
_POLL_MS = 5
_KEPT_BITS = np.uint8(0xFC)
"""Of every channel in a small picture: a third smaller, and nobody sees it."""


class StepFailed(Exception):  # noqa: N818 - the demo's verdict, not an error of a caller
    """A step did not do what it should; the text says what was expected and what was found."""


def require(is_true: bool, otherwise: str) -> None:
    """Raises:
    StepFailed: with the text of ``otherwise``.
    """
    if not is_true:
        raise StepFailed(otherwise)


def spin(duration_ms: int) -> None:
    """Let the program live for a while."""
    loop = QEventLoop()
    QTimer.singleShot(duration_ms, loop.quit)
    loop.exec()


class Hands:
    """Works on one window.

    Args:
        trouble: asked while waiting; a text that is not empty ends the step.
        pause_ms: rest after every gesture, for a person who watches.
    """

    def __init__(self, window: MainWindow, *, trouble: Callable[[], str], pause_ms: int = 0) -> None:
        self._window = window
        self._trouble = trouble
        self._pause_ms = pause_ms

    # --- waiting ----------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], bool], wish: str, *, limit_s: float = WAIT_S) -> None:
        """Wait until ``condition`` holds.

        Raises:
            StepFailed: it does not within ``limit_s``, or the program reported trouble meanwhile.
        """
        end_s = time.monotonic() + limit_s
        while not condition():
            found = self._trouble()
            require(not found, found)
            require(time.monotonic() < end_s, f"waited {limit_s:.0f} s in vain until {wish}")
            spin(_POLL_MS)

    def rest(self) -> None:
        """A moment for the person who watches; without one, only what is pending is done."""
        spin(self._pause_ms)

    # --- mouse ------------------------------------------------------------------------------------------------------

    def click(self, x: float, y: float, *, button: Qt.MouseButton = LEFT) -> QPointF:
        """Click at an image position; returns the position that was hit (the middle of a screen pixel)."""
        self._uncover(x, y)
        at = self._on_view(x, y)
        viewport = self._window.canvas.viewport()
        QTest.mouseMove(viewport, at)
        QTest.mouseClick(viewport, button, PLAIN, at)
        self.rest()
        return self._window.canvas.view_to_image(QPointF(at))

    def drag(self, box_xyxy: tuple[float, float, float, float]) -> None:
        """Drag the left button over a box in image pixels."""
        x0, y0, x1, y1 = box_xyxy
        self._uncover(x0, y0)
        viewport = self._window.canvas.viewport()
        QTest.mousePress(viewport, LEFT, PLAIN, self._on_view(x0, y0))
        for part in (0.2, 0.5, 0.8, 1.0):
            QTest.mouseMove(viewport, self._on_view(x0 + (x1 - x0) * part, y0 + (y1 - y0) * part))
            spin(self._pause_ms // 4)
        QTest.mouseRelease(viewport, LEFT, PLAIN, self._on_view(x1, y1))
        self.rest()

    def draw(self, places: Sequence[tuple[float, float]]) -> None:
        """Drag the left button along places of the image."""
        self._uncover(*places[0])
        viewport = self._window.canvas.viewport()
        QTest.mousePress(viewport, LEFT, PLAIN, self._on_view(*places[0]))
        for place in places:
            QTest.mouseMove(viewport, self._on_view(*place))
            spin(self._pause_ms // len(places))
        QTest.mouseRelease(viewport, LEFT, PLAIN, self._on_view(*places[-1]))
        self.rest()

    def tool_texts(self) -> tuple[str, ...]:
        """What the tool in the hand has written on the image, if it measures."""
        tool = self._window.canvas.tool_in_hand
        return tuple(text for text, _ in tool.texts) if isinstance(tool, MeasureTool) else ()

    def press(self, widget: QWidget) -> None:
        """Click a button."""
        require(widget.isVisible() and widget.isEnabled(), f"the button {widget.accessibleName()!r} cannot be pressed")
        QTest.mouseClick(widget, LEFT)
        self.rest()

    # --- keys -------------------------------------------------------------------------------------------------------

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = PLAIN) -> None:
        """Press a key where the focus is."""
        QTest.keyClick(self._focused(), key, modifier)
        self.rest()

    def type_text(self, text: str) -> None:
        QTest.keyClicks(self._focused(), text)
        self.rest()

    def _focused(self) -> QWidget:
        if QApplication.activeWindow() is None:
            self._window.activateWindow()
            self.until(
                lambda: QApplication.activeWindow() is not None,
                "the window has the keyboard (click it, or set QT_QPA_PLATFORM=offscreen)",
            )
        return QApplication.focusWidget() or QApplication.activeWindow() or self._window.canvas

    # --- eyes -------------------------------------------------------------------------------------------------------

    def colour_at(self, x: float, y: float) -> QColor:
        """What is painted at an image position."""
        spin(0)
        at = self._on_view(x, y)
        picture: QImage = self._window.canvas.viewport().grab().toImage()
        ratio = picture.devicePixelRatio()
        return picture.pixelColor(int(at.x() * ratio), int(at.y() * ratio))

    def screenshot(self, path: Path, *, is_small: bool = False) -> None:
        """The window as it is seen, with an open dialog in front.

        Args:
            is_small: with 64 levels per channel, for a picture that goes into a README.

        Raises:
            StepFailed: the picture is blank or cannot be written.
        """
        spin(max(self._pause_ms, 30))
        picture = self._window.grab()
        dialog = QApplication.activeModalWidget()
        if dialog is not None and dialog is not self._window:
            painter = QPainter(picture)
            painter.fillRect(self._window.rect(), QColor(0, 0, 0, 90))
            corner = self._window.rect().center() - dialog.rect().center()
            painter.drawPixmap(corner, dialog.grab())
            painter.end()
        image = picture.toImage().convertToFormat(QImage.Format.Format_RGB888)
        require(not _is_blank(image), "the window shows nothing")
        try:
            _save_png(image, path, is_small=is_small)
        except OSError as error:
            raise StepFailed(f"{path} cannot be written ({error.strerror or error})") from error

    # --- inside -----------------------------------------------------------------------------------------------------

    def _on_view(self, x: float, y: float) -> QPoint:
        return self._window.canvas.image_to_view(x, y).toPoint()

    def _uncover(self, x: float, y: float) -> None:
        """Pan with the middle button when something floats over the place, as a person would."""
        viewport = self._window.canvas.viewport()
        if self._is_free(x, y):
            return
        here, middle = self._on_view(x, y), viewport.rect().center()
        QTest.mousePress(viewport, MIDDLE, PLAIN, middle)
        QTest.mouseMove(viewport, middle + (middle - here))
        QTest.mouseRelease(viewport, MIDDLE, PLAIN, middle + (middle - here))
        self.rest()
        require(self._is_free(x, y), f"the place {x:.0f}, {y:.0f} of the image cannot be reached with the mouse")

    def _is_free(self, x: float, y: float) -> bool:
        viewport = self._window.canvas.viewport()
        at = self._on_view(x, y)
        return viewport.rect().contains(at) and self._window.childAt(viewport.mapTo(self._window, at)) is viewport


def _is_blank(image: QImage) -> bool:
    small = image.scaled(32, 32)
    return len({small.pixel(x, y) for x in range(32) for y in range(32)}) < 2


def _save_png(image: QImage, path: Path, *, is_small: bool) -> None:
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    rgb = rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3)
    if is_small:
        rgb = rgb & _KEPT_BITS
    # Packing hard takes longer than painting the window; only the README's picture is worth it.
    Image.fromarray(rgb).save(path, optimize=is_small, compress_level=9 if is_small else 1)
