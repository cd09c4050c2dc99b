"""Review: J and K walk over the accepted objects, the least certain first; and the hint that nothing is there."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import QRectF, Qt

from annotator.domain.project import Status
from annotator.io.project.store import ProjectStore
from annotator.ui.labelling.views import NO_OBJECT

K = Qt.Key
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


def accept(desk, x, y, score):
    """An object with this predicted IoU, made as a person makes it."""
    desk.engine.segmenter.predicted_iou = score
    return desk.accept_at(x, y)


@pytest.fixture
def reviewing(desk):
    """Two objects on the first image, two on the second; the person is on the first. By certainty: 4, 1, 3, 2."""
    desk.open()
    accept(desk, 40, 40, 0.55)
    accept(desk, 120, 80, 0.92)
    desk.key(K.Key_D)
    desk.wait_image(1)
    accept(desk, 50, 60, 0.71)
    accept(desk, 110, 30, 0.31)
    desk.key(K.Key_A)
    desk.wait_image(0)
    return desk


def told(desk):
    return desk.window.status.message.text()


def selected(desk):
    return sorted(desk.window.objects.selected_ids())


def step(desk, key, expected):
    desk.key(key)
    desk.until(lambda: selected(desk) == [expected])


def test_j_walks_from_the_least_certain_to_the_most_over_all_images(reviewing):
    desk = reviewing
    step(desk, K.Key_J, 4)
    assert desk.shown_row() == 1
    assert told(desk).startswith("Review 1 of 4: predicted IoU 0.31. R refines it")
    for expected, row, score in ((1, 0, "0.55"), (3, 1, "0.71"), (2, 0, "0.92")):
        step(desk, K.Key_J, expected)
        assert desk.shown_row() == row
        assert f"predicted IoU {score}" in told(desk)
    desk.key(K.Key_J)
    assert "That was the most certain of 4 objects" in told(desk)
    step(desk, K.Key_J, 4)
    step(desk, K.Key_J, 1)
    step(desk, K.Key_K, 4)
    desk.key(K.Key_K)
    assert "That was the least certain of 4 objects" in told(desk)


def test_the_object_is_brought_before_the_eye(reviewing):
    desk = reviewing
    canvas = desk.window.canvas
    fitted = canvas.zoom
    step(desk, K.Key_J, 4)
    row = next(a for a in desk.session.annotations if a.id == 4)
    place = QRectF(canvas.image_to_view(row.x, row.y), canvas.image_to_view(row.x + row.w, row.y + row.h))
    assert canvas.zoom > fitted
    assert QRectF(canvas.viewport().rect()).contains(place)
    assert (place.center() - QRectF(canvas.viewport().rect()).center()).manhattanLength() < 3
    canvas.show_place(QRectF(0, 0, 150, 110))  # nearly all of the image: shown whole
    assert canvas.zoom == pytest.approx(fitted)


def test_what_was_told_goes_with_the_object(reviewing):
    desk = reviewing
    step(desk, K.Key_J, 4)
    step(desk, K.Key_J, 1)
    assert "predicted IoU" in told(desk)
    desk.key(K.Key_Escape)
    assert selected(desk) == []
    assert told(desk) == ""
    step(desk, K.Key_J, 3)
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert "predicted IoU" not in told(desk)
    assert selected(desk) == []


def test_r_refines_what_is_reviewed_and_the_walk_goes_on(reviewing):
    desk = reviewing
    step(desk, K.Key_J, 4)
    desk.key(K.Key_R)
    assert desk.refine.state.origin_id == 4
    desk.key(K.Key_J)  # not while an object is in work
    assert "current object" in told(desk)
    desk.engine.segmenter.predicted_iou = 0.97
    desk.click(114, 34)
    desk.wait_mask(114, 34)
    desk.key(K.Key_Return)
    desk.until(lambda: not desk.refine.state.is_active)
    assert next(a for a in desk.session.annotations if a.id == 4).score == pytest.approx(0.97)
    for expected in (1, 3, 2, 4):  # it is the most certain now
        step(desk, K.Key_J, expected)
    assert "Review 4 of 4: predicted IoU 0.97" in told(desk)


def test_what_is_deleted_or_comes_is_known_to_the_review(reviewing):
    desk = reviewing
    step(desk, K.Key_J, 4)
    desk.key(K.Key_Delete)
    step(desk, K.Key_J, 1)
    assert "Review 1 of 3" in told(desk)
    accept(desk, 90, 100, 0.6)
    step(desk, K.Key_J, 5)
    desk.key(K.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert selected(desk) == []
    step(desk, K.Key_J, 3)
    assert "Review 2 of 3" in told(desk)


def test_nothing_to_review(desk):
    desk.open()
    desk.key(K.Key_J)
    desk.until(lambda: "no accepted objects" in told(desk))
    accept(desk, 60, 50, 0.4)
    step(desk, K.Key_J, 1)


def test_another_project_has_an_order_of_its_own(reviewing, tmp_path):
    desk = reviewing
    step(desk, K.Key_J, 4)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.png", "b.png"):
        (other / name).write_bytes((desk.folder / "0.png").read_bytes())
    desk.program.files.open_path(other)
    desk.until(lambda: desk.session.store.image_root == other and desk.shown_row() == 0)
    accept(desk, 60, 50, 0.4)
    step(desk, K.Key_J, 1)
    assert "Review 1 of 1: predicted IoU 0.40" in told(desk)


def test_the_predicted_iou_is_kept_in_the_project_and_in_coco(reviewing, tmp_path):
    from annotator.cli import main

    desk = reviewing
    path = desk.session.store.path
    with ProjectStore.open(path, read_only=True) as store:
        assert {found.annotation_id: found.score for found in store.reviewed_objects()} == pytest.approx(
            {1: 0.55, 2: 0.92, 3: 0.71, 4: 0.31}
        )
    out = tmp_path / "coco.json"
    assert main(["export", str(path), "--out", str(out)]) == 0
    rows = json.loads(out.read_text(encoding="utf-8"))["annotations"]
    assert {row["id"]: row["attributes"]["score"] for row in rows} == pytest.approx(
        {1: 0.55, 2: 0.92, 3: 0.71, 4: 0.31}
    )


# --- the hint -------------------------------------------------------------------------------------------------------


def notice(desk):
    label = desk.window.area.notice
    return label.accessibleName() if label.isVisible() else ""


def test_a_click_beside_all_objects_gets_a_hint_and_can_be_accepted(desk):
    desk.open()
    desk.engine.segmenter.object_score = -4.0
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    assert notice(desk) == NO_OBJECT
    area = desk.window.area
    strip, hint = area.candidates.geometry(), area.notice.geometry()
    assert area.candidates.isVisible()
    assert not strip.intersects(hint)
    desk.key(K.Key_Return)  # a hint, not a refusal
    assert len(desk.session.annotations) == 1
    assert notice(desk) == ""


def test_the_hint_goes_with_the_next_click_and_with_the_object(desk):
    desk.open()
    desk.engine.segmenter.object_score = -4.0
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    desk.click(66, 54)
    assert notice(desk) == ""
    desk.wait_mask(66, 54)
    assert notice(desk) == ""
    desk.key(K.Key_Escape)
    desk.key(K.Key_B)
    desk.drag((30, 30), (70, 60))
    desk.wait_mask(50, 45)
    assert notice(desk) == NO_OBJECT
    desk.key(K.Key_Escape)
    assert notice(desk) == ""
    desk.drag((30, 30), (70, 60))
    desk.wait_mask(50, 45)
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert notice(desk) == ""


def test_a_click_on_an_object_gets_none(desk):
    desk.open()
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    assert notice(desk) == ""
    assert desk.session.image.status is Status.UNSEEN
