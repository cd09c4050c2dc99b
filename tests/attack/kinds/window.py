"""A stranger's project in the real window: it is shown, walked through and worked on, by real events."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractItemView, QApplication, QLabel, QLineEdit

from annotator.io.settings import Settings
from annotator.ui.app import build_program, make_application
from tests.attack import damage, victims
from tests.attack.guard import Guard, describe
from tests.attack.kinds.rows import spoil_rows
from tests.fakes import FakeSegmenter, fake_engine

PATIENCE_S = 60
_KEYS = (
    *(Qt.Key.Key_D, Qt.Key.Key_A, Qt.Key.Key_Return, Qt.Key.Key_Tab, Qt.Key.Key_Escape, Qt.Key.Key_Delete),
    *(Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_U, Qt.Key.Key_E, Qt.Key.Key_Space, Qt.Key.Key_F),
)


class _Scene:
    """The window of one case."""

    def __init__(self, guard: Guard, work: Path) -> None:
        self._guard, self._app = guard, make_application()
        settings = Settings.load(work / "settings.toml")
        self.program = build_program(settings, fake_engine(FakeSegmenter(radius_px=8.0)))
        self.window = self.program.window
        self.window.show()

    def until(self, condition: Callable[[], object], what: str) -> bool:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end_s:
                self._guard.find(f"the window did not get there: {what}")
                return False
            self._app.processEvents()
            time.sleep(0.001)
        return True

    def settle(self) -> None:
        for _ in range(20):
            self._app.processEvents()
            time.sleep(0.001)

    def look(self) -> None:
        """No label is rendered as HTML, and every tooltip is asked for."""
        for view in self.window.findChildren(QAbstractItemView):
            model = view.model()
            for row in range(min(20, model.rowCount(QModelIndex()) if model else 0)):
                text = str(model.index(row, 0).data(Qt.ItemDataRole.ToolTipRole) or "")
                self._guard.check_text(text, "a tooltip")
            place = QPoint(20, 20)
            QApplication.sendEvent(view.viewport(), QHelpEvent(QEvent.Type.ToolTip, place, view.mapToGlobal(place)))
        for label in (widget for widget in QApplication.allWidgets() if isinstance(widget, QLabel)):
            label.ensurePolished()
            if label.textFormat() is not Qt.TextFormat.PlainText:
                self._guard.find(f"a label may render HTML: {label.text()[:80]!r}")
            self._guard.check_text(label.text(), "a label")

    def close(self) -> None:
        """Two wishes at most: the first may be answered by what is still to be said."""
        for _ in range(4):
            if self.window.close():
                break
            self.settle()
        else:
            self._guard.find("the window does not close")
            self.program.shut_down()
        self.window.deleteLater()
        self.settle()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Damaged rows or bytes, in the window."""
    folder = victims.victim(guard.home, work)
    project = folder / "set.annot"
    with guard.off():
        if dice.random() < 0.8:
            spoil_rows(project, dice)
        else:
            project.write_bytes(damage.damaged_bytes(project.read_bytes(), dice))
        connection = sqlite3.connect(project)
        try:
            connection.execute("UPDATE category SET name = ? WHERE id = 2", (damage.HTML,))
            connection.commit()
        except sqlite3.Error:
            pass
        connection.close()
    before = sys.excepthook
    sys.excepthook = lambda _kind, error, _where: guard.find(f"in the window: {describe(error)}")
    scene = _Scene(guard, work)
    try:
        _work(scene, folder if dice.random() < 0.5 else project, dice)
    finally:
        scene.close()
        sys.excepthook = before


def _work(scene: _Scene, place: Path, dice: random.Random) -> None:
    shown = scene.window
    program, bar = scene.program, shown.area.error_bar
    program.files.open_path(place)
    if not scene.until(lambda: program.session.store is not None or bar.text, "the project is open or refused"):
        return
    scene.until(lambda: program.client.info is not None, "the engine is there")
    scene.settle()
    scene.look()
    canvas = shown.canvas
    for _ in range(dice.randint(4, 14)):
        what = dice.randrange(5)
        if what <= 1:
            at = canvas.image_to_view(dice.uniform(0, 64), dice.uniform(0, 48)).toPoint()
            QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
        elif what == 2:
            QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        elif what == 3 and (search := shown.film.findChild(QLineEdit)) is not None:
            search.setText(dice.choice(("", "1", damage.HTML, "\\", "*")))
        else:
            QTest.keyClick(canvas, dice.choice(_KEYS))
        scene.settle()
        if bar.text and dice.random() < 0.3:
            bar.close_button.click()
    scene.look()
