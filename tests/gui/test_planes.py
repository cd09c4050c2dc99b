"""The Planes panel: three directions of a series with a linked cross-hair, masks, the window, and thick slabs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from annotator.io.project.store import ProjectStore
from annotator.ui.labelling.planes import Planes
from annotator.ui.panels.planes import PlaneView
from tests.unit.io.dicom_builders import write_slice
from tests.unit.io.volume_builders import block, label

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
COUNT, SIDE = 7, 24
CTRL_ALT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier


def grey(view: PlaneView, across: float, down: float) -> tuple[int, int, int]:
    """Of the cut, at shares of its width and height."""
    assert view.drawn is not None
    image = view.drawn.image
    return image.pixelColor(int(across * image.width()), int(down * image.height())).getRgb()[:3]


def press(view: PlaneView, across: float, down: float) -> None:
    frame = view.frame
    at = QPoint(round(frame.left() + across * frame.width()), round(frame.top() + down * frame.height()))
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


def test_a_series_is_seen_in_all_directions(desk: Any) -> None:
    folder = desk.root / "ct"
    for at in range(COUNT):
        pixels = np.full((SIDE, SIDE), 200)
        pixels[4:8, 4:8] = 700  # a rod along the stack, at the patient's right and front
        if at == 5:
            pixels[12:, 12:] = 1000
        write_slice(folder / f"{at}.dcm", pixels, number=at, position=(0, 0, 4.0 * at), PixelSpacing=[1.0, 1.0])
    with ProjectStore.open_folder(folder) as store:
        for at in (0, 1):
            label(store, at, block(14, 14, 6, 6, size=(SIDE, SIDE)), track_id=3)
    desk.open(folder=folder, first_row=3)
    window = desk.window
    panel, planes = window.panels["planes"], window.findChild(Planes)
    axial, coronal, sagittal = panel.views
    desk.key(Qt.Key.Key_P, CTRL_ALT)
    assert not window.docks["planes"].isHidden()
    desk.until(lambda: planes._stack is not None and planes._stack.is_filled.all() and sagittal.drawn is not None)
    assert [view.drawn.name for view in panel.views] == ["Axial", "Coronal", "Sagittal"]
    assert coronal.drawn.size == (SIDE * 1.0, COUNT * 4.0), "in true proportions"

    # The cross-hair is moved to the rod; the other views cut there.
    press(axial, 6 / SIDE, 6 / SIDE)
    desk.until(lambda: abs(coronal.drawn.shares[0] - 6.5 / SIDE) < 0.1)
    desk.until(lambda: grey(coronal, 6 / SIDE, 0.1)[0] > 150)
    assert grey(coronal, 0.7, 0.5)[0] < 80
    # A press in the coronal view goes to another slice: the head is above, so the first slice is the lowest.
    press(coronal, 16.5 / SIDE, 1 - 0.5 / COUNT)
    desk.wait_image(0)
    press(axial, 16.5 / SIDE, 16.5 / SIDE)
    desk.until(lambda: len(set(grey(coronal, 16.5 / SIDE, 1 - 1.5 / COUNT))) > 1)
    assert len(set(grey(coronal, 16.5 / SIDE, 1 - 2.5 / COUNT))) == 1, "its track ends there"
    # Keys: the plane above is the slice after, and the cross-hair moves with the arrows.
    coronal.setFocus()
    QTest.keyClick(coronal, Qt.Key.Key_Up)
    desk.wait_image(1)
    QTest.keyClick(axial, Qt.Key.Key_PageDown)
    desk.wait_image(2)
    # A slab of the whole stack shows what is brightest in it, and the window is that of the canvas.
    desk.until(lambda: grey(axial, 0.9, 0.9)[0] < 80)
    panel.thickness.setValue(30.0)
    desk.until(lambda: grey(axial, 0.9, 0.9)[0] > 230)
    panel.slab.setCurrentIndex(2)
    desk.until(lambda: grey(axial, 0.9, 0.9)[0] < 80)
    desk.program.greys.invert()
    desk.until(lambda: grey(axial, 0.9, 0.9)[0] > 150)
    # Behind another panel it is not drawn, however many slices pass.
    window.show_panel("window", True)
    desk.until(lambda: not planes._is_seen)
    before = axial.drawn
    desk.key(Qt.Key.Key_D)
    desk.wait_image(3)
    assert not planes._cutter.is_busy
    assert axial.drawn is before
    window.show_panel("planes", True)
    desk.until(lambda: axial.drawn is not before)
    # Nothing is kept for a panel that is not open.
    desk.key(Qt.Key.Key_P, CTRL_ALT)
    assert planes._stack is None
    assert axial.drawn is None
