"""A project whose file is deleted or moved while it is open."""

from __future__ import annotations

import shutil

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from annotator.io.project.store import ProjectStore

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
