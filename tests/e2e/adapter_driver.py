"""Runs the program on a folder and does with mouse and keys what a person does with adapters.

    python -m tests.e2e.adapter_driver label FOLDER MODEL    label the images, train, close the window meanwhile
    python -m tests.e2e.adapter_driver install FOLDER MODEL  find the result, install it
    python -m tests.e2e.adapter_driver use FOLDER MODEL      the same, and use it

The window, its events, the embedded model and the training process are the real ones. What was seen is reported in one
JSON line per step; what does not come in time is an error.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QMessageBox, QPushButton, QWidget

from annotator.cli import main
from annotator.demo.hands import spin
from annotator.domain.project import Annotation
from annotator.engine.sam2.adapter_shelf import AdapterEntry
from annotator.ui.adapters.panel import AdapterPanel
from annotator.ui.adapters.train_dialog import TrainDialog
from annotator.ui.app import make_application
from annotator.ui.program import Program
from annotator.ui.shell.main_window import MainWindow
from tests.e2e.nuclei import Nucleus, names, nuclei_of

PATIENCE_S = 240
IMAGES = 8
"""Of six that are not held back one is set aside to stop by, as of any larger number."""
NAME = "nuclei"
MINUTES = 0.1
"""The shortest that the dialog takes."""
TRIES = 5
"""Objects that are asked for a proposed click: a model need not doubt every one."""
K = Qt.Key
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def say(step: str, **seen: Any) -> None:
    print(json.dumps({"step": step, **seen}), flush=True)


class Driver:
    """The hands of the person."""

    def __init__(self, work: Callable[[Driver], None]) -> None:
        self._work = work
        self.encodes = 0
        self.swaps_ms: list[float] = []

    def start(self) -> None:
        try:
            self.until(lambda: self._find_window() is not None)
            window = self._find_window()
            assert window is not None
            program = window.findChild(Program)
            assert program is not None
            self.window, self.program = window, program
            self.refine, self.client, self.session = self.program.refine, self.program.client, self.program.session
            self.client.encode_started.connect(self._on_encode)
            self.client.adapter_changed.connect(lambda _adapter, took_ms: self.swaps_ms.append(took_ms))
            self.activate(self.window)
            self.until(lambda: self.client.info is not None and self.shown_path() != "")
            self._work(self)
            self.window.close()
        except BaseException as error:
            say("failed", error=repr(error))
            # No orderly end: whoever waits for this process must not wait for a window.
            QApplication.exit(1)
            raise

    def _on_encode(self, key: str) -> None:
        # Neighbours are encoded ahead at any time; it is the image on the screen that must not be encoded again.
        picture = self.program.bench.picture
        self.encodes += int(picture is not None and picture.loaded.image_key == key)

    # --- looking ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _find_window() -> MainWindow | None:
        return next((w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow) and w.isVisible()), None)

    @staticmethod
    def until(condition: Callable[[], bool], *, seen: Callable[[], object] = lambda: "") -> None:
        """``seen``: what there was instead."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"the window did not get there: {seen()}")
            spin(5)

    def activate(self, widget: QWidget) -> None:
        widget.activateWindow()
        self.until(widget.isActiveWindow)

    def dialog(self, kind: type[QDialog]) -> Any:
        self.until(lambda: self._dialogs(kind) != [])
        return self._dialogs(kind)[0]

    def _dialogs(self, kind: type[QDialog]) -> list[QDialog]:
        return [widget for widget in self.window.findChildren(kind) if widget.isVisible()]

    def shown_path(self) -> str:
        picture, image = self.program.bench.picture, self.session.image
        return image.path if image is not None and picture is not None and picture.image_id == image.id else ""

    def shows(self, path: str) -> bool:
        return self.shown_path() == path

    def settled(self) -> Any:
        """The state once the newest click or box has its mask."""
        self.until(lambda: self.refine.state.mask is not None and not self.refine.state.is_waiting)
        return self.refine.state

    # --- doing --------------------------------------------------------------------------------------------------------

    def _at(self, x: float, y: float) -> QPoint:
        return self.window.canvas.image_to_view(x, y).toPoint()

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
        self.activate(self.window)
        QTest.keyClick(self.window.focusWidget() or self.window.canvas, key, modifier)

    def press(self, button: QPushButton) -> None:
        self.until(lambda: button.isVisible() and button.isEnabled())
        QTest.mouseClick(button, LEFT)

    def click(self, nucleus: Nucleus) -> None:
        QTest.mouseClick(self.window.canvas.viewport(), LEFT, NONE, self._at(*nucleus.centre))

    def drag_box(self, nucleus: Nucleus) -> None:
        """Alt and drag: a box with the click tool in hand."""
        x0, y0, x1, y1 = nucleus.box_xyxy
        viewport, alt = self.window.canvas.viewport(), Qt.KeyboardModifier.AltModifier
        QTest.mousePress(viewport, LEFT, alt, self._at(x0 - 1, y0 - 1))
        for share in (0.3, 0.7, 1.0):
            QTest.mouseMove(viewport, self._at(x0 + share * (x1 - x0 + 1), y0 + share * (y1 - y0 + 1)))
        QTest.mouseRelease(viewport, LEFT, alt, self._at(x1 + 1, y1 + 1))

    def accept(self) -> Annotation:
        before = len(self.session.annotations)
        self.settled()
        self.key(K.Key_Return)
        self.until(lambda: len(self.session.annotations) == before + 1)
        return self.session.annotations[-1]

    def swap(self, key: Qt.Key) -> None:
        count = len(self.swaps_ms)
        self.key(key, CTRL)
        self.until(lambda: len(self.swaps_ms) == count + 1)
        self.settled()

    def answer(self, button: QMessageBox.StandardButton) -> Callable[[], None]:
        """Press a button of the question that will be asked; the question is a loop of its own."""

        asked: list[QMessageBox] = []

        def press() -> None:
            box = QApplication.activeModalWidget()
            if isinstance(box, QMessageBox) and box.isActiveWindow() and not box.button(button).rect().isEmpty():
                if box not in asked:
                    asked.append(box)
                    say("asked", text=box.text())
                QTest.mouseClick(box.button(button), LEFT)
                if not box.isVisible():
                    return
            # Not there yet, or a click before it was laid out went past it.
            QTimer.singleShot(20, press)

        return press


# --- label and train --------------------------------------------------------------------------------------------------


def label(hands: Driver) -> None:
    boxes = 0
    for number, path in enumerate(names(IMAGES)):
        if number:
            hands.key(K.Key_D)
        hands.until(partial(hands.shows, path))
        if number == 0:
            hands.session.classes.add("nucleus")
            hands.key(K.Key_1)
        prompt = hands.drag_box if number % 2 else hands.click
        prompt(nuclei_of(number)[0])
        boxes += int(hands.settled().prompts.box is not None)
        hands.accept()
    say("labelled", images=IMAGES, boxes=boxes)
    hands.window.actions_by_id["adapters"].trigger()
    hands.press(hands.dialog(AdapterPanel).train_button)
    dialog: TrainDialog = hands.dialog(TrainDialog)
    hands.activate(dialog)
    QTest.keyClicks(dialog.name, NAME)
    dialog.minutes.setValue(MINUTES)
    hands.press(dialog.start_button)
    run = hands.program.adapters.training.run
    assert run is not None
    hands.until(lambda: run.standing.encoded > 0 and "pieces of the images" in dialog.line.text())
    encoding = dialog.line.text()
    hands.until(lambda: f"of {MINUTES:g} minutes" in dialog.line.text())
    lines = [encoding, dialog.line.text()]
    say("progress", lines=lines, is_running=run.is_running, folder=str(run.wish.folder))
    # The window is of use meanwhile.
    hands.click(nuclei_of(IMAGES - 1)[2])
    hands.accept()
    say("used meanwhile", is_running=run.is_running)
    dialog.close()


# --- install and use --------------------------------------------------------------------------------------------------


def use(hands: Driver) -> None:
    install(hands)
    encodes = hands.encodes
    nuclei = iter(nuclei_of(IMAGES - 1)[3:])
    hands.click(next(nuclei))
    plain = hands.settled()
    encodes_of_click = hands.encodes - encodes
    hands.swap(K.Key_1)
    adapted = hands.settled()
    say(
        "swapped",
        encodes_of_click=encodes_of_click,
        encodes=hands.encodes - encodes - encodes_of_click,
        swap_ms=hands.swaps_ms[-1],
        engine=hands.window.status.engine.text(),
        had_map=plain.candidates.chosen.uncertainty is not None,
        has_map=adapted.candidates.chosen.uncertainty is not None,
    )
    doubt(hands)
    suggest(hands, nuclei)
    compare(hands)
    one = hands.accept()
    say("accepted", id=one.id, adapter=one.adapter)
    hands.click(next(nuclei))
    hands.settled()
    encodes = hands.encodes
    hands.swap(K.Key_0)
    two = hands.accept()
    say("accepted", id=two.id, adapter=two.adapter)
    say("back", encodes=hands.encodes - encodes, engine=hands.window.status.engine.text())


def install(hands: Driver) -> None:
    hands.until(lambda: hands.shown_path() == names(IMAGES)[-1])
    bar = hands.window.area.error_bar
    told_quietly = hands.window.status.message
    # A larger model may be offered at the same time.
    hands.until(lambda: bar.isVisible() and NAME in bar.text, seen=lambda: (bar.text, told_quietly.text()))
    told = bar.text
    hands.press(bar.button)
    dialog: TrainDialog = hands.dialog(TrainDialog)
    hands.until(dialog.install_button.isVisible)
    items = [[dialog.table.item(row, column) for column in range(4)] for row in range(dialog.table.rowCount())]
    cells = [[item.text() for item in row if item is not None] for row in items]
    say("found", told=told, word=dialog.install_button.text(), table=cells)

    def own() -> list[AdapterEntry]:
        return [entry for entry in hands.program.adapters.fitting() if entry.is_own]

    for button in (QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes):
        if dialog.install_button.text() == "Install":
            hands.press(dialog.install_button)
            break
        QTimer.singleShot(20, hands.answer(button))
        hands.press(dialog.install_button)
        spin(100)
        say("answered", is_installed=bool(own()) or not dialog.install_button.isEnabled())
    hands.until(lambda: "installed" in dialog.line.text() and len(own()) == 1)
    say("installed", path=str(own()[0].path), message=hands.window.status.message.text())
    dialog.close()


def doubt(hands: Driver) -> None:
    """U: the map, on and off."""
    heat = hands.window.canvas._overlays._heat
    hands.key(K.Key_U)
    place = heat.place
    hands.key(K.Key_U)
    say("map", shown=[place.width(), place.height()], is_gone=heat.place.isEmpty())


def suggest(hands: Driver, nuclei: Any) -> None:
    """G proposes, Enter places what is proposed."""
    guide = hands.program.commands.next_click
    for _try in range(TRIES):
        hands.key(K.Key_G)
        if guide.ghost is not None:
            break
        hands.key(K.Key_Escape)
        hands.click(next(nuclei))
        hands.settled()
    ghost, clicks, encodes = guide.ghost, len(hands.refine.state.prompts.points), hands.encodes
    if ghost is None:
        raise AssertionError("no click was proposed")
    hands.key(K.Key_Return)
    placed = hands.settled().prompts.points
    is_it = len(placed) == clicks + 1 and placed[-1] == ghost
    say("suggested", is_placed=is_it, is_gone=guide.ghost is None, encodes=hands.encodes - encodes)


def compare(hands: Driver) -> None:
    """N, held: the base's mask for the same clicks."""
    painted = hands.window.canvas._overlays._candidate
    own, encodes = painted.mask, hands.encodes
    hands.activate(hands.window)
    QTest.keyPress(hands.window.canvas, K.Key_N)
    hands.until(lambda: painted.mask is not own)
    message = hands.window.status.message.text()
    QTest.keyRelease(hands.window.canvas, K.Key_N)
    say("compared", message=message, is_back=painted.mask == own, encodes=hands.encodes - encodes)


def run(mode: str, folder: str, model: str) -> int:
    # Also for a loop of a dialog that nobody ends: where it stands is reported instead of waited for.
    faulthandler.dump_traceback_later(PATIENCE_S + 20, exit=True)
    make_application()
    driver = Driver({"label": label, "install": install, "use": use}[mode])
    QTimer.singleShot(0, driver.start)
    return main(["open", folder, "--model", model, "--device", "cpu"])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
