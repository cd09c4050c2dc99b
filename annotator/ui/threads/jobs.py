"""The jobs of this session, for the window: each thread's news arrive as signals on the GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, QThread, Signal, Slot

from annotator.jobs.job import Job


class JobBoard(QObject):
    """Lists every job, the newest first; the finished ones stay until they are cleared."""

    listed = Signal()
    """There are other jobs than before."""
    changed = Signal(object)
    """Job: where it stands is another than before."""
    _news = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: list[Job] = []
        self._threads: list[tuple[Job, QThread]] = []
        self._is_over = False
        self._news.connect(self._on_news)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The newest first."""
        return tuple(self._jobs)

    @property
    def running(self) -> tuple[Job, ...]:
        """Those that are not over, the newest first."""
        return tuple(job for job in self._jobs if not job.standing.is_over)

    @property
    def ending(self) -> tuple[Job, ...]:
        """Those that end with the window: their threads are its own."""
        own = [job for job, _ in self._threads]
        return tuple(job for job in self.running if job in own)

    def add(self, job: Job, thread: QThread | None = None) -> None:
        """List a job.

        Args:
            thread: does the work and ends with the window; None: it is done elsewhere and goes on without it.
        """
        self._jobs.insert(0, job)
        if thread is not None:
            self._threads.append((job, thread))
        job.subscribe(self._tell)
        self.listed.emit()

    def clear_finished(self) -> None:
        """Take what is over off the list."""
        self._jobs = list(self.running)
        self.listed.emit()

    def shut_down(self) -> None:
        """Stop the threads that still run, and wait for them; nothing is reported any more."""
        self._is_over = True
        running = [(job, thread) for job, thread in self._threads if not job.standing.is_over]
        for job, _ in running:
            job.cancel()
        for _, thread in running:
            thread.wait()
        self._threads.clear()

    def _tell(self, job: Job) -> None:
        """On the job's own thread."""
        if not self._is_over:
            self._news.emit(job)

    @Slot(object)
    def _on_news(self, job: Job) -> None:
        if job.standing.is_over:
            self._threads = [(own, thread) for own, thread in self._threads if own is not job]
        self.changed.emit(job)
