"""Refining an object that is there: it is plain which one, what was said of it comes back, and a click changes what it
points at and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.mask import Mask
from annotator.domain.prompt import Prompts
from annotator.ui.canvas.overlays import SETTLED_OPACITY
from annotator.ui.panels.list_models import IS_CURRENT_ROLE

K = Qt.Key
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def two(desk):
    """Two accepted objects, by clicks at (40, 40) and (120, 80)."""
    desk.open()
    desk.accept_at(40, 40)
    desk.accept_at(120, 80)
    return desk


def hover(desk, x: float, y: float) -> None:
    QTest.mouseMove(desk.window.canvas.viewport(), desk._at(x, y))


@pytest.mark.parametrize("way", ["pointer", "selection", "double click"])
def test_a_bar_and_its_row_say_which_object_is_refined(two, way: str) -> None:
    desk, first = two, two.session.annotations[0]
    if way == "pointer":
        hover(desk, 40, 40)
        desk.key(K.Key_R)
    else:
        desk.key(K.Key_S)
        desk.click(40, 40)
        if way == "selection":
            desk.key(K.Key_R)
        else:
            QTest.mouseDClick(desk.window.canvas.viewport(), LEFT, NONE, desk._at(40, 40))
    bar, model = desk.window.area.refining, desk.window.objects.model
    assert desk.refine.state.origin_id == first.id
    assert bar.is_open
    assert bar.label.text() == "Refining object #1"
    assert [bool(model.index(row).data(IS_CURRENT_ROLE)) for row in (0, 1)] == [True, False]
    desk.key(K.Key_Escape)
    assert not bar.is_open
    assert not model.index(0).data(IS_CURRENT_ROLE)
    assert desk.session.annotations[0] == first, "it is as it was"


def test_beside_all_objects_it_is_said_what_to_do(two) -> None:
    hover(two, 5, 100)
    two.key(K.Key_R)
    assert "Point at an object" in two.window.status.message.text()
    assert not two.refine.state.is_active


def test_its_clicks_come_back_fainter_and_are_told_to_the_model_and_kept(two) -> None:
    desk = two
    hover(desk, 40, 40)
    desk.key(K.Key_R)
    items = desk.window.canvas._overlays._points
    assert [(item.point.x, item.opacity()) for item in items] == [(pytest.approx(40, abs=1), SETTLED_OPACITY)]
    assert not desk.refine.state.is_waiting, "nothing is asked before something is said"
    desk.click(47, 40)
    desk.wait_mask(47, 40)
    assert [item.opacity() for item in items] == [SETTLED_OPACITY, 1.0]
    asked = desk.engine.segmenter.decodes[-1].prompts
    assert len(asked.points) == 2
    assert asked.base_mask is not None
    desk.key(K.Key_Return)
    kept = Prompts.from_json(json.loads(json.dumps(desk.session.annotations[0].prompts)))
    assert len(kept.points) == 2
    hover(desk, 40, 40)
    desk.key(K.Key_R)
    assert len(desk.window.canvas._overlays._points) == 2


def test_a_click_adds_its_piece_and_leaves_everything_else(two) -> None:
    desk, before = two, two.session.annotations[0].mask()
    hover(desk, 40, 40)
    desk.key(K.Key_R)
    desk.click(90, 30)
    desk.wait_mask(90, 30)
    after = desk.refine.state.mask
    assert before.subtract(after).is_empty, "what was there stays"
    assert after.subtract(before).contains(90, 30)
    desk.key(K.Key_Z, CONTROL)
    assert desk.refine.state.mask.same_pixels(before)
    desk.key(K.Key_Y, CONTROL)
    desk.until(lambda: not desk.refine.state.is_waiting)
    assert desk.refine.state.mask.same_pixels(after)


def test_three_negative_clicks_leave_the_object(two) -> None:
    desk = two
    desk.key(K.Key_I)
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(60.5, 10.5))
    QTest.mouseMove(viewport, desk._at(99.5, 49.5))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(99.5, 49.5))
    desk.key(K.Key_Return)
    desk.key(K.Key_Q)
    hover(desk, 80, 30)
    desk.key(K.Key_R)
    before = desk.refine.state.mask
    for number, x in enumerate((65, 80, 95), start=1):
        desk.click(x, 46, button=RIGHT)
        desk.until(lambda: not desk.refine.state.is_waiting)
        assert len(desk.refine.state.prompts.points) == number
    after = desk.refine.state.mask
    assert after.area > 0.5 * before.area
    assert after.contains(80, 15)


def test_another_object_than_the_one_that_is_refined_stays_as_it_is(two) -> None:
    desk, second = two, two.session.annotations[1]
    hover(desk, 40, 40)
    desk.key(K.Key_R)
    desk.click(47, 40)
    desk.wait_mask(47, 40)
    desk.key(K.Key_Return)
    assert desk.session.annotations[1] == second


def test_an_imported_object_without_prompts_is_its_mask(two) -> None:
    desk = two
    full = np.zeros((120, 160), bool)
    full[60:80, 10:40] = True
    from dataclasses import replace

    from annotator.domain.project import accept_edit

    row = replace(desk.session.annotations[0], id=desk.session.store.new_id("annotation"), prompts={}, origin="import")
    desk.session.apply(accept_edit(row.with_mask(Mask.from_full(full)), desk.session.image))
    hover(desk, 20, 70)
    desk.key(K.Key_R)
    assert desk.refine.state.mask.same_pixels(Mask.from_full(full))
    assert desk.window.canvas._overlays._points == []


def test_a_refinement_survives_a_crash_with_the_clicks_of_before(two) -> None:
    desk = two
    hover(desk, 40, 40)
    desk.key(K.Key_R)
    desk.click(90, 30)
    desk.wait_mask(90, 30)
    mask = desk.refine.state.mask
    desk.crash()
    desk.open(folder=desk.folder)
    desk.wait_mask(90, 30)
    assert desk.refine.state.mask.same_pixels(mask)
    assert desk.refine.state.prompts.settled_count == 1
    assert desk.window.area.refining.is_open
