"""What steps over thousands of objects at once cost the window: the longest that one turn holds the GUI thread.

Times are printed, because they belong to the machine; asserted is that every step is done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from tests.bench.test_many_files import Turns
from tests.bench.test_objects import OBJECTS, WINDOW_PX, desk, make_folder, settle
from tests.gui.shell import Desk

__all__ = ["desk"]

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(1800),
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]

K, CONTROL, SHIFT = Qt.Key, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def test_steps_over_all_objects(desk: Desk, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = make_folder(tmp_path, rng)
    Image.fromarray(rng.integers(0, 255, (100, 100, 3), np.uint8)).save(folder / "1.png")
    desk.build()
    desk.window.resize(*WINDOW_PX)
    desk.program.files.open_path(folder)
    session, layer, objects = desk.session, desk.window.canvas._layer, desk.program.views.objects
    marks, everything = desk.program.commands.marks, desk.window.objects
    desk.until(lambda: desk.client.info is not None and len(layer.ids) == OBJECTS)
    desk.window.canvas.setFocus()
    session.classes.add("cell")

    def is_calm() -> bool:
        return layer._tiles.is_complete and objects.is_complete and not session.large.is_busy

    def step(name: str, work: Callable[[], object], is_done: Callable[[], bool] = lambda: True) -> None:
        settle(0.3, is_calm)
        turns = Turns()
        turns.turn(work)
        for _ in range(3):
            turns.turn(QApplication.processEvents)
        turns.until(lambda: is_done() and is_calm())
        print(f"{name}: {turns}")

    def select_all() -> None:
        desk.key(K.Key_A, CONTROL)

    def has_class(category_id: int) -> Callable[[], bool]:
        return lambda: {row.category_id for row in session.annotations} == {category_id}

    print(f"\n### {OBJECTS} objects, window {WINDOW_PX[0]} x {WINDOW_PX[1]}\n")
    step("select all", select_all)
    step("change the class of all", lambda: desk.key(K.Key_2), has_class(2))
    step("undo of it", lambda: desk.key(K.Key_Z, CONTROL), has_class(1))
    step("colour of the class", lambda: session.classes.change(1, colour="#00ffff"))
    step("name of the class", lambda: session.classes.change(1, name="thing"))
    step("a colour for each", lambda: objects.set_own_colours(True))
    step("colours of classes", lambda: objects.set_own_colours(False))
    step("select none", lambda: everything.select_ids(frozenset()))
    step("select all again", select_all)
    step("hide them", marks.hide)
    step("show all", marks.show_all)
    step("lock them", marks.lock)
    step("unlock them", marks.lock)
    step("next image", lambda: desk.key(K.Key_D), lambda: desk.shown_row() == 1)
    step("back", lambda: desk.key(K.Key_A), lambda: desk.shown_row() == 0 and len(layer.ids) == OBJECTS)
    select_all()
    step("copy", lambda: desk.key(K.Key_C, CONTROL))
    step("delete all", lambda: desk.key(K.Key_Delete), lambda: not session.annotations)
    step("undo of it", lambda: desk.key(K.Key_Z, CONTROL), lambda: len(session.annotations) == OBJECTS)
    step("redo of it", lambda: desk.key(K.Key_Z, CONTROL | SHIFT), lambda: not session.annotations)
    step("undo again", lambda: desk.key(K.Key_Z, CONTROL), lambda: len(session.annotations) == OBJECTS)
    step("mark the image empty", session.mark_empty, lambda: not session.annotations)
