"""COCO into the open project: the report beside the work, and masks from the model for what came as boxes."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from annotator.domain.project import Status
from annotator.ui.dialogs.work_dialog import WorkDialog

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
SIZE = {"width": 160, "height": 120}
CTRL = Qt.KeyboardModifier.ControlModifier


def write(desk, rows, *, images=("0.png", "1.png"), classes=("cell", "nucleus")):
    data = {
        "images": [{"id": n, "file_name": name, **SIZE} for n, name in enumerate(images, start=1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, start=1)],
        "annotations": [{"id": n, "category_id": 1, **row} for n, row in enumerate(rows, start=1)],
    }
    path = desk.root / "objects.json"
    path.write_text(json.dumps(data))
    return path


def box(x, y, *, image=1, category=1):
    return {"image_id": image, "category_id": category, "bbox": [x - 12, y - 12, 24, 24]}


SQUARE = {"image_id": 1, "segmentation": [[10, 10, 40, 10, 40, 40, 10, 40]]}


def run_import(desk, path) -> WorkDialog:
    desk.program.files.import_path(path)
    desk.until(lambda: desk.window.findChild(WorkDialog) is not None)
    dialog = desk.window.findChild(WorkDialog)
    desk.until(lambda: not dialog.is_running)
    return dialog


def ask_button(dialog) -> QPushButton | None:
    return dialog.findChild(QPushButton, "ask_model")


def test_the_project_is_in_view_while_the_report_is_read(desk) -> None:
    desk.open()
    dialog = run_import(desk, write(desk, [SQUARE]))
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert "1 object on 2 images" in dialog.report.toPlainText()
    assert ask_button(dialog) is None
    desk.until(lambda: desk.shown_row() == 0)
    desk.accept_at(100, 80)
    dialog.close()
    desk.qtbot.waitUntil(lambda: desk.window.findChild(WorkDialog) is None)
    assert len(desk.session.annotations) == 2, "closing the report does not open the project again"


def test_boxes_become_masks_in_one_step(desk) -> None:
    desk.open()
    places = ((30, 30, 1), (100, 80, 1), (60, 60, 2))
    rows = [box(x, y, image=image, category=2) for x, y, image in places]
    dialog = run_import(desk, write(desk, [*rows, SQUARE]))
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    button = ask_button(dialog)
    assert button.text() == "Ask the model for 3 masks"
    assert "3 boxes have no masks" in dialog.report.toPlainText()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 3)
    work = desk.window.findChild(WorkDialog)
    assert "3 masks made" in work.report.toPlainText()
    work.close()
    made = [row for row in desk.session.store.all_annotations() if row.clicks]
    names = {category.id: category.name for category in desk.session.categories.values()}
    assert [names[row.category_id] for row in made] == ["nucleus"] * 3
    for row, (x, y, image) in zip(made, places, strict=True):
        assert row.image_id == image
        assert row.mask().contains(x, y)
        assert row.prompts["box"]
        assert row.model
        assert row.score is not None
    assert desk.session.store.image(2).status is Status.IN_PROGRESS
    assert desk.session.store.undo_name == "masks of 3 boxes"
    desk.until(lambda: desk.shown_row() == 0)
    desk.key(Qt.Key.Key_Z, CTRL)
    desk.until(lambda: len(list(desk.session.store.all_annotations())) == 1)


def test_only_boxes_change_nothing_until_the_model_is_asked(desk) -> None:
    """No class without an object; the class comes with the masks."""
    desk.open()
    dialog = run_import(desk, write(desk, [box(30, 30)]))
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    assert [c.name for c in desk.session.categories.values()] == ["object"]
    assert not desk.session.can_undo
    QTest.mouseClick(ask_button(dialog), Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    assert [c.name for c in desk.session.categories.values()] == ["object", "cell"]
    desk.window.findChild(WorkDialog).close()


def test_boxes_that_have_their_masks_are_not_asked_for_again(desk) -> None:
    desk.open()
    dialog = run_import(desk, write(desk, [box(30, 30)]))
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    QTest.mouseClick(ask_button(dialog), Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    desk.window.findChild(WorkDialog).close()
    desk.until(lambda: desk.window.findChild(WorkDialog) is None)
    again = run_import(desk, write(desk, [box(30, 30), box(100, 80)]))
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    assert ask_button(again).text() == "Ask the model for 1 mask"
    again.close()


def test_asking_can_be_stopped_and_leaves_nothing(desk) -> None:
    desk.open()
    dialog = run_import(desk, write(desk, [box(30, 30), box(100, 80)]))
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    desk.engine.hold()
    QTest.mouseClick(ask_button(dialog), Qt.MouseButton.LeftButton)
    desk.until(lambda: any(d.is_running for d in desk.window.findChildren(WorkDialog)))
    (work,) = [d for d in desk.window.findChildren(WorkDialog) if d.is_running]
    QTest.mouseClick(work.close_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: not work.is_running)
    desk.engine.let_go()
    assert "Stopped" in work.report.toPlainText()
    work.close()
    assert desk.session.annotations == ()
    desk.accept_at(60, 60)


def test_images_that_are_gone_are_counted_and_the_others_asked(desk) -> None:
    desk.open()
    dialog = run_import(desk, write(desk, [box(30, 30), box(60, 60, image=2), box(30, 30, image=2)]))
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    (desk.folder / "1.png").unlink()
    QTest.mouseClick(ask_button(dialog), Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    work = desk.window.findChild(WorkDialog)
    assert "1 mask made" in work.report.toPlainText()
    assert "the image cannot be read: 2 objects, such as 1.png, 1.png" in work.report.toPlainText()
    work.close()


@pytest.mark.parametrize("ending", ["close", "quit"])
def test_the_report_goes_with_the_window(desk, ending) -> None:
    desk.open()
    dialog = run_import(desk, write(desk, [SQUARE]))
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    if ending == "close":
        dialog.close()
    desk.close()
