"""The training is one of the jobs: listed, followed and stopped there. The end of the window leaves it alone."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.jobs.job import JobState
from annotator.jobs.training_record import Outcome
from tests.gui.test_training import begin, desk

__all__ = ["desk"]  # a fixture
LEFT = Qt.MouseButton.LeftButton
pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)


def row_of(desk):
    return desk.window.panels["jobs"].rows[desk.window.jobs.jobs[0]]


def press(button) -> None:
    assert button.isVisible()
    QTest.mouseClick(button, LEFT)


def begin_listed(desk, ending: str):
    desk.child = ("0.1", ending)
    begin(desk).close()
    for dialog in desk.window.findChildren(object):
        if type(dialog).__name__ == "AdapterPanel":
            dialog.close()
    desk.window.activateWindow()
    desk.key(Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    row = row_of(desk)
    desk.until(lambda: row.detail.text() == "0.3 of 20 minutes")
    return row


def test_a_training_is_listed_and_its_result_opens_its_dialog(desk):
    row = begin_listed(desk, "wait")
    assert row.title.text() == "Train nuclei"
    assert row.bar.value() == 15
    press(row.log_button)
    desk.until(lambda: "epoch 3" in row.log.toPlainText())
    run = desk.control.training.run
    (run.wish.folder / "go").touch()
    desk.until(row.show_button.isVisible)
    press(row.show_button)
    dialog = desk.control.training._dialog
    desk.until(dialog.install_button.isVisible)
    press(dialog.install_button)
    desk.until(lambda: "The result was installed." in row.job.lines)
    assert row.job.on_show is None
    dialog.close()


def test_a_training_is_stopped_in_the_list(desk):
    row = begin_listed(desk, "wait")
    run = desk.control.training.run
    press(row.cancel_button)
    desk.until(lambda: row.detail.text() == "Stopped")
    assert not run.is_running
    assert run.outcome is Outcome.STOPPED


def test_a_training_that_fails_says_why_in_one_line(desk):
    row = begin_listed(desk, "die")
    (desk.control.training.run.wish.folder / "go").touch()
    desk.until(lambda: row.detail.text() == "There are too few objects.")
    assert row.detail.objectName() == "failed"


def test_the_window_closes_without_a_word_and_the_training_goes_on(desk):
    row = begin_listed(desk, "wait")
    folder = desk.control.training.run.wish.folder
    job = row.job
    desk.close()
    assert job.standing.state is JobState.RUNNING
    assert not job.is_cancelled
    (folder / "go").touch()
    desk.until((folder / "over").exists)
