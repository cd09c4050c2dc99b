"""The repair of all findings of a check at once, as a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from annotator.domain.checks.finding import Finding
from annotator.domain.checks.repair import repair_all
from annotator.domain.ports.jobs import WorkCancelled
from annotator.domain.project import Annotation, Edit
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import Job
from annotator.ui.threads.background import BackgroundWork
from annotator.ui.threads.jobs import JobBoard


class GroupRepair(QObject):
    """One at a time. The edit is made beside the window; whoever hears of it applies it."""

    made = Signal(object, object)
    """(path of the project, Edit or None)"""
    failed = Signal(object)
    """The exception."""

    def __init__(self, board: JobBoard, parent: QObject) -> None:
        super().__init__(parent)
        self._board = board
        self._work: BackgroundWork | None = None

    def start(self, path: Path, findings: Sequence[Finding], locked: frozenset[int]) -> None:
        """Make the edit that repairs these; ``locked`` objects stay as they are. Nothing while another is made."""
        if self._work is not None:
            return
        title = f"{findings[0].spec.repair.value} ({findings[0].spec.title.lower()})".capitalize()
        job = Job(title, unit="finding")
        work = self._work = BackgroundWork(lambda job: _make(path, findings, locked, job), self, job=job)
        self._board.add(job, work)
        work.succeeded.connect(lambda edit: self.made.emit(path, edit))
        work.failed.connect(self._on_failed)
        work.finished.connect(self._end)
        work.start()

    def shut_down(self) -> None:
        """Stop it, and wait for its end."""
        if self._work is not None:
            self._work.cancel()
            self._end()

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, WorkCancelled):
            self.failed.emit(error)

    def _end(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.wait()
            work.deleteLater()


def _make(path: Path, findings: Sequence[Finding], locked: frozenset[int], job: Job) -> Edit | None:
    free = [one for one in findings if one.object_ids[0] not in locked]
    rows: dict[int, Annotation] = {}
    with ProjectStore.open(path, read_only=True) as store:
        for object_id in sorted({object_id for one in free for object_id in one.object_ids}):
            job.check()
            try:
                rows[object_id] = store.annotation(object_id)
            except KeyError:
                continue
    return repair_all(free, rows, progress=job.progress)
