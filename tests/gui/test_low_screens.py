"""Dialogs on a screen that is too low for them: 1080 lines at 150 % leave about 670."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QScrollArea

from annotator.domain.adapter import DECIDING
from annotator.jobs.training_record import Wish
from annotator.ui.adapters.train_dialog import TrainDialog
from annotator.ui.adapters.training import Standing, TrainingRun
from annotator.ui.dialogs import scroll_pane

LOW_PX = 600
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


@pytest.fixture
def desk(desk):
    desk.build()
    return desk


@pytest.fixture
def low_screen(monkeypatch):
    for name in ("annotator.ui.dialogs.scroll_pane.room_for", "annotator.ui.adapters.train_dialog.room_for"):
        monkeypatch.setattr(name, lambda _dialog: QSize(1280, LOW_PX))


def is_seen(widget):
    """Whether a widget lies wholly in its window."""
    window = widget.window()
    return widget.isVisible() and window.rect().contains(widget.rect().translated(widget.mapTo(window, QPoint())))


def wheel(widget):
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        *(at, widget.mapToGlobal(at), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton),
        *(Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False),
    )
    QApplication.sendEvent(widget, event)
    return event


def test_settings_scroll_and_keep_their_button(desk, low_screen):
    dialog = desk.window.program.files.show_settings()
    close = next(button for button in dialog.findChildren(QPushButton) if button.text() == "Close")
    assert dialog.height() == LOW_PX
    assert is_seen(close)
    assert not is_seen(dialog.editors["cache_disk_gib"])
    # The wheel scrolls, wherever the pointer is; it turns a field only when that has the focus.
    dialog.activateWindow()
    desk.until(dialog.isActiveWindow)
    opacity, pane = dialog.editors["mask_opacity"], dialog.findChild(QScrollArea)
    before = opacity.value()
    assert not wheel(opacity).isAccepted(), "the system gives it to the pane"
    assert opacity.value() == before
    wheel(pane.viewport())
    assert pane.verticalScrollBar().value() > 0
    opacity.setFocus()
    wheel(opacity)
    assert opacity.value() != before
    # A field that is reached by key comes into view.
    dialog.editors["cache_disk_enabled"].setFocus()
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert is_seen(dialog.editors["cache_disk_gib"])
    dialog.close()


def test_the_keys_scroll_by_key(desk, low_screen):
    sheet = desk.window.program.files.show_keys()
    assert sheet.height() == LOW_PX
    sheet.activateWindow()
    desk.until(sheet.isActiveWindow)
    bar = sheet.findChild(QScrollArea).verticalScrollBar()
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_PageDown)
    assert bar.value() == bar.maximum() > 0
    sheet.close()


def test_with_room_nothing_scrolls(desk, monkeypatch):
    monkeypatch.setattr(scroll_pane, "room_for", lambda _dialog: QSize(1920, 1040))
    for show in (desk.window.program.files.show_settings, desk.window.program.files.show_keys):
        dialog = show()
        bar = dialog.findChild(QScrollArea).verticalScrollBar()
        desk.until(lambda bar=bar: not bar.isVisible())
        dialog.close()


def test_the_result_of_a_training_keeps_its_buttons(desk, low_screen, tmp_path):
    def around(value):
        return {"mean": value, "low": value - 0.01, "high": value + 0.01}

    rows = [{"measure": DECIDING, "base": around(0.5), "adapter": around(0.6), "difference": around(0.1)}]
    rows += [{**rows[0], "measure": f"IoU, {clicks} clicks"} for clicks in range(10)]
    wish = Wish(tmp_path / "p.annot", "cells", "", "fake", 20.0, tmp_path / "run", config=None, device="cpu")
    run = TrainingRun(wish)
    run.standing = Standing(rows=tuple(rows), validation=((0.1, 0.5), (0.2, 0.6)))
    dialog = TrainDialog(lambda *_: wish, lambda _wish: run, desk.window, run=run)
    dialog.show()
    assert dialog.height() <= LOW_PX
    assert is_seen(dialog.install_button)
    assert is_seen(dialog.close_button)
    assert dialog.table.verticalScrollBar().maximum() > 0
    dialog.close()
