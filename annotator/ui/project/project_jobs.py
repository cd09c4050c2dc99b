"""Long work on the open project that begins with an action and asks nothing: a job beside the window."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtCore import QObject

from annotator.domain.errors import UserError
from annotator.domain.ports.jobs import HasLines, JobSpec, ProjectWork, WorkCancelled
from annotator.jobs.job import Job
from annotator.plugins import load_target
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import BackgroundWork


class ProjectJobs(QObject):
    """Runs the rows of such work. The work reads the project file on a thread of its own; several may run at once."""

    def __init__(self, window: MainWindow, session: ProjectSession) -> None:
        super().__init__(window)
        self._window, self._session, self._notices = window, session, window.notices
        self._works: dict[JobSpec, BackgroundWork] = {}
        session.opened.connect(self._stop)  # another project, or none
        window.closing.connect(self.shut_down)

    def run(self, spec: JobSpec) -> None:
        """Begin it, as a job; where it is running already, show the list."""
        store = self._session.store
        if store is None:
            return
        self._window.show_panel("jobs", True)
        if spec in self._works:
            self._notices.tell(f"“{spec.title}” is running already.", about=Subject.PROJECT)
            return
        path: Path = store.path
        job = Job(f"{spec.title}: {path.name}", unit=spec.unit)

        def do(job: Job) -> HasLines:
            return cast(ProjectWork, load_target(spec.work))(path, job.progress)

        work = self._works[spec] = BackgroundWork(do, self, job=job)
        self._window.jobs.add(job, work)
        work.succeeded.connect(lambda result: self._on_done(spec, work, result))
        work.failed.connect(lambda error: self._on_failed(error))
        work.finished.connect(lambda: self._end(spec, work))
        work.start()

    def shut_down(self) -> None:
        """Stop what runs, and wait for its end."""
        self._stop()
        for spec, work in tuple(self._works.items()):
            self._end(spec, work)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        for work in self._works.values():
            work.cancel()

    def _on_done(self, spec: JobSpec, work: BackgroundWork, result: HasLines) -> None:
        if self._works.get(spec) is work and not work.job.is_cancelled:
            self._notices.tell(result.lines()[0], about=Subject.PROJECT)

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, UserError):
            self._notices.warn(str(error), about=Subject.PROJECT)
        elif not isinstance(error, WorkCancelled):
            raise error

    def _end(self, spec: JobSpec, work: BackgroundWork) -> None:
        if self._works.get(spec) is work:
            del self._works[spec]
            work.wait()
            work.deleteLater()
