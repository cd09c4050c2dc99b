"""A project whose file is deleted or moved while it is open."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from annotator.io.project import held
from annotator.io.project.identity import FileState
from annotator.io.project.store import ProjectStore
from annotator.ui.project.watch import _look_at
from tests.gui.shell import Desk

K = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


def test_an_accept_into_a_deleted_folder_is_told_with_a_way_to_rescue_the_work(desk, monkeypatch, tmp_path):
    desk.open()
    desk.accept_at(40, 40)
    bar = desk.window.area.error_bar
    assert bar.text == ""
    desk.until(lambda: not desk.program.commands.watch._is_looking)  # not in the middle of the removal
    shutil.rmtree(desk.folder)
    desk.accept_at(100, 80)
    desk.until(lambda: "not in its place" in bar.text)
    copy = tmp_path / "rescued.annot"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "x.annot"), ""))
    bar.button.click()
    assert "x.annot" in bar.text, "a place that cannot be written is told"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(copy), ""))
    bar.button.click()
    assert "rescued.annot" in desk.window.status.message.text()
    with ProjectStore.open(copy, read_only=True) as store:
        assert sum(store.annotation_counts().values()) == 2


def test_a_look_that_meets_the_closing_neither_asks_the_closed_file_nor_is_overtaken_by_it(tmp_path, monkeypatch):
    """A connection that is closed while another thread asks it ends the program."""
    (tmp_path / "x").mkdir()
    store = ProjectStore.open_folder(tmp_path / "x")
    os.replace(shutil.copyfile(store.path, tmp_path / "other"), store.path)
    could_close, edit_mark = [], held.edit_mark

    def seen(connection):
        other = threading.Thread(target=lambda: could_close.append(store.held._use.acquire(blocking=False)))
        other.start()
        other.join()
        return edit_mark(connection)

    monkeypatch.setattr(held, "edit_mark", seen)
    assert _look_at(store).state is FileState.REPLACED
    assert could_close == [False], "the look is not over"
    store.close()
    could_close.clear()
    assert _look_at(store).state is FileState.OURS, "it was closed: nothing is wrong"
    assert could_close == []


def test_saving_by_habit_does_not_claim_what_is_not_so(desk):
    desk.open()
    desk.accept_at(40, 40)
    aside = desk.folder.with_name("aside")
    desk.folder.rename(aside)
    desk.key(K.Key_S, CTRL)
    assert desk.window.status.message.text() == "Not saved: the project file is gone."
    assert "not in its place" in desk.window.area.error_bar.text
    aside.rename(desk.folder)
    desk.key(K.Key_S, CTRL)
    assert "saved in pictures.annot" in desk.window.status.message.text()
    assert desk.window.area.error_bar.text == ""


def older_version(desk: Desk, tmp_path: Path) -> Path:
    """The project as it was before the object that it has now."""
    desk.make_folder()
    with ProjectStore.open_folder(desk.folder) as store:
        path = store.path
    older = Path(shutil.copyfile(path, tmp_path / "older.annot"))
    desk.open(folder=desk.folder)
    desk.accept_at(40, 40)
    return older


def test_another_version_in_the_place_is_not_touched_and_the_work_goes_on_in_a_copy(desk, tmp_path):
    older = older_version(desk, tmp_path)
    path, bar = desk.session.store.path, desk.window.area.error_bar
    os.replace(older, path)
    foreign = path.read_bytes()
    desk.click(100, 80)
    desk.until(lambda: "is saved beside it as" in bar.text)
    assert "put another file in the place of pictures.annot" in bar.text
    desk.wait_mask(100, 80)
    desk.key(K.Key_Return)
    assert len(desk.session.annotations) == 1, "it stays in work"
    desk.until(lambda: "is saved beside it as" in bar.text)
    desk.key(K.Key_S, CTRL)
    assert "Not saved in pictures.annot" in desk.window.status.message.text()
    assert bar.button.text() == "Continue in your version"
    bar.button.click()
    desk.until(lambda: desk.session.store is not None and "rescued" in desk.session.store.path.name)
    desk.until(lambda: desk.shown_row() == 0 and desk.refine.state.is_active)
    assert path.read_bytes() == foreign
    assert bar.text == ""
    desk.wait_mask(100, 80)
    desk.key(K.Key_Return)
    assert len(desk.session.annotations) == 2
    desk.close()
    assert path.read_bytes() == foreign
    assert not path.with_name(f"{path.name}-wal").exists()


def test_another_version_without_work_of_ours_is_offered_as_it_is(desk, tmp_path):
    desk.make_folder()
    with ProjectStore.open_folder(desk.folder) as store:
        path = store.path
    older = Path(shutil.copyfile(path, tmp_path / "older.annot"))
    desk.open(folder=desk.folder)
    bar = desk.window.area.error_bar
    os.replace(older, path)
    desk.key(K.Key_S, CTRL)
    desk.until(lambda: "You had changed nothing" in bar.text)
    stale = desk.session.store
    bar.button.click()
    desk.until(lambda: desk.session.store not in (None, stale) and desk.shown_row() == 0)
    assert bar.text == ""
    desk.accept_at(40, 40)
    assert list(desk.folder.glob("*rescued*")) == []
