"""Ellipse, lasso and live-wire by mouse and key: what they paint, take away, and leave when the machine is slow."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain import livewire
from annotator.domain.brush import Stroke, painted
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from tests.gui.shell import drag

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
EMPTY = Mask.empty(160, 120)
CENTRE, RADIUS_PX = (80.0, 60.0), 40.0


def on_the_rim(angle: float) -> tuple[float, float]:
    return CENTRE[0] + RADIUS_PX * math.cos(angle), CENTRE[1] + RADIUS_PX * math.sin(angle)


@pytest.fixture
def ellipse(desk):
    desk.open()
    desk.key(K.Key_I, SHIFT)
    assert desk.window.canvas.tool == "ellipse"
    return desk


@pytest.fixture
def lasso(desk):
    desk.open()
    desk.key(K.Key_P, SHIFT)
    assert desk.window.canvas.tool == "lasso"
    return desk


@pytest.fixture
def wire(desk):
    """An image with a bright disc, and the live-wire in the hand."""
    y, x = np.mgrid[:120, :160] + 0.5
    grey = np.where(np.hypot(x - CENTRE[0], y - CENTRE[1]) < RADIUS_PX, 210, 50).astype(np.uint8)
    folder = desk.root / "disc"
    folder.mkdir()
    Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2)).save(folder / "0.png")
    desk.open(folder=folder)
    desk.key(K.Key_Y, SHIFT)
    assert desk.window.canvas.tool == "live-wire"
    return desk


@pytest.fixture
def gate(monkeypatch):
    """Holds the search for edges until it is opened."""
    gate = threading.Event()
    build = livewire.EdgeMap.build

    def held(*args, **keywords):
        gate.wait(20)
        return build(*args, **keywords)

    monkeypatch.setattr(livewire.EdgeMap, "build", held)
    yield gate
    gate.set()


def test_a_drag_paints_an_ellipse_and_ctrl_a_circle(ellipse) -> None:
    drag(ellipse, (40.5, 30.5), (79.5, 59.5))
    assert ellipse.refine.state.mask.same_pixels(painted(EMPTY, (Stroke.ellipse(Box(40, 30, 80, 60)),)))
    drag(ellipse, (60.5, 40.5), (69.5, 43.5), modifier=SHIFT)
    assert not ellipse.refine.state.mask.contains(65, 42)
    ellipse.key(K.Key_Escape)
    viewport = ellipse.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, CONTROL, ellipse._at(40.5, 30.5))
    event_at = ellipse._at(59.5, 33.5)
    QTest.mouseMove(viewport, event_at)
    with_keys(ellipse, CONTROL, event_at)
    QTest.mouseRelease(viewport, LEFT, CONTROL, event_at)
    _, _, width, height = ellipse.refine.state.mask.bbox_xywh
    assert width == height == 20


def with_keys(desk, keys, at) -> None:
    """A move of the mouse while keys are held: QTest tells none."""
    from PySide6.QtCore import QEvent, QPointF
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    where = QPointF(at)
    event = QMouseEvent(QEvent.Type.MouseMove, where, where, Qt.MouseButton.NoButton, LEFT, keys)
    QApplication.sendEvent(desk.window.canvas.viewport(), event)


def test_a_ring_of_the_lasso_is_filled_when_it_is_let_go(lasso) -> None:
    ring = [on_the_rim(a) for a in np.linspace(0, 1.9 * math.pi, 60)]
    drag(lasso, *ring)
    mask = lasso.refine.state.mask
    assert abs(mask.area / (math.pi * RADIUS_PX**2) - 1) < 0.03
    inner = [(80 + 10 * math.cos(a), 60 + 10 * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 30)]
    drag(lasso, *inner, button=RIGHT)
    assert not lasso.refine.state.mask.contains(80, 60)
    lasso.key(K.Key_Z, CONTROL)
    assert lasso.refine.state.mask.same_pixels(mask)


def test_a_click_with_the_lasso_paints_nothing_and_space_draws(lasso) -> None:
    lasso.click(60, 60)
    assert not lasso.window.canvas.has_gesture
    assert not lasso.refine.state.is_active
    canvas = lasso.window.canvas
    QTest.keyClick(canvas, K.Key_Right)
    QTest.keyPress(canvas, K.Key_Space)
    for key in (K.Key_Right, K.Key_Down, K.Key_Left):
        for _ in range(2):
            QTest.keyClick(canvas, key, SHIFT)
    QTest.keyRelease(canvas, K.Key_Space)
    assert lasso.refine.state.mask.area == 400


def found_edges(desk) -> bool:
    return all(link.map is not None for link in desk.window.canvas.tool_in_hand._links)


def off_the_disc(desk) -> int:
    y, x = np.mgrid[:120, :160] + 0.5
    return int((desk.refine.state.mask.full() ^ (np.hypot(x - CENTRE[0], y - CENTRE[1]) < RADIUS_PX)).sum())


def test_the_outline_follows_the_edge_from_click_to_click(wire) -> None:
    for angle in (0.2, 2.2, 4.2):
        wire.click(*on_the_rim(angle))
        wire.until(lambda: found_edges(wire))
    QTest.mouseMove(wire.window.canvas.viewport(), wire._at(*on_the_rim(5.5)))
    wire.key(K.Key_Return)
    assert off_the_disc(wire) < 0.05 * math.pi * RADIUS_PX**2


def test_clicks_that_are_faster_than_the_search_get_their_edges_later(wire, gate) -> None:
    for angle in (0.2, 2.2, 4.2):
        wire.click(*on_the_rim(angle))
    wire.key(K.Key_Return)
    tool = wire.window.canvas.tool_in_hand
    assert tool.is_open, "it waits for the edge"
    assert len(tool.corners) == 3
    gate.set()
    wire.until(lambda: wire.refine.state.is_active)
    assert off_the_disc(wire) < 0.05 * math.pi * RADIUS_PX**2


def test_backspace_takes_a_way_back_and_escape_forgets_the_search(wire, gate) -> None:
    for angle in (0.2, 2.2, 4.2):
        wire.click(*on_the_rim(angle))
    wire.key(K.Key_Backspace)
    gate.set()
    wire.until(lambda: found_edges(wire))
    tool = wire.window.canvas.tool_in_hand
    assert len(tool.parts) == 2
    assert len(tool.parts[1].way) > 2
    wire.key(K.Key_Escape)
    assert not tool.is_open
    assert not wire.refine.state.is_active


def test_another_image_in_the_middle_of_the_search_keeps_what_was_clicked(wire, gate) -> None:
    for angle in (0.2, 2.2, 4.2):
        wire.click(*on_the_rim(angle))
    wire.window.canvas.set_tool("click")
    gate.set()
    assert len(wire.refine.state.prompts.strokes[-1].path) == 3
