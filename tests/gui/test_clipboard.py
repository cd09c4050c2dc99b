"""Objects copied, pasted, duplicated and moved: by keys, to the pixel, between images and as COCO text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from annotator.domain.mask import Mask
from annotator.ui.labelling.clipboard import DUPLICATE_STEP_PX, MIME_TYPE

K = Qt.Key
LEFT = Qt.MouseButton.LeftButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier


@pytest.fixture
def one(desk):
    """One accepted rectangle, selected."""
    desk.open()
    desk.key(K.Key_I)
    viewport = desk.window.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, desk._at(40.5, 30.5))
    QTest.mouseMove(viewport, desk._at(79.5, 59.5))
    QTest.mouseRelease(viewport, LEFT, NONE, desk._at(79.5, 59.5))
    desk.key(K.Key_Return)
    desk.key(K.Key_A, CONTROL)
    return desk


def boxes(desk) -> list[tuple[int, int, int, int]]:
    return [row.mask().bbox_xywh for row in desk.session.annotations]


def test_a_copy_is_pasted_on_another_image_and_undone(one) -> None:
    desk = one
    desk.key(K.Key_C, CONTROL)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_V, CONTROL)
    assert boxes(desk) == [(40, 30, 40, 30)]
    assert desk.window.objects.selected_ids() == {desk.session.annotations[0].id}
    desk.key(K.Key_Z, CONTROL)
    assert boxes(desk) == []


def test_a_copy_takes_the_runs_that_are_there(one, monkeypatch) -> None:
    """Made again for thousands of objects they took hundreds of milliseconds."""
    made = []
    plain = Mask.rle
    monkeypatch.setattr(Mask, "rle", lambda self: (made.append(self), plain(self))[1])
    one.key(K.Key_C, CONTROL)
    assert not made
    (row,) = one.session.annotations
    (copied,) = json.loads(QGuiApplication.clipboard().mimeData().text())["annotations"]
    assert copied["segmentation"]["counts"].encode() == plain(row.mask()) == row.rle
    assert (copied["bbox"], copied["area"]) == ([row.x, row.y, row.w, row.h], row.mask().area)


def test_the_clipboard_has_coco_text_that_another_window_reads(one) -> None:
    desk = one
    desk.key(K.Key_C, CONTROL)
    data = QGuiApplication.clipboard().mimeData()
    assert data.hasFormat(MIME_TYPE)
    coco = json.loads(data.text())
    assert coco["annotations"][0]["bbox"] == [40, 30, 40, 30]
    coco["categories"][0]["name"] = "elsewhere"
    QGuiApplication.clipboard().setText(json.dumps(coco))
    desk.key(K.Key_V, CONTROL)
    assert boxes(desk) == [(40, 30, 40, 30)] * 2
    names = {desk.session.categories[row.category_id].name for row in desk.session.annotations}
    assert names == {"object", "elsewhere"}, "a class that is not there is made"


@pytest.mark.parametrize("text", ["", "hello", "[]", '{"annotations": 5}', '{"annotations": [{"segmentation": 7}]}'])
def test_other_text_is_refused_with_a_sentence(one, text: str) -> None:
    QGuiApplication.clipboard().setText(text)
    one.key(K.Key_V, CONTROL)
    assert len(boxes(one)) == 1
    assert "clipboard" in one.window.status.message.text()


def test_cut_and_paste_moves_and_duplicate_lies_beside(one) -> None:
    desk = one
    desk.key(K.Key_D, CONTROL)
    step = DUPLICATE_STEP_PX
    assert boxes(desk) == [(40, 30, 40, 30), (40 + step, 30 + step, 40, 30)]
    desk.key(K.Key_X, CONTROL)
    assert len(boxes(desk)) == 1, "the duplicate was selected"
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_V, CONTROL)
    assert boxes(desk) == [(40 + step, 30 + step, 40, 30)]


def test_a_key_copies_to_the_next_image_before_it_was_ever_read(one) -> None:
    desk = one
    desk.key(K.Key_C, CONTROL | SHIFT)
    desk.wait_image(1)
    desk.until(lambda: len(desk.session.annotations) == 1)
    assert boxes(desk) == [(40, 30, 40, 30)]
    desk.key(K.Key_X, CONTROL | SHIFT)
    desk.wait_image(0)
    desk.until(lambda: len(desk.session.annotations) == 2)


def test_alt_and_arrow_keys_move_pixel_by_pixel_and_cut_at_the_border(one) -> None:
    desk = one
    desk.key(K.Key_Right, ALT)
    desk.key(K.Key_Down, ALT | SHIFT)
    assert boxes(desk) == [(41, 40, 40, 30)]
    for _ in range(5):
        desk.key(K.Key_Down, ALT | SHIFT)
    assert boxes(desk) == [(41, 90, 40, 30)]
    desk.key(K.Key_Down, ALT)
    assert boxes(desk) == [(41, 91, 40, 29)], "cut at the border"
    for _ in range(8):
        desk.key(K.Key_Z, CONTROL)
    assert boxes(desk) == [(40, 30, 40, 30)]


def test_pasted_as_prompts_the_box_asks_the_model(one) -> None:
    desk = one
    desk.key(K.Key_C, CONTROL)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_V, CONTROL | SHIFT)
    desk.until(lambda: desk.refine.state.mask is not None and not desk.refine.state.is_waiting)
    assert desk.refine.state.prompts.box.as_xyxy() == (40, 30, 80, 60)
    assert not desk.session.annotations


def test_several_pasted_as_prompts_are_asked_for_and_accepted(one) -> None:
    desk = one
    desk.key(K.Key_D, CONTROL)
    desk.key(K.Key_A, CONTROL)
    desk.key(K.Key_C, CONTROL)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_V, CONTROL | SHIFT)
    desk.until(lambda: len(desk.session.annotations) == 2)
    assert all(isinstance(row.mask(), Mask) and np.any(row.mask().bits) for row in desk.session.annotations)


def test_after_the_window_is_closed_the_clipboard_has_plain_text(one) -> None:
    one.key(K.Key_C, CONTROL)
    one.close()
    data = QGuiApplication.clipboard().mimeData()
    assert not data.hasFormat(MIME_TYPE), "an object of Python would end the process by a fault"
    assert json.loads(data.text())["annotations"]
