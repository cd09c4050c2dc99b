"""Where a window goes on the screens that there are."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRect
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

WANTED_PX = (1440, 900)
FRAME_PX = (0, 32, 0, 0)
"""Left, top, right, bottom of the system's frame round a window that was not shown yet; its title bar is above."""


def placed(wanted: QRect, screens: Sequence[QRect]) -> QRect:
    """``wanted`` moved, and made smaller where it has to be, so that it lies wholly on one screen.

    Args:
        wanted: a window with its frame.
        screens: what each screen leaves to windows, the main one first; not empty.
    """

    def shared(screen: QRect) -> int:
        part = screen.intersected(wanted)
        return part.width() * part.height() if part.isValid() else 0

    best = max(screens, key=shared)
    size = wanted.size().boundedTo(best.size())
    x = min(max(wanted.x(), best.left()), best.left() + best.width() - size.width())
    y = min(max(wanted.y(), best.top()), best.top() + best.height() - size.height())
    return QRect(x, y, size.width(), size.height())


def first_place(window: QWidget) -> QRect:
    """Geometry for the first start: the middle of the main screen, at most as large as that."""
    screen = _rooms()[0]
    left, top, right, bottom = FRAME_PX
    wanted = QRect(0, 0, WANTED_PX[0] + left + right, WANTED_PX[1] + top + bottom)
    wanted.moveCenter(screen.center())
    return placed(wanted, [screen]).adjusted(left, top, -right, -bottom)


def in_sight(window: QWidget) -> QRect:
    """Geometry at which a window of a remembered place is seen as a whole: its screen may be gone, or smaller now."""
    inner, outer = window.geometry(), window.frameGeometry()
    left, top = inner.left() - outer.left(), inner.top() - outer.top()
    right, bottom = outer.right() - inner.right(), outer.bottom() - inner.bottom()
    if (left, top, right, bottom) == (0, 0, 0, 0):
        left, top, right, bottom = FRAME_PX
    frame = inner.adjusted(-left, -top, right, bottom)
    return placed(frame, _rooms()).adjusted(left, top, -right, -bottom)


def _rooms() -> list[QRect]:
    main = QGuiApplication.primaryScreen()
    screens = [main, *(screen for screen in QGuiApplication.screens() if screen is not main)]
    return [screen.availableGeometry() for screen in screens]
