"""Sizes in the window: of tracks in their rows, and of what is selected or in work in the status line."""

from __future__ import annotations

import math
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.io.project.store import ProjectStore
from annotator.ui.panels.list_models import DETAIL_ROLE
from tests.unit.io.volume_builders import OBLIQUE, SPACING, STEP_MM, block, label, write_series

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
PER_PIXEL = SPACING[0] * SPACING[1]


def details(desk: Any) -> list[str]:
    model = desk.window.objects.model
    return [model.index(row).data(DETAIL_ROLE) for row in range(len(model.rows))]


def test_an_object_of_a_track_says_its_size_in_space(desk: Any) -> None:
    write_series(desk.root / "ct" / "s", orientation=OBLIQUE, tilt_deg=40)
    with ProjectStore.open_folder(desk.root / "ct") as store:
        for position in (1, 4):
            label(store, position, block(3, 3, 2, 2), track_id=5)
        label(store, 4, block(18, 3, 4, 4))
    desk.open(folder=desk.root / "ct", first_row=3)
    desk.key(Qt.Key.Key_D)
    desk.wait_image(4)
    desk.until(lambda: "mL" in details(desk)[0])
    down, right = SPACING
    lean = 3 * STEP_MM * math.tan(math.radians(40))
    diameter = math.hypot(2 * right, 2 * down + lean, 3 * STEP_MM)
    volume = 2 * 4 * PER_PIXEL * STEP_MM / 1000
    assert details(desk)[0].startswith(f"{volume:.3g} mL  ·  ⌀ {diameter:.3g} mm  ·  2 slices")
    assert "⌀" not in details(desk)[1]
    # The selected object, then both, then none.
    view, status = desk.window.objects.view, desk.window.status
    rows = [view.visualRect(desk.window.objects.model.index(row)).center() for row in range(2)]
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, rows[0])
    area, longest = f"{4 * PER_PIXEL:.3g} mm²", f"⌀ {math.hypot(2 * right, 2 * down):.3g} mm"
    desk.until(lambda: status.extent.text().startswith(f"{area}  ·  {longest}  ·  track 5: "))
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, rows[1])
    desk.until(lambda: status.extent.text() == f"2 objects  ·  {20 * PER_PIXEL:.3g} mm²")
    # A change of the track on this slice is measured anew, and what is in work goes before what is selected.
    desk.window.objects.select_ids(frozenset())
    assert not status.extent.isVisible()
    desk.program.session.delete([desk.session.annotations[0].id])
    desk.until(lambda: len(details(desk)) == 1)
    desk.click(10, 12)
    desk.wait_mask(10, 12)
    desk.until(lambda: status.extent.text().endswith("mm") and "mm²" in status.extent.text())
    desk.key(Qt.Key.Key_Return)
    desk.until(lambda: not status.extent.isVisible())


def test_without_sizes_it_is_in_pixels(desk: Any) -> None:
    desk.open()
    desk.click(40, 40)
    desk.wait_mask(40, 40)
    desk.until(lambda: desk.window.status.extent.text().endswith(" px"))
    assert "px²" in desk.window.status.extent.text()
