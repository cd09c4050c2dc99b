"""Statistics in the window: counted beside it, shown in their panel, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.domain.figures import ProjectFigures
from annotator.domain.ports.jobs import WorkCancelled
from annotator.domain.project import Change
from annotator.files.resources import resource_path
from annotator.io.figures_report import SUFFIXES, write_figures
from annotator.io.project.figures import read_figures
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import Job
from annotator.ui.labelling.panel_controls import ControlParts
from annotator.ui.notices import Subject
from annotator.ui.panels.statistics import StatisticsPanel
from annotator.ui.threads.background import BackgroundWork, Errand


class Statistics(QObject):
    """One per window. Counting reads the project file on a thread of its own."""

    def __init__(self, parts: ControlParts) -> None:
        super().__init__(parts.window)
        self._window, self._session = window, session = parts.window, parts.session
        self._panel, self._notices = cast(StatisticsPanel, window.panels["statistics"]), window.notices
        self._work: BackgroundWork | None = None
        self._is_changed = False
        """Whether the project was changed while it is counted."""
        self._writing = Errand(self)
        self._panel.count_wanted.connect(self.count)
        self._panel.export_wanted.connect(self.export)
        session.opened.connect(self._begin_project)
        session.changed.connect(self._on_change)
        window.docks["statistics"].visibilityChanged.connect(self._on_visible)

    def count(self) -> None:
        """Count the project as it is now, as a job."""
        store = self._session.store
        if store is None or self._work is not None:
            return
        path, self._is_changed = store.path, False
        job = Job(f"Count {path.name}", unit="object", on_show=lambda: self._window.show_panel("statistics", True))
        work = self._work = BackgroundWork(lambda job: _count(path, job), self, job=job)
        self._window.jobs.add(job, work)
        work.succeeded.connect(lambda found: self._on_counted(work, found))
        work.failed.connect(lambda error: self._on_failed(work, error))
        work.finished.connect(lambda: self._end(work))
        work.start()
        self._panel.show_counting(True)

    def export(self) -> None:
        """Write what is shown as a table, as JSON or as a picture."""
        store, figures = self._session.store, self._panel.figures
        if store is None or figures is None:
            return
        kinds = ";;".join(f"{suffix[1:].upper()} (*{suffix})" for suffix in SUFFIXES)
        suggestion = str(store.path.with_name(f"{store.path.stem}-statistics.csv"))
        name, chosen = QFileDialog.getSaveFileName(self._window, "Export the statistics", suggestion, kinds)
        if not name:
            return
        path = Path(name) if Path(name).suffix else Path(name).with_suffix(f".{chosen[:4].strip().lower() or 'csv'}")
        title = store.path.stem
        self._writing.start(
            lambda: write_figures(path, figures, title, fonts=resource_path("fonts")),
            lambda _: self._notices.tell(f"Written: {brief(path.name)}.", about=Subject.PROJECT),
            self._on_error,
        )

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._writing.shut_down()
        if self._work is not None:
            self._work.cancel()
            self._end(self._work)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin_project(self) -> None:
        """Another project, or none."""
        if self._work is not None:
            self._work.cancel()
            self._work = None
        self._panel.show_counting(False)
        self._panel.show_figures(None)
        self._panel.set_has_project(self._session.store is not None)
        self._on_visible(self._window.docks["statistics"].isVisible())

    def _on_visible(self, is_visible: bool) -> None:
        if is_visible and self._panel.figures is None:
            self.count()

    def _on_change(self, change: Change) -> None:
        if change.name != "image facts":  # that an image was looked at changes no number
            self._is_changed = True
            self._panel.mark_old()

    def _on_counted(self, work: BackgroundWork, figures: ProjectFigures) -> None:
        if work is not self._work:
            return  # of a project that was left meanwhile
        self._work = None
        self._panel.show_counting(False)
        self._panel.show_figures(figures)
        if self._is_changed:
            self._panel.mark_old()

    def _on_failed(self, work: BackgroundWork, error: Exception) -> None:
        if work is not self._work:
            return
        self._work = None
        self._panel.show_counting(False)
        if not isinstance(error, WorkCancelled):
            self._on_error(error)

    def _end(self, work: BackgroundWork) -> None:
        if work is self._work:
            self._work = None
            self._panel.show_counting(False)
        work.wait()
        work.deleteLater()

    def _on_error(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._notices.warn(str(error), about=Subject.PROJECT)


def _count(path: Path, job: Job) -> ProjectFigures:
    with ProjectStore.open(path, read_only=True) as store:
        return read_figures(store, job.progress)
