"""The training in the list of jobs: its process is followed, not run, and goes on when the window closes."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from annotator.domain.errors import UserError
from annotator.jobs.job import Job
from annotator.jobs.training_record import Outcome
from annotator.ui.adapters.training import TrainingRun
from annotator.ui.adapters.training_control import TOPIC, TrainingControl
from annotator.ui.adapters.training_fact import progress_share, progress_text
from annotator.ui.notices import Notices
from annotator.ui.threads.jobs import JobBoard

_STEPS = 1000


class TrainingJob(QObject):
    """Keeps the job of the control's run up to date."""

    def __init__(self, control: TrainingControl, board: JobBoard, notices: Notices, *, parent: QObject) -> None:
        super().__init__(parent)
        self._control, self._board, self._notices = control, board, notices
        self._run: TrainingRun | None = None
        self._job: Job | None = None
        control.changed.connect(self._on_change)

    @Slot(str)
    def _on_change(self, _word: str) -> None:
        run = self._control.run
        if run is not None and run is not self._run and run.is_running:
            self._run, self._job = run, self._listed(run)
        if self._run is None or self._job is None:
            return
        if not self._job.standing.is_over:
            self._follow(self._run, self._job)
        elif run is not self._run:  # installed or discarded: there is nothing to show any more
            self._job.on_show = None
            self._job.log(f"The result was {self._run.outcome}.")
            self._run = self._job = None

    def _listed(self, run: TrainingRun) -> Job:
        job = Job(f"Train {run.wish.name}", on_cancel=lambda: self._stop(run), on_show=self._control.show)
        self._board.add(job)
        job.begin()
        return job

    def _stop(self, run: TrainingRun) -> None:
        try:
            run.cancel()
        except UserError as error:
            self._notices.warn(str(error), about=TOPIC)

    def _follow(self, run: TrainingRun, job: Job) -> None:
        line = run.standing.line
        if line and job.lines[-1:] != (line,):
            job.log(line)
        if run.is_running:
            share = progress_share(run)
            job.show_progress(round(_STEPS * (share or 0)), 0 if share is None else _STEPS)
            job.note(progress_text(run))  # last: progress that follows other progress at once is not shown by itself
        elif run.has_result:
            job.succeed(None)
        elif run.outcome is Outcome.STOPPED:
            job.stopped()
        else:
            job.fail(line or "The training ended without a result. Start it again.")
