"""What is dropped on the window is looked at, never taken away from where it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication

COPY, MOVE, LINK = Qt.DropAction.CopyAction, Qt.DropAction.MoveAction, Qt.DropAction.LinkAction
SHIFT, LEFT = Qt.KeyboardModifier.ShiftModifier, Qt.MouseButton.LeftButton


def drop(window, path: Path, offered) -> list[tuple[bool, Qt.DropAction]]:
    """Enter, move and drop with Shift held, by which file managers propose to move; whether each was accepted, how."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    place = QPoint(400, 300)
    events = [
        QDragEnterEvent(place, offered, data, LEFT, SHIFT),
        QDragMoveEvent(place, offered, data, LEFT, SHIFT),
        QDropEvent(QPointF(place), offered, data, LEFT, SHIFT),
    ]
    answers = []
    for event in events:
        event.setDropAction(MOVE)
        QApplication.sendEvent(window, event)
        answers.append((event.isAccepted(), event.dropAction()))
    return answers


@pytest.mark.parametrize(("offered", "wanted"), [(COPY | MOVE | LINK, COPY), (MOVE | LINK, LINK)])
def test_a_drop_is_never_a_move(desk, offered, wanted) -> None:
    desk.build()
    folder = desk.make_folder()
    answers = drop(desk.window, folder, offered)
    assert answers == [(True, wanted)] * 3
    desk.until(lambda: desk.shown_row() == 0)
    assert len(list(folder.glob("*.png"))) == 3


def test_a_source_that_only_moves_is_refused(desk) -> None:
    desk.build()
    answers = drop(desk.window, desk.make_other_folder(), MOVE)
    assert [accepted for accepted, _ in answers] == [False] * 3
    assert desk.session.store is None
