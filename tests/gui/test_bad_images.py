"""Segment everything on images that show nothing, with the embedded model: it is said."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt

from annotator.engine.load import make_engine

K, M = Qt.Key, Qt.KeyboardModifier
pytestmark = pytest.mark.timeout(120)


def test_images_that_show_nothing_have_a_clear_line(desk, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(folder / "0-plain.png")
    Image.fromarray(np.full((1, 1, 3), 200, np.uint8)).save(folder / "1-dot.png")
    Image.fromarray(np.full((1, 70, 3), 40, np.uint8)).save(folder / "2-line.png")
    desk.engine.factory = lambda progress: make_engine(device="cpu", progress=progress)
    desk.open(folder=folder)
    for row in range(3):
        desk.until(lambda row=row: desk.shown_row() == row and desk.client.info is not None)
        own = desk.program.proposals.proposals
        desk.key(K.Key_E, M.ShiftModifier)
        desk.qtbot.waitUntil(lambda own=own: not own.search.is_running and not own._work.is_busy, timeout=60_000)
        desk.until(lambda: "Nothing was found here." in desk.window.status.message.text())
        assert desk.window.area.error_bar.isHidden()
        assert len(own.review.table) == 0
        desk.key(K.Key_D)
