"""The Jobs panel and what it lists, in the window, with real events."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest

from annotator.domain.errors import ModelError
from annotator.jobs.job import Job, JobState
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.look.standing import amount, standing_text, time_text
from annotator.ui.shell.job_fact import JobFact

LEFT = Qt.MouseButton.LeftButton
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


class HeldFetch:
    """A download that waits for leave, asks whether it is wanted, and may fail."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.error: ModelError | None = None

    def __call__(self, _name, progress) -> None:
        progress(25_000_000, 100_000_000)
        while not self.go.wait(0.01):
            progress(25_000_000, 100_000_000)
        if self.error is not None:
            raise self.error
        progress(100_000_000, 100_000_000)


@pytest.fixture
def fetch(desk):
    held = HeldFetch()
    desk.options["fetch"] = held
    yield held
    held.go.set()


def dialog_of(desk, kind=WorkDialog):
    found = [dialog for dialog in desk.window.findChildren(kind) if dialog.isVisible()]
    return found[0] if found else None


def press(button) -> None:
    assert button.isVisible()
    QTest.mouseClick(button, LEFT)


def row_of(desk, job):
    return desk.window.panels["jobs"].rows[job]


def show_jobs(desk) -> None:
    desk.key(Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    assert desk.window.panels["jobs"].isVisible()


def begin_download(desk):
    """In the background, with the window free."""
    desk.program.files.models.download("large")
    dialog = dialog_of(desk)
    desk.until(lambda: dialog.bar.value() == 25_000_000)
    press(dialog.beside_button)
    assert dialog_of(desk) is None
    return desk.window.jobs.jobs[0]


def test_a_download_goes_on_in_the_background_and_is_cancelled_in_the_panel(desk, fetch):
    desk.open()
    job = begin_download(desk)
    fact = desk.window.findChild(JobFact)
    desk.until(lambda: fact.text() == "1 job · 25 %")
    press(fact)
    row = row_of(desk, job)
    assert row.isVisible()
    assert row.title.text() == "Download large"
    assert row.detail.text().startswith("25.0 MB of 100.0 MB")
    assert row.bar.value() == 250
    press(row.cancel_button)
    desk.until(lambda: row.detail.text() == "Stopped")
    assert job.standing.state is JobState.CANCELLED
    assert not fact.isVisible()
    assert not row.cancel_button.isVisible()
    press(desk.window.panels["jobs"].clear_button)
    assert desk.window.panels["jobs"].rows == {}
    assert desk.window.panels["jobs"].hint.isVisible()


def test_an_error_in_the_background_is_shown_and_stays_in_the_list(desk, fetch):
    desk.open()
    fetch.error = ModelError("There is no network.", "Try later.")
    job = begin_download(desk)
    show_jobs(desk)
    fetch.go.set()
    desk.until(lambda: dialog_of(desk) is not None)
    dialog = dialog_of(desk)
    assert dialog.report.toPlainText() == "There is no network. Try later."
    row = row_of(desk, job)
    desk.until(lambda: row.detail.text() == "There is no network. Try later.")
    assert row.detail.objectName() == "failed"
    dialog.close()


def test_an_export_is_listed_and_its_folder_opens(desk, monkeypatch):
    desk.open()
    desk.accept_at(40, 40)
    show_jobs(desk)
    desk.program.files.export()
    desk.until(lambda: dialog_of(desk, ExportDialog) is not None)
    dialog = dialog_of(desk, ExportDialog)
    press(dialog.start_button)
    desk.until(lambda: len(desk.window.jobs.jobs) == 1)
    job = desk.window.jobs.jobs[0]
    row = row_of(desk, job)
    desk.until(lambda: row.show_button.isVisible())
    assert job.title == f"Export {Path(dialog.place.text()).name}"
    desk.until(lambda: bool(dialog.report.toPlainText()))
    assert row.detail.text() == dialog.report.toPlainText().splitlines()[0]
    dialog.close()
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()) or len(opened) == 1)
    press(row.show_button)
    assert opened == [str(desk.folder)]
    press(row.show_button)
    assert row.detail.text() == f"{desk.folder} could not be opened. Open it in your file browser."
    press(row.log_button)
    assert row.log.isVisible()
    assert row.log.toPlainText() == dialog.report.toPlainText()


def test_an_import_is_listed_with_its_report(desk, tmp_path):
    desk.open()
    desk.accept_at(40, 40)
    desk.program.files.export()
    desk.until(lambda: dialog_of(desk, ExportDialog) is not None)
    dialog = dialog_of(desk, ExportDialog)
    out = tmp_path / "out.json"
    dialog.place.setText(str(out))
    press(dialog.start_button)
    desk.until(lambda: not dialog.is_running and out.exists())
    dialog.close()
    desk.program.files.import_path(out)
    desk.until(lambda: len(desk.window.jobs.jobs) == 2)
    job = desk.window.jobs.jobs[0]
    assert job.title == "Import out.json"
    desk.until(lambda: job.standing.state is JobState.DONE and desk.session.store is not None)
    desk.until(lambda: dialog_of(desk) is not None)
    report = dialog_of(desk).report.toPlainText()
    dialog_of(desk).close()
    show_jobs(desk)
    titles = [row.title.text() for row in desk.window.panels["jobs"].findChildren(type(row_of(desk, job)))]
    assert set(titles) == {"Import out.json", "Export out.json"}
    row = row_of(desk, job)
    assert row.y() < row_of(desk, desk.window.jobs.jobs[1]).y(), "the newest stands first"
    press(row.show_button)
    assert row.log.toPlainText() == report


def test_the_search_for_moved_images_is_listed(desk):
    desk.open()
    desk.accept_at(40, 40)
    (desk.folder / "0.png").rename(desk.folder / "moved.png")
    desk.program.files._moved.find()
    desk.until(lambda: dialog_of(desk) is not None and not dialog_of(desk).is_running)
    job = desk.window.jobs.jobs[0]
    assert job.title == "Find moved images"
    assert job.lines[0].startswith("1 image found again")
    dialog_of(desk).close()


def test_the_window_names_what_its_end_would_stop(desk, fetch):
    desk.open()
    job = begin_download(desk)
    desk.window.close()
    assert desk.window.isVisible()
    assert "Download large is still running" in desk.window.area.error_bar.text
    assert not job.is_cancelled
    desk.close()
    assert job.standing.state is JobState.CANCELLED


def test_whether_the_panel_is_open_is_remembered(desk):
    desk.open()
    show_jobs(desk)
    desk.close()
    desk.build()
    assert desk.window.docks["jobs"].isVisible()
    assert desk.window.hidden_panels() == []


def test_f6_reaches_the_panel(desk):
    desk.open()
    show_jobs(desk)
    job = Job("Export a.json")
    desk.window.jobs.add(job)
    job.begin()
    panel = desk.window.panels["jobs"]
    desk.until(panel.view.isVisible)
    desk.window.canvas.setFocus()
    for _ in range(3):  # no objects: their list is passed over
        desk.key(Qt.Key.Key_F6)
    assert desk.window.focusWidget() is panel.view
    job.succeed(None)


def test_what_is_counted_is_said_in_words():
    job = Job("Export", unit="entry")
    assert standing_text(job) == "Waiting"
    job.begin()
    assert standing_text(job) == "Running…"
    job.progress(1, 0)
    assert standing_text(job) == "1 entry"
    job.progress(2, 40)
    job.note("checking")
    assert standing_text(job) == "checking · 2 of 40 entries"
    assert amount(155_906_050, "B") == "155.9 MB"
    assert amount(1, "box") == "1 box"
    assert amount(2, "box") == "2 boxes"
    assert [time_text(s) for s in (0.2, 59, 90, 7000)] == ["1 s left", "59 s left", "2 min left", "1.9 h left"]
