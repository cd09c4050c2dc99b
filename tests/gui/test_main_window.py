"""The whole window, driven by real mouse and key events, with a fake engine and a real project file."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
import threading

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QLineEdit

from annotator.domain.errors import ProjectError
from annotator.domain.project import Annotation, Status, status_edit
from annotator.io.images import trouble
from annotator.io.project.store import ProjectStore
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.labelling import canvas_objects
from annotator.ui.panels.list_models import ROW_ROLE

K = Qt.Key
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


def test_fifty_objects_by_click_and_key_without_a_dialog(desk, monkeypatch):
    def no_dialog(*_args):
        raise AssertionError("a dialog in the loop")

    for name in ("exec", "open", "show"):
        monkeypatch.setattr(QDialog, name, no_dialog)
    desk.open(images=5)
    desk.session.classes.add("cell")
    for image in range(5):
        for number in range(10):
            x, y = 14 + 15 * (number % 10), 20 + 18 * image
            desk.click(x, y)
            desk.wait_mask(x, y)
            if number % 2:
                desk.key(K.Key_1)
            else:
                desk.key(K.Key_2)
            desk.key(K.Key_Return)
        assert len(desk.session.annotations) == 10
        if image < 4:
            desk.key(K.Key_D)
            desk.wait_image(image + 1)
    assert QApplication.activeModalWidget() is None
    with ProjectStore.open(desk.session.store.path, read_only=True) as store:
        rows = list(store.all_annotations())
    assert len(rows) == 50
    assert sorted({row.category_id for row in rows}) == [1, 2]
    assert all(row.clicks == 1 and row.model == "fake" for row in rows)


def test_accept_while_the_answer_is_pending_takes_the_last_click(desk):
    desk.open()
    desk.engine.hold()
    desk.click(30, 30)
    desk.click(100, 60)
    desk.key(K.Key_Return)
    assert desk.session.annotations == ()
    desk.engine.let_go()
    desk.until(lambda: len(desk.session.annotations) == 1)
    assert desk.session.annotations[0].mask().contains(100, 60)
    assert len(desk.session.annotations[0].prompts["points"]) == 2


def test_the_next_image_gets_no_mask_of_the_last(desk):
    desk.open()
    desk.engine.hold()
    desk.click(30, 30)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.engine.let_go()
    desk.click(100, 60)
    desk.wait_mask(100, 60)
    assert not desk.refine.state.mask.contains(30, 30)
    desk.key(K.Key_Return)
    assert [a.image_id for a in desk.session.annotations] == [desk.session.images[1].id]
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert desk.session.annotations == ()


def test_undo_and_redo_across_prompts_and_document(desk):
    desk.open()
    desk.click(30, 30)
    desk.wait_mask(30, 30)
    desk.key(K.Key_Return)
    desk.click(60, 60)
    desk.click(64, 60)
    desk.wait_mask(64, 60)
    assert len(desk.refine.state.prompts.points) == 2
    desk.key(K.Key_Z, CTRL)
    assert len(desk.refine.state.prompts.points) == 1
    desk.key(K.Key_Z, CTRL)
    assert not desk.refine.state.is_active
    assert len(desk.session.annotations) == 1
    desk.key(K.Key_Z, CTRL)
    assert desk.session.annotations == ()
    desk.key(K.Key_Y, CTRL)
    desk.key(K.Key_Y, CTRL)
    desk.key(K.Key_Z, CTRL | SHIFT)
    desk.until(lambda: len(desk.session.annotations) == 1 or desk.refine.state.is_active)


def test_undo_of_another_image_shows_that_image(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.key(K.Key_Z, CTRL)
    desk.wait_image(0)
    assert desk.session.annotations == ()
    assert desk.window.film.view.currentIndex().row() == 0


def test_backspace_and_escape(desk):
    desk.open()
    desk.click(30, 30)
    desk.click(40, 30)
    desk.key(K.Key_Backspace)
    assert len(desk.refine.state.prompts.points) == 1
    desk.key(K.Key_Escape)
    assert not desk.refine.state.is_active
    assert desk.session.annotations == ()


def test_right_click_and_sign_key_remove(desk):
    desk.open()
    desk.click(30, 30)
    desk.click(36, 30, button=Qt.MouseButton.RightButton)
    desk.key(K.Key_T)
    desk.click(30, 36)
    desk.key(K.Key_T)
    desk.click(34, 34)
    assert [p.is_positive for p in desk.refine.state.prompts.points] == [True, False, False, True]


def test_a_box_is_dragged(desk):
    desk.open()
    desk.key(K.Key_B)
    desk.drag((20, 20), (70, 60))
    assert desk.refine.state.prompts.box is not None
    box = desk.refine.state.prompts.box
    assert (round(box.x0), round(box.y0), round(box.x1), round(box.y1)) == (20, 20, 70, 60)


def test_tab_switches_candidates_and_the_strip_follows(desk):
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    strip = desk.window.area.candidates
    assert strip.isVisible()
    first = desk.refine.state.candidate_index
    desk.key(K.Key_Tab)
    assert desk.refine.state.candidate_index == (first + 1) % 3
    assert desk.window.canvas.hasFocus()
    QTest.mouseClick(strip._buttons[0], Qt.MouseButton.LeftButton)
    assert desk.refine.state.candidate_index == 0
    assert desk.window.canvas.hasFocus()
    desk.click(66, 60)
    desk.until(lambda: not desk.refine.state.is_waiting)
    assert strip.isHidden()


def test_empty_done_and_next(desk):
    desk.open()
    desk.key(K.Key_X)
    assert desk.session.image.status is Status.EMPTY
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(1)
    assert desk.session.images[0].status is Status.EMPTY
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(2)
    assert desk.session.images[1].status is Status.DONE
    desk.until(lambda: desk.window.docks["images"].detail.text() == "3 / 3  ·  2 of 3 done")


def test_done_while_an_accept_waits_keeps_the_object(desk):
    desk.open()
    desk.engine.hold()
    desk.click(30, 30)
    desk.key(K.Key_Return)
    desk.key(K.Key_Return, CTRL)
    desk.engine.let_go()
    desk.wait_image(1)
    with ProjectStore.open(desk.session.store.path, read_only=True) as store:
        assert [a.image_id for a in store.all_annotations()] == [1]
        assert store.image(1).status is Status.DONE


def test_class_keys_and_search(desk):
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.add("cup")
    desk.key(K.Key_1)
    assert desk.session.category.name == "object"
    desk.key(K.Key_3)
    assert desk.session.category.name == "cup"
    assert desk.window.area.chip.accessibleName() == "Class in use: cup"
    desk.key(K.Key_C)
    finder = desk.window.area.finder
    assert finder.isVisible()
    QTest.keyClicks(finder.field, "cel")
    QTest.keyClick(finder.field, K.Key_Return)
    assert desk.session.category.name == "cell"
    assert desk.window.canvas.hasFocus()
    desk.key(K.Key_7)
    assert "No class has the key 7" in desk.window.status.message.text()


def test_the_class_search_gives_selected_objects_the_class(desk):
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    first = desk.accept_at(30, 30)
    desk.accept_at(90, 60)
    desk.window.objects.select_ids(frozenset({first.id}))
    desk.key(K.Key_C)
    QTest.keyClicks(desk.window.area.finder.field, "cel")
    QTest.keyClick(desk.window.area.finder.field, K.Key_Return)
    assert [a.category_id for a in desk.session.annotations] == [2, 1]
    assert desk.session.category.id == 1


def test_facts_in_the_status_bar_stand_still_while_the_cursor_moves(desk):
    desk.open()
    desk.accept_at(60, 60)
    status, places = desk.window.status, set()
    for x, y in ((1, 1), (150, 100), (20, 7), (-5, -5)):
        QTest.mouseMove(desk.window.canvas.viewport(), desk._at(x, y))
        desk.qtbot.wait(5)
        places.add((status.engine.x(), status.decode.x(), status.zoom.x()))
    assert len(places) == 1


def test_objects_are_selected_reclassed_and_deleted(desk):
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    desk.accept_at(30, 30)
    desk.accept_at(90, 60)
    desk.key(K.Key_S)
    desk.click(90, 60)
    ids = [a.id for a in desk.session.annotations]
    assert desk.window.objects.selected_ids() == {ids[1]}
    desk.key(K.Key_2)
    assert [a.category_id for a in desk.session.annotations] == [1, 2]
    assert desk.session.category.id == 1
    desk.key(K.Key_Delete)
    assert [a.id for a in desk.session.annotations] == [ids[0]]
    view = desk.window.objects.view
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(view.model().index(0, 0)).center())
    QTest.keyClick(view, K.Key_Delete)
    assert desk.session.annotations == ()


def test_an_accepted_object_is_refined_and_keeps_its_id(desk):
    desk.open()
    first = desk.accept_at(60, 60)
    view = desk.window.objects.view
    at = view.visualRect(view.model().index(0, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert desk.refine.state.origin_id == first.id
    desk.click(80, 60)
    desk.wait_mask(80, 60)
    desk.key(K.Key_Return)
    assert [a.id for a in desk.session.annotations] == [first.id]
    assert desk.session.annotations[0].origin == "refine"
    desk.key(K.Key_Z, CTRL)
    assert desk.session.annotations[0].rle == first.rle


def test_typing_a_class_name_triggers_no_tool(desk):
    desk.open()
    desk.accept_at(30, 30)
    desk.window.classes.edit_name(1)
    editor = desk.window.classes.view.findChild(QLineEdit)
    QTest.keyClicks(editor, "dax 12z")
    QTest.keyClick(editor, K.Key_Backspace)
    QTest.keyClick(editor, K.Key_Return)
    desk.until(lambda: desk.session.category.name.endswith("dax 12"))
    assert desk.session.image.path == "0.png"
    assert len(desk.session.annotations) == 1
    assert desk.session.image.status is Status.IN_PROGRESS


def test_a_full_disk_keeps_the_candidate_and_can_be_tried_again(desk, monkeypatch):
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    real = ProjectStore.apply

    def full(self, edit, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    monkeypatch.setattr(ProjectStore, "apply", full)
    desk.key(K.Key_Return)
    bar = desk.window.area.error_bar
    assert bar.text == "The disk is full. Make room."
    assert desk.refine.state.mask is not None
    assert desk.refine.state.mask.contains(60, 60)
    assert desk.session.annotations == ()
    monkeypatch.setattr(ProjectStore, "apply", real)
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    assert len(desk.session.annotations) == 1
    assert bar.text == ""


def test_a_read_only_project_shows_and_changes_nothing(desk):
    folder = desk.make_folder()
    with ProjectStore.open_folder(folder):
        desk.open(folder=folder)
        assert "read-only" in desk.window.area.error_bar.text
        desk.click(60, 60)
        desk.key(K.Key_Return)
        desk.key(K.Key_X)
        assert not desk.refine.state.is_active
        assert desk.session.image.status is Status.UNSEEN
        assert not desk.window.actions_by_id["tool_click"].isEnabled()
        desk.key(K.Key_D)
        desk.wait_image(1)


def test_a_damaged_image_is_told_and_skipped(desk):
    folder = desk.make_folder()
    (folder / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    desk.open(folder=folder)
    desk.key(K.Key_D)
    desk.until(lambda: desk.window.area.error_bar.text != "")
    assert "1.png" in desk.window.area.error_bar.text
    desk.click(60, 60)
    assert not desk.refine.state.is_active
    QTest.mouseClick(desk.window.area.error_bar.button, Qt.MouseButton.LeftButton)
    desk.wait_image(2)
    desk.accept_at(60, 60)


def test_the_object_in_work_survives_a_crash(desk):
    desk.open()
    desk.click(60, 60)
    desk.click(70, 60)
    desk.wait_mask(70, 60)
    folder = desk.folder
    desk.crash()
    desk.open(folder=folder)
    desk.wait_mask(70, 60)
    assert len(desk.refine.state.prompts.points) == 2
    assert "back" in desk.window.status.message.text()
    desk.key(K.Key_Return)
    assert len(desk.session.annotations) == 1


def test_the_object_in_work_waits_on_its_image(desk):
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert not desk.refine.state.is_active
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.wait_mask(60, 60)


def test_a_loaded_neighbour_is_shown_at_once(desk):
    desk.open()
    desk.until(lambda: desk.loader.cached(desk.session.images[1].id) is not None)
    QTest.keyClick(desk.window.canvas, K.Key_D)  # nothing else is handled meanwhile: no answer of a thread arrives
    assert desk.shown_row() == 1


def test_panels_hide_by_key_and_are_remembered(desk):
    desk.open()
    desk.key(K.Key_O)
    desk.key(K.Key_M)
    assert desk.window.hidden_panels() == ["objects", "images"]
    desk.window.resize(1200, 700)
    folder = desk.folder
    desk.close()
    desk.open(folder=folder)
    assert desk.window.hidden_panels() == ["objects", "images"]
    # The off-screen display is 800 pixels wide, and a window is brought back inside its display.
    assert desk.window.height() == 700
    desk.key(K.Key_O)
    assert desk.window.hidden_panels() == ["images"]


def test_the_hint_goes_after_the_first_accept(desk):
    desk.open()
    assert desk.window.area.hint.isVisible()
    desk.accept_at(60, 60)
    assert desk.window.area.hint.isHidden()
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert desk.window.area.hint.isHidden()
    folder = desk.folder
    desk.close()
    desk.open(folder=folder, first_row=1)
    assert desk.window.area.hint.isHidden()


def test_an_empty_window_has_two_buttons(desk, monkeypatch, tmp_path):
    desk.build()
    area = desk.window.area
    assert area.stack.currentWidget() is area.empty
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_a, **_k: tmp_path)
    QTest.mouseClick(area.empty.samples_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.shown_row() == 0)
    assert len(desk.session.images) >= 10


def test_a_folder_can_be_dropped(desk):
    desk.build()
    folder = desk.make_folder()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder / "1.png"))])
    rest = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    target = desk.window.area.empty
    place = target.mapTo(desk.window, QPoint(50, 50))
    entered = QDragEnterEvent(place, *rest)
    QApplication.sendEvent(desk.window, entered)
    assert entered.isAccepted()
    event = QDropEvent(QPointF(place), *rest)
    QApplication.sendEvent(desk.window, event)
    desk.until(lambda: desk.shown_row() == 0)


def test_clicks_before_the_model_is_loaded_are_answered(desk):
    desk.engine.hold_load()
    desk.open(wait_ready=False)
    assert "torch" not in desk.window.status.engine.text()
    desk.click(60, 60)
    assert len(desk.refine.state.prompts.points) == 1
    desk.until(desk.window.area.busy.isVisible)
    desk.engine.let_load()
    desk.wait_mask(60, 60)
    assert "fake" in desk.window.status.engine.text()


def test_a_model_that_cannot_be_loaded_is_told(desk):
    desk.engine.load_error = "The model fake is missing."
    desk.open(wait_ready=False)
    desk.until(lambda: "The model fake is missing." in desk.window.area.error_bar.text)


def test_a_slow_opening_does_not_hide_for_good_that_the_model_is_missing(desk):
    desk.engine.load_error = "The model fake is missing."
    desk.build()
    bar = desk.window.area.error_bar
    desk.until(lambda: "The model fake is missing." in bar.text)
    switch = desk.program.files._switch
    switch.open(desk.make_folder())
    switch._tell_slow()
    assert bar.text.startswith("Looking through pictures…")
    desk.until(lambda: desk.shown_row() == 0)
    assert "The model fake is missing." in bar.text


def test_settings_are_applied_at_once(desk):
    desk.open()
    dialog = desk.program.files.show_settings()
    dialog.editors["theme"].setCurrentText("light")
    assert desk.window.theme.tokens.name == "light"
    dialog.editors["keymap"].setCurrentText("isat")
    dialog.close()
    assert desk.window.theme.tokens.name == "light"
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_E)
    assert len(desk.session.annotations) == 1


def test_import_and_export_through_the_menu(desk, tmp_path):
    desk.open()
    desk.accept_at(60, 60)
    desk.program.files.export()
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    dialog = desk.window.findChild(ExportDialog)
    with desk.qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    exported = desk.folder / "pictures-coco.json"
    assert exported.is_file()
    dialog.close()
    desk.key(K.Key_A, CTRL)
    desk.key(K.Key_Delete)
    assert desk.session.annotations == ()
    desk.program.files.import_path(exported)
    work = desk.window.findChild(WorkDialog)
    desk.until(lambda: not work.is_running)
    work.close()
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    assert desk.session.is_writable


def test_closing_ends_the_threads(desk):
    desk.open()
    desk.engine.hold()
    desk.click(60, 60)
    desk.engine.let_go()
    client = desk.client
    desk.close()
    assert not client.is_running


def test_the_window_opens_without_torch():
    code = """
import sys
from PySide6.QtWidgets import QApplication
from annotator.ui import app
from annotator.io.settings import Settings
from pathlib import Path
import tempfile
application = app.make_application()
settings = Settings.load(Path(tempfile.mkdtemp()) / "settings.toml")
program = app.build_program(settings, app.default_factory("", config=None, device=None, settings=settings))
program.window.show()
heavy = {"torch", "sam2", "torchvision", "scipy", "skimage"} & set(sys.modules)
print("HEAVY", sorted(heavy))
import os
os._exit(1 if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_title_names_the_image_and_its_folder(desk):
    desk.open()
    desk.until(lambda: desk.window.windowTitle() == "0.png – pictures – Annotator")
    desk.key(K.Key_D)
    desk.until(lambda: desk.window.windowTitle() == "1.png – pictures – Annotator")
    assert desk.window.docks["images"].detail.text().startswith("2 / 3")


def test_the_film_strip_is_searched_and_filtered(desk):
    desk.open(images=6)
    film, field, choice = desk.window.film, desk.window.film.filter.field, desk.window.film.filter.choice

    def shown():
        return [film.model.index(row).data(ROW_ROLE).id - 1 for row in range(film.model.rowCount())]

    field.setFocus()
    QTest.keyClicks(field, "4")
    assert shown() == [0, 4], "the open image stays in sight"
    assert "2 shown" in desk.window.docks["images"].detail.text()
    QTest.mouseClick(
        film.view.viewport(), Qt.MouseButton.LeftButton, pos=film.view.visualRect(film.model.index(1)).center()
    )
    desk.wait_image(4)
    assert shown() == [4]
    field.setFocus()
    QTest.keyClick(field, K.Key_Escape)
    assert field.text() == ""
    assert shown() == [*range(6)]
    # A status that changes changes what is shown.
    choice.setFocus()
    QTest.keyClick(choice, K.Key_Down)
    assert choice.currentText() == "Unseen"
    desk.window.canvas.setFocus()
    desk.key(K.Key_X)
    assert shown() == [*range(6)], "it is open"
    desk.key(K.Key_D)
    desk.wait_image(5)
    assert shown() == [0, 1, 2, 3, 5]
    desk.program.files.open_path(desk.make_other_folder())
    desk.until(lambda: desk.session.store.image_root.name == "other")
    assert choice.currentIndex() == 0
    assert film.model.rowCount() == len(desk.session.images)


def test_next_and_previous_keep_to_the_images_that_are_shown(desk):
    desk.open(images=6)
    film, status = desk.window.film, desk.window.status.message
    film.filter.choice.setCurrentText("Unseen")
    desk.until(lambda: "keep to the images that are shown" in status.text())
    desk.session.apply(status_edit(desk.session.images[1], Status.DONE))
    desk.session.apply(status_edit(desk.session.images[5], Status.DONE))
    desk.window.canvas.setFocus()
    desk.key(K.Key_D)
    desk.wait_image(2)
    desk.key(K.Key_Return, Qt.KeyboardModifier.ControlModifier)
    desk.wait_image(3)
    desk.key(K.Key_A)
    desk.wait_image(0)
    desk.key(K.Key_D, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    desk.wait_image(3)
    desk.key(K.Key_D)
    desk.wait_image(4)
    desk.key(K.Key_D)
    desk.until(lambda: status.text() == "This is the last image that the film strip's filter shows.")
    # A hidden strip filters nothing.
    desk.window.show_panel("images", False)
    desk.key(K.Key_D)
    desk.wait_image(5)


def test_the_film_strip_shows_images_with_a_draft(desk):
    desk.open(images=4)
    film = desk.window.film
    desk.click(40, 40)
    desk.wait_mask(40, 40)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.until(lambda: desk.session.drafts.counts == {1: 1})
    film.filter.choice.setCurrentText("With draft")
    assert [film.model.index(row).data(ROW_ROLE).id for row in range(film.model.rowCount())] == [1, 2], "2 is open"
    desk.key(K.Key_D)
    desk.until(lambda: "last image that" in desk.window.status.message.text())
    desk.key(K.Key_A)
    desk.wait_image(0)
    assert film.model.rowCount() == 1
    desk.wait_mask(40, 40)
    desk.key(K.Key_Return)
    desk.until(lambda: not desk.session.drafts.counts)
    assert film.model.rowCount() == 1, "it is open"


def test_a_thumbnail_that_is_missing_says_why(desk):
    folder = desk.make_folder(images=4)
    (folder / "1.png").write_bytes(b"no picture")
    trouble.remember(str(folder / "2.png"), "thumbnail", trouble.CRASHED)
    with ProjectStore.open_folder(folder) as store:
        path = store.path
    with sqlite3.connect(path) as project:
        project.execute("UPDATE image SET path = '../3.png' WHERE id = 4")
    project.close()
    desk.open(folder=folder)
    model = desk.window.film.model

    def tip(row):
        return model.index(row).data(Qt.ItemDataRole.ToolTipRole)

    desk.until(lambda: "\n" in tip(1))
    desk.until(lambda: "ended the process that reads images" in tip(2))
    assert "\n" not in tip(0)
    desk.until(lambda: "leaves the image folder" in tip(3))


def test_an_accepted_mask_is_not_decoded_to_be_shown(desk, monkeypatch):
    """It is known already; one that an edit brings back is decoded."""
    desk.open()
    decoded = []
    plain = canvas_objects.sound_mask
    monkeypatch.setattr(canvas_objects, "sound_mask", lambda row: (decoded.append(row.id), plain(row))[1])
    made = desk.accept_at(60, 50)
    assert made.id in desk.window.canvas._layer.ids
    assert decoded == []
    desk.session.undo()
    assert made.id not in desk.window.canvas._layer.ids
    desk.session.redo()
    assert made.id in desk.window.canvas._layer.ids
    assert decoded == [made.id]
    assert desk.window.canvas._layer._views[made.id].mask.same_pixels(made.mask())


def test_an_accept_looks_at_no_other_object(desk):
    """It costs the same among thousands: who follows a change asks for what has changed."""
    looks = []

    class Spied(Annotation):
        def __getattribute__(self, name):
            if threading.current_thread() is threading.main_thread():  # another one reads their masks
                looks.append(name)
            return super().__getattribute__(name)

    desk.open()
    made = desk.accept_at(60, 50)
    fields = {one.name: getattr(made, one.name) for one in dataclasses.fields(made)}
    session, others = desk.session, 390
    crowd = [Spied(**{**fields, "id": -1 - at}) for at in range(others)]
    session.annotations = (*reversed(crowd), made)
    desk.program.views._refresh_objects()
    desk.program.views.objects.show()
    desk.click(100, 80)
    desk.wait_mask(100, 80)
    looks.clear()
    desk.key(Qt.Key.Key_Return)
    assert len(session.annotations) == others + 2
    assert len(looks) < others, "a search by halves for each follower"


def test_what_is_not_there_any_more_is_cleared_once(desk, monkeypatch):
    """Taking a project and going to its first image left the picture before it again and again."""
    desk.open()
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    cleared = []
    canvas, plain = desk.window.canvas, desk.window.canvas.set_image
    monkeypatch.setattr(canvas, "set_image", lambda image, **how: (cleared.append(image is None), plain(image, **how)))
    desk.program.files.open_path(desk.make_other_folder())
    desk.until(lambda: len(desk.session.images) == 1 and desk.shown_row() == 0)
    assert cleared == [True, False]
    assert not desk.refine.state.is_active
    desk.accept_at(40, 40)
    desk.session.close()
    assert cleared == [True, False, True]
    assert not canvas.has_image
    assert not canvas._layer.ids
