"""An accepted object whose mask is still to come: closing the window and changing the project wait for it."""

from __future__ import annotations

import threading
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.errors import ModelError, ProjectError
from annotator.domain.ports.jobs import WorkCancelled
from annotator.domain.project import Annotation
from annotator.io.project.opened import open_project
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import JobState
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.program import HUNG_EXIT
from tests.fakes import Gate
from tests.gui.shell import Desk

K = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


def stored(project: Path) -> list[Annotation]:
    with ProjectStore.open(project, read_only=True) as store:
        return list(store.all_annotations())


def accept_in_flight(desk: Desk, x: float = 60, y: float = 60) -> Path:
    """Click and accept while the engine thread stands in the decode; the mask is not stored yet."""
    desk.engine.hold()
    desk.click(x, y)
    desk.engine.segmenter.decode_gate.wait_for_arrival()
    desk.key(K.Key_Return)
    assert not desk.refine.can_leave()
    project = desk.session.store.path
    assert stored(project) == []
    return project


def is_over(desk: Desk) -> bool:
    return not desk.window.isVisible() and not desk.client.is_running


def other_folder(desk: Desk, *, colour: int = 90) -> Path:
    folder = desk.root / "others"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.full((120, 160, 3), colour + number, np.uint8)).save(folder / f"other{number}.png")
    return folder


def drop(desk: Desk, path: Path) -> None:
    """On the window's edge, or, when there is one, on the image."""
    place = desk.window.canvas.viewport() if desk.window.canvas.isVisible() else desk.window
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    rest = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    entered = QDragEnterEvent(QPoint(400, 300), *rest)
    QApplication.sendEvent(place, entered)
    assert entered.isAccepted()
    dropped = QDropEvent(QPointF(400, 300), *rest)
    QApplication.sendEvent(place, dropped)
    assert dropped.isAccepted()


# --- closing ------------------------------------------------------------------------------------------------------


def test_closing_waits_for_the_accepted_mask(desk):
    desk.open()
    project = accept_in_flight(desk)
    event = QCloseEvent()
    QApplication.sendEvent(desk.window, event)
    assert not event.isAccepted()
    assert desk.window.isVisible()
    assert desk.window.status.message.text() == "Finishing the last mask…"
    desk.engine.let_go()
    desk.until(lambda: is_over(desk))
    (kept,) = stored(project)
    assert kept.mask().contains(60, 60)


def test_closing_twice_meanwhile_changes_nothing(desk):
    desk.open()
    project = accept_in_flight(desk)
    assert not desk.window.close()
    assert not desk.window.close()
    assert desk.window.isVisible()
    assert "closes by itself" in desk.window.area.error_bar.text
    closings = []
    desk.window.closing.connect(lambda: closings.append(1))
    desk.engine.let_go()
    desk.until(lambda: is_over(desk))
    assert len(stored(project)) == 1
    assert closings == [1]


def test_the_quit_key_waits_too_and_the_next_click_is_kept_as_a_draft(desk):
    desk.open()
    project = accept_in_flight(desk)
    desk.key(K.Key_Q, CTRL)
    assert desk.window.isVisible()
    desk.click(100, 30)
    desk.engine.let_go()
    desk.until(lambda: is_over(desk))
    assert len(stored(project)) == 1
    with ProjectStore.open(project, read_only=True) as store:
        prompts = store.draft(1)
    assert len(prompts["points"]) == 1


def test_an_engine_failure_stays_open_and_can_be_closed_afterwards(desk):
    desk.open()
    desk.engine.segmenter.decode_errors.append(ModelError("The device is gone."))
    project = accept_in_flight(desk)
    assert not desk.window.close()
    desk.engine.let_go()
    desk.until(desk.refine.can_leave)
    assert desk.window.isVisible()
    assert "The device is gone." in desk.window.area.error_bar.text
    assert len(desk.refine.state.prompts.points) == 1
    assert desk.window.close()
    assert is_over(desk)
    assert stored(project) == []


def test_after_a_failed_closing_the_next_one_waits_again(desk):
    desk.open()
    desk.engine.segmenter.decode_errors.append(ModelError("The device is gone."))
    project = accept_in_flight(desk)
    assert not desk.window.close()
    desk.engine.let_go()
    desk.until(desk.refine.can_leave)
    desk.engine.hold()
    desk.click(64, 60)
    desk.key(K.Key_Return)
    assert not desk.window.close()
    assert desk.window.status.message.text() == "Finishing the last mask…"
    desk.engine.let_go()
    desk.until(lambda: is_over(desk))
    assert len(stored(project)) == 1


def test_an_engine_that_hangs_does_not_keep_the_window(desk):
    desk.open()
    project = accept_in_flight(desk)
    assert not desk.window.close()
    assert not desk.window.close()
    bar = desk.window.area.error_bar
    assert bar.button.text() == "Close without it"
    desk.program.client.stop = lambda: True  # the held thread is ended by the test itself
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    assert not desk.window.isVisible()
    assert stored(project) == []
    with ProjectStore.open(project, read_only=True) as store:
        assert store.draft_counts() == {1: 1}
    del desk.program.client.stop
    desk.engine.let_go()
    desk.client.stop()


def test_a_full_disk_while_closing_keeps_the_window_and_the_mask(desk, monkeypatch):
    desk.open()
    project = accept_in_flight(desk)
    real = ProjectStore.apply

    def full(self, edit, **_named):
        raise ProjectError("The disk is full.", "Make room.")

    monkeypatch.setattr(ProjectStore, "apply", full)
    assert not desk.window.close()
    desk.engine.let_go()
    desk.until(lambda: desk.window.area.error_bar.text == "The disk is full. Make room.")
    assert desk.window.isVisible()
    assert desk.refine.state.mask.contains(60, 60)
    monkeypatch.setattr(ProjectStore, "apply", real)
    QTest.mouseClick(desk.window.area.error_bar.button, Qt.MouseButton.LeftButton)
    assert len(stored(project)) == 1
    assert desk.window.close()


def test_taking_the_accept_back_keeps_the_window(desk):
    desk.open()
    accept_in_flight(desk)
    assert not desk.window.close()
    desk.key(K.Key_Z, CTRL)
    desk.engine.let_go()
    desk.wait_mask(60, 60)
    assert desk.window.isVisible()
    assert desk.window.close()


# --- another project ----------------------------------------------------------------------------------------------


def test_an_engine_that_does_not_end_is_no_success(desk, monkeypatch):
    desk.open()
    annotation = desk.accept_at(60, 60)
    project, client = desk.session.store.path, desk.client
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    end = client.stop
    monkeypatch.setattr(client, "stop", lambda: not end())
    desk.window.close()
    assert ended == [HUNG_EXIT]
    assert HUNG_EXIT != 0
    assert [row.id for row in stored(project)] == [annotation.id], "what was accepted is there all the same"


def wait_for_the_mask(desk) -> None:
    """Until the other project is open and only the mask of the old one is to come."""
    desk.until(lambda: len(desk.program.files._patience._wishes) == 1)


def test_changing_the_project_waits_and_the_mask_is_in_the_old_one(desk):
    desk.open()
    others = other_folder(desk)
    old = accept_in_flight(desk)
    drop(desk, others)
    wait_for_the_mask(desk)
    assert desk.session.store.path == old
    desk.engine.let_go()
    desk.until(lambda: desk.session.store.path != old and desk.shown_row() == 0)
    (kept,) = stored(old)
    assert kept.mask().contains(60, 60)
    assert desk.session.annotations == ()
    assert stored(desk.session.store.path) == []
    desk.accept_at(100, 30)
    assert [len(stored(p)) for p in (old, desk.session.store.path)] == [1, 1]


def test_the_old_project_stays_when_its_mask_does_not_come(desk):
    desk.open()
    others = other_folder(desk)
    desk.engine.segmenter.decode_errors.append(ModelError("The device is gone."))
    old = accept_in_flight(desk)
    drop(desk, others)
    wait_for_the_mask(desk)
    desk.engine.let_go()
    desk.until(lambda: desk.refine.can_leave() and not desk.program.files._switch.is_opening)
    assert desk.session.store.path == old
    assert len(desk.refine.state.prompts.points) == 1
    with ProjectStore.open_folder(others) as free:
        assert not free.is_read_only


def test_an_unaccepted_object_stays_in_the_old_project_as_its_draft(desk):
    desk.open()
    others = other_folder(desk)
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    old = desk.session.store.path
    desk.program.files.open_path(others)
    desk.until(lambda: desk.session.store.path != old and desk.shown_row() == 0)
    assert not desk.refine.state.is_active
    assert desk.session.store.draft_counts() == {}
    desk.program.files.open_path(desk.folder)
    desk.until(lambda: desk.session.store is not None and desk.session.store.path == old)
    desk.wait_mask(60, 60)
    assert len(desk.refine.state.prompts.points) == 1


def test_opening_the_same_folder_again_keeps_the_pending_mask(desk):
    desk.open()
    accept_in_flight(desk)
    opened = []
    desk.session.opened.connect(lambda: opened.append(1))
    drop(desk, desk.folder / "1.png")
    assert not opened
    desk.engine.let_go()
    desk.until(lambda: len(opened) == 2 and len(desk.session.annotations) == 1)
    desk.until(lambda: desk.shown_row() == 0)
    assert desk.session.is_writable


def test_export_and_import_wait_for_the_pending_mask(desk):
    desk.open()
    project = accept_in_flight(desk)
    desk.program.files.export()
    assert desk.window.findChild(ExportDialog) is None
    desk.engine.let_go()
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    assert len(stored(project)) == 1
    dialog = desk.window.findChild(ExportDialog)
    with desk.qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    dialog.close()
    desk.engine.hold()
    desk.click(100, 30)
    desk.key(K.Key_Return)
    desk.program.files.import_path(desk.folder / "pictures-coco.json")
    assert desk.session.store is not None
    desk.engine.let_go()
    desk.until(lambda: desk.session.store is None)
    work = desk.window.findChild(WorkDialog, options=Qt.FindChildOption.FindDirectChildrenOnly)
    desk.until(lambda: not work.is_running)
    work.close()
    desk.until(lambda: desk.session.store is not None and desk.shown_row() == 0)
    assert any(a.mask().contains(100, 30) for a in stored(project))


# --- the way out, when the mask may never come -------------------------------------------------------------------


def way_out(desk: Desk, text: str) -> None:
    """Wait until the bar offers it, and take it."""
    bar = desk.window.area.error_bar
    desk.until(lambda: bar.text != "" and bar.button.text() == text)
    assert "not there yet" in bar.text
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    assert bar.text == ""


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("annotator.ui.refine.patience.GRACE_MS", 50)


@pytest.mark.usefixtures("impatient")
def test_closing_offers_the_way_out_by_itself(desk):
    desk.open()
    project = accept_in_flight(desk)
    assert not desk.window.close()
    bar = desk.window.area.error_bar
    desk.until(lambda: bar.text != "")
    assert bar.button.text() == "Close without it"
    desk.engine.let_go()
    desk.until(lambda: is_over(desk))
    assert len(stored(project)) == 1


@pytest.mark.usefixtures("impatient")
def test_another_project_opens_without_the_mask_and_does_not_get_it(desk):
    desk.open()
    others = other_folder(desk)
    old = accept_in_flight(desk)
    drop(desk, others)
    way_out(desk, "Open without it")
    desk.until(lambda: desk.session.store.path != old and desk.shown_row() == 0)
    new = desk.session.store.path
    desk.engine.let_go()
    desk.accept_at(100, 30)
    (mine,) = stored(new)
    assert mine.mask().contains(100, 30)
    assert stored(old) == []
    desk.program.files.open_path(desk.folder)
    desk.until(lambda: desk.session.store.path == old and len(stored(old)) == 1)
    assert stored(old)[0].mask().contains(60, 60)
    assert desk.session.store.draft_counts() == {}


@pytest.mark.usefixtures("impatient")
def test_export_without_the_mask_stores_it_later(desk):
    desk.open()
    project = accept_in_flight(desk)
    desk.program.files.export()
    assert desk.window.status.message.text() == "Finishing the last mask…"
    way_out(desk, "Export without it")
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    dialog = desk.window.findChild(ExportDialog)
    desk.engine.let_go()
    desk.until(lambda: len(desk.session.annotations) == 1)
    assert len(stored(project)) == 1
    assert len(desk.window.findChildren(ExportDialog)) == 1
    dialog.close()


@pytest.mark.usefixtures("impatient")
def test_done_and_next_waits_quietly_and_can_go_on(desk):
    desk.open()
    project = accept_in_flight(desk)
    desk.key(K.Key_Return, CTRL)
    assert desk.shown_row() == 0
    way_out(desk, "Continue without it")
    desk.wait_image(1)
    desk.engine.let_go()
    desk.until(lambda: len(stored(project)) == 1)
    (kept,) = stored(project)
    assert kept.image_id == desk.session.images[0].id
    assert desk.shown_row() == 1


@pytest.mark.usefixtures("impatient")
def test_two_wishes_wait_and_the_first_is_offered_again(desk):
    desk.open()
    project = accept_in_flight(desk)
    assert not desk.window.close()
    desk.program.files.export()
    way_out(desk, "Export without it")
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    desk.window.findChild(ExportDialog).close()
    bar = desk.window.area.error_bar
    desk.until(lambda: bar.text != "" and bar.button.text() == "Close without it")
    desk.engine.let_go()
    desk.until(lambda: is_over(desk))
    assert len(stored(project)) == 1


def test_what_waits_behind_the_closing_does_not_happen_any_more(desk):
    desk.open()
    project = accept_in_flight(desk)
    files = desk.program.files
    assert not desk.window.close()
    files.export()
    files.import_path(desk.folder / "nothing.json")
    desk.engine.let_go()
    desk.until(lambda: is_over(desk))
    files.open_path(desk.folder)
    desk.qtbot.wait(100)
    assert desk.window.findChild(ExportDialog) is None
    assert desk.window.findChild(WorkDialog) is None
    assert desk.session.store is None
    assert len(stored(project)) == 1
    with ProjectStore.open_folder(desk.folder) as free:
        assert not free.is_read_only


# --- opening beside the GUI thread -------------------------------------------------------------------------------


def test_opening_can_be_stopped_and_leaves_nothing(desk, monkeypatch):
    desk.open()
    old = desk.session.store.path
    others = other_folder(desk)
    looking, real = [], open_project

    def slow(path, **named):
        def on_found(count):
            looking.append(count)
            while True:  # a folder without end: only the person's wish ends it
                named["on_found"](len(looking))

        return real(path, **{**named, "on_found": on_found})

    monkeypatch.setattr("annotator.ui.project.switch.open_project", slow)
    desk.program.files.open_path(others)
    bar = desk.window.area.error_bar
    desk.until(lambda: "Looking through others" in bar.text)
    job = desk.window.jobs.jobs[0]
    assert job.title == "Open others"
    desk.accept_at(60, 60)
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    assert bar.text == ""
    desk.until(lambda: job.standing.state is JobState.CANCELLED)
    desk.qtbot.wait(100)
    assert desk.session.store.path == old
    assert not list(others.glob("*.annot"))
    desk.program.files.open_path(others)
    desk.until(lambda: "Looking through others" in bar.text)
    again = desk.window.jobs.jobs[0]
    assert again is not job
    again.cancel()
    desk.until(lambda: bar.text == "")
    assert desk.session.store.path == old
    monkeypatch.setattr("annotator.ui.project.switch.open_project", real)
    desk.program.files.open_path(others)
    desk.until(lambda: desk.session.store.path != old and desk.shown_row() == 0)
    assert desk.session.is_writable


def test_the_newest_wish_to_open_counts(desk):
    desk.open()
    others = other_folder(desk)
    third = desk.root / "third"
    third.mkdir()
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(third / "black.png")
    for path in (others, third, others, third):
        desk.program.files.open_path(path)
    desk.until(lambda: desk.session.image is not None and desk.session.image.path == "black.png")
    desk.qtbot.wait(100)
    assert desk.session.image.path == "black.png"
    assert desk.session.is_writable
    for folder in (desk.folder, others):
        with ProjectStore.open_folder(folder) as free:
            assert not free.is_read_only


def test_closing_while_a_folder_is_opened_frees_it(desk):
    desk.open()
    others = other_folder(desk)
    desk.program.files.open_path(others)
    assert desk.window.close()
    for folder in (desk.folder, others):
        with ProjectStore.open_folder(folder) as free:
            assert not free.is_read_only


def test_a_folder_that_is_gone_is_told_and_the_old_project_stays(desk):
    desk.open()
    old = desk.session.store.path
    desk.program.files.open_path(desk.root / "nowhere")
    desk.until(lambda: "nowhere" in desk.window.area.error_bar.text)
    assert desk.session.store.path == old
    desk.accept_at(60, 60)


def test_stopping_a_new_project_leaves_no_file(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")

    def stop(_count: int) -> None:
        raise WorkCancelled

    with pytest.raises(WorkCancelled):
        open_project(folder, on_found=stop)
    assert sorted(p.name for p in folder.iterdir()) == ["a.png"]


def test_a_large_folder_opens_beside_the_window(desk, monkeypatch):
    """The window answers while thousands of images are found and read, and shows the first one after their list."""
    desk.open()
    folder, old = desk.root / "large", desk.session.store.path
    folder.mkdir()
    first = folder / "0.png"
    Image.fromarray(np.full((12, 16, 3), 70, np.uint8)).save(first)
    for number in range(1, 3000):
        (folder / f"{number}.png").hardlink_to(first)
    listing, readers, without_image, asked = Gate(), [], [], []

    def noted(owner: str, name: str, *, gate: Gate | None = None) -> None:
        real = attrgetter(name)(import_module(owner))

        def call(*args, **named):
            readers.append((name, threading.current_thread() is threading.main_thread()))
            if gate is not None:
                gate.pass_through()
            return real(*args, **named)

        monkeypatch.setattr(f"{owner}.{name}", call)

    listing.close()
    noted("annotator.io.project.looking", "list_images", gate=listing)
    noted("annotator.io.project.store", "ProjectStore.images")
    noted("annotator.io.project.opened", "absent_images")
    desk.program.files._switch.opened.connect(lambda _path: without_image.append(desk.session.image is None))
    real_request = desk.program.thumbnails.request

    def request(image_id, *args, **named):
        asked.append(image_id)
        real_request(image_id, *args, **named)

    monkeypatch.setattr(desk.program.thumbnails, "request", request)
    desk.program.files.open_path(folder)
    listing.wait_for_arrival()
    desk.accept_at(60, 60)  # the whole way of a click, while the folder is looked through
    assert desk.session.store.path == old
    assert len(stored(old)) == 1
    listing.open()
    desk.until(lambda: desk.session.store.path != old and desk.shown_row() == 0)
    assert len(desk.session.images) == 3000
    assert desk.window.film.model.rowCount() == 3000
    assert {name for name, _ in readers} == {"list_images", "ProjectStore.images", "absent_images"}
    assert [name for name, is_window in readers if is_window] == []
    assert without_image == [True], "the list and the first image are events of their own"
    assert len(set(asked)) < 300, "only what can be seen gets a thumbnail"


def test_sample_images_are_written_beside_the_window_and_opened(desk, monkeypatch):
    desk.open()
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_args, **_named: desk.root / "data")
    desk.window.actions_by_id["open_samples"].trigger()
    desk.until(lambda: desk.session.store is not None and desk.session.store.image_root.name == "samples")
    desk.until(lambda: desk.shown_row() == 0)
    assert any(image.path == "coins.png" for image in desk.session.images)


def test_sample_images_that_cannot_be_written_are_told(desk, monkeypatch):
    desk.open()
    (desk.root / "data").write_bytes(b"a file, not a folder")
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_args, **_named: desk.root / "data")
    desk.window.actions_by_id["open_samples"].trigger()
    desk.until(lambda: "cannot be written" in desk.window.area.error_bar.text)
