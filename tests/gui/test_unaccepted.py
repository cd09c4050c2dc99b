"""An object in work is never left behind unseen: done, export, closing and the film strip name it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QLabel

from annotator.domain.errors import ProjectError
from annotator.domain.project import Status
from annotator.io.project.store import ProjectStore
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.labelling.unaccepted import QUESTION
from annotator.ui.panels.list_models import DRAFTS_ROLE
from tests.gui.test_kept_drafts import begin, go, points

K = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


@pytest.fixture
def asked(desk):
    """Done and next was pressed with an object in work."""
    desk.open()
    begin(desk, 40, 40)
    desk.key(K.Key_Return, CTRL)
    assert desk.shown_row() == 0
    bar = desk.window.area.question
    assert (bar.isVisible(), bar.label.text()) == (True, QUESTION)
    assert desk.session.image.status is Status.UNSEEN
    assert desk.window.findChildren(QDialog) == []
    return desk


def status(desk, row: int) -> Status:
    return desk.session.images[row].status


def is_asking(desk) -> bool:
    return desk.window.area.question.isVisible()


def test_enter_accepts_and_goes_on(asked):
    asked.key(K.Key_Return)
    asked.wait_image(1)
    assert status(asked, 0) is Status.DONE
    assert len(asked.session.store.annotations(1)) == 1
    assert asked.session.drafts.counts == {}
    assert not is_asking(asked)


def test_backspace_drops_it_and_goes_on_and_undo_brings_it_back(asked):
    asked.key(K.Key_Backspace)
    asked.wait_image(1)
    assert status(asked, 0) is Status.DONE
    assert asked.session.store.annotations(1) == []
    assert asked.session.drafts.counts == {}
    asked.key(K.Key_Z, CTRL)
    asked.wait_image(0)
    assert status(asked, 0) is Status.UNSEEN
    asked.wait_mask(40, 40)
    assert points(asked) == [(40, 40)]


def test_esc_stays(asked):
    asked.key(K.Key_Escape)
    assert not is_asking(asked)
    assert points(asked) == [(40, 40)]
    assert (asked.shown_row(), status(asked, 0)) == (0, Status.UNSEEN)


@pytest.mark.parametrize(("number", "row"), [(0, 1), (1, 1), (2, 0)])
def test_the_buttons_say_their_keys_and_do_the_same(asked, number, row):
    buttons = asked.window.area.question.buttons
    assert [button.text() for button in buttons] == ["Accept and go on  (Enter)", "Drop it  (Backspace)", "Stay  (Esc)"]
    QTest.mouseClick(buttons[number], Qt.MouseButton.LeftButton)
    asked.wait_image(row)
    assert len(asked.session.store.annotations(1)) == (number == 0)
    assert not is_asking(asked)


def test_more_work_withdraws_the_question(asked):
    asked.click(44, 40)
    assert not is_asking(asked)
    asked.key(K.Key_Backspace)
    assert points(asked) == [(40, 40)]
    assert asked.shown_row() == 0


def test_asking_twice_is_asking_once_and_another_image_withdraws_it(asked):
    asked.key(K.Key_Return, CTRL)
    assert len(asked.window.area.question.buttons) == 3
    go(asked, 1)
    assert not is_asking(asked)
    asked.key(K.Key_Return, CTRL)
    asked.wait_image(2)
    assert [status(asked, row) for row in (0, 1)] == [Status.UNSEEN, Status.DONE]


def test_accepting_waits_for_the_mask_and_then_goes_on(desk):
    desk.open()
    desk.engine.hold()
    desk.click(40, 40)
    desk.key(K.Key_Return, CTRL)
    desk.key(K.Key_Return)
    assert desk.shown_row() == 0
    desk.engine.let_go()
    desk.wait_image(1)
    assert status(desk, 0) is Status.DONE
    assert len(desk.session.store.annotations(1)) == 1


def test_an_accept_that_the_disk_refuses_stays(asked, monkeypatch):
    def full(*_args, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    monkeypatch.setattr(ProjectStore, "apply", full)
    asked.key(K.Key_Return)
    assert points(asked) == [(40, 40)]
    assert (asked.shown_row(), status(asked, 0)) == (0, Status.UNSEEN)


def test_dropping_on_an_image_that_is_done_already_can_be_undone(desk):
    desk.open()
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(1)
    go(desk, 0)
    begin(desk, 40, 40)
    desk.key(K.Key_Return, CTRL)
    desk.key(K.Key_Backspace)
    desk.wait_image(1)
    assert (status(desk, 0), desk.session.drafts.counts) == (Status.DONE, {})
    desk.key(K.Key_Z, CTRL)
    desk.wait_image(0)
    desk.wait_mask(40, 40)
    assert status(desk, 0) is Status.DONE


def test_an_object_taken_up_without_a_change_is_no_question(desk):
    desk.open()
    made = desk.accept_at(40, 40)
    desk.program.commands.refine_object(made.id)
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(1)
    assert desk.session.store.annotations(1) == [made]


# --- the film strip, and what names the images -----------------------------------------------------------------------


def marks(desk) -> list[int]:
    model = desk.window.film.model
    return [model.index(row).data(DRAFTS_ROLE) for row in range(model.rowCount())]


def test_the_film_strip_marks_images_with_something_in_work(desk):
    desk.open()
    begin(desk, 40, 40)
    go(desk, 1)
    assert marks(desk) == [1, 0, 0]
    tip = desk.window.film.model.index(0).data(int(Qt.ItemDataRole.ToolTipRole))
    assert tip.endswith("unseen, 1 object not accepted")
    view = desk.window.film.view

    def picture(row: int):
        return view.grab(view.visualRect(desk.window.film.model.index(row))).toImage()

    marked = picture(0)
    go(desk, 0)
    desk.key(K.Key_Escape)
    assert marks(desk) == [0, 0, 0]
    go(desk, 1)
    assert picture(0) != marked
    desk.close()
    desk.open(folder=desk.folder, first_row=1)
    assert marks(desk) == [0, 0, 0]


def test_marks_are_there_when_a_project_is_opened(desk):
    desk.open()
    begin(desk, 40, 40)
    go(desk, 1)
    desk.close()
    desk.open(folder=desk.folder, first_row=1)
    assert marks(desk) == [1, 0, 0]


def test_the_end_of_the_images_names_what_is_not_accepted(desk):
    desk.open()
    begin(desk, 40, 40)
    go(desk, 1)
    desk.key(K.Key_Return, CTRL)
    desk.wait_image(2)
    desk.key(K.Key_Return, CTRL)
    told = desk.window.status.message.text()
    assert told == "This is the last image. 1 image holds 1 object that is not accepted: 0.png"


def test_the_export_dialog_names_what_is_not_accepted(desk):
    desk.open()
    begin(desk, 40, 40)
    go(desk, 1)
    begin(desk, 60, 60)
    desk.program.files.export()
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    dialog = desk.window.findChild(ExportDialog)
    assert "2 images hold 2 objects that are not accepted: 0.png, 1.png" in dialog.note.text()
    assert dialog.note.isVisible()
    dialog.close()


def test_an_export_with_nothing_in_work_names_nothing(desk):
    desk.open()
    desk.program.files.export()
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    dialog = desk.window.findChild(ExportDialog)
    assert not any("accepted" in label.text() for label in dialog.findChildren(QLabel))
    dialog.close()


# --- closing ------------------------------------------------------------------------------------------------------


def test_closing_keeps_what_is_in_work_and_says_so_once(desk):
    desk.knows_drafts_stay = False
    desk.open()
    begin(desk, 40, 40)
    assert not desk.window.close()
    assert desk.window.isVisible()
    told = desk.window.area.error_bar.text
    assert told.startswith("1 image holds 1 object that is not accepted: 0.png. Unaccepted objects stay")
    project = desk.session.store.path
    assert desk.window.close()
    with ProjectStore.open(project, read_only=True) as store:
        assert store.draft_counts() == {1: 1}
    desk.close()
    desk.open(folder=desk.folder)
    desk.wait_mask(40, 40)
    assert desk.window.close()


def test_closing_with_nothing_in_work_says_nothing(desk):
    desk.knows_drafts_stay = False
    desk.open()
    desk.accept_at(40, 40)
    assert desk.window.close()
    assert not desk.settings.get("knows_drafts_stay")
