"""A long video is shown at once, with its first frames; the others are counted meanwhile and join them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import UserError
from annotator.domain.media import Series
from annotator.domain.ports.jobs import WorkCancelled
from annotator.io.images.frame_count import count_frames
from annotator.io.images.survey import Survey
from annotator.io.project.picking import OpeningWish
from annotator.jobs.job import Job
from annotator.ui.canvas.seen import Seen, seen_by, show_again
from annotator.ui.labelling.slice_control import SliceControl
from annotator.ui.labelling.workbench import Workbench
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import BackgroundWork


class FrameCounting(QObject):
    """One video after the other, as jobs. When one is counted, the project is opened again with all of its frames: once
    nothing is in the hand, plays, or runs as a job on the frames that there are. The frame that is looked at is shown
    again, and as large as it was.

    Args:
        reopen: opens a project file with what is known of its videos.
    """

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        refine: RefineController,
        slices: SliceControl,
        bench: Workbench,
        *,
        reopen: Callable[[Path, OpeningWish], None],
    ) -> None:
        super().__init__(window)
        self._session, self._refine, self._slices = session, refine, slices
        self._jobs, self._notices, self._reopen = window.jobs, window.notices, reopen
        self._canvas = window.canvas
        self._seen: tuple[Path, Seen] | None = None
        """Of a project that is opened again."""
        self._work: BackgroundWork | None = None
        self._ending: set[BackgroundWork] = set()
        self._is_over = False
        self._counted: tuple[Path, OpeningWish] | None = None
        """The project that waits for the frames of its video."""
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._take)
        session.opened.connect(self._on_opened)
        bench.picture_shown.connect(lambda _image_id: self._see_again())
        window.closing.connect(self.shut_down)
        for signal in (refine.state_changed, slices.played, window.jobs.changed):
            signal.connect(lambda _what: self._take_soon())

    def shut_down(self) -> None:
        """Stop counting, and wait for its end."""
        self._is_over = True
        self._stop()
        for work in tuple(self._ending):
            self._end(work)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_opened(self) -> None:
        """Another project is open, or none, or the same one again."""
        self._stop()
        session = self._session
        if self._is_over or session.store is None or not session.is_writable or session.asks_for is not None:
            return
        series = next((one for _, one in sorted(session.slices.series.items()) if not one.is_counted), None)
        if series is not None:
            self._start(series, session.store.path, session.store.readable_root)

    def _start(self, series: Series, project: Path, root: Path) -> None:
        path = root.joinpath(*series.name.split("/"))
        job = Job(f"Count the frames of {brief(series.name)}", unit="frame")
        work = self._work = BackgroundWork(lambda job: count_frames(path, job.progress), self, job=job)
        self._ending.add(work)
        self._jobs.add(job, work)
        work.succeeded.connect(lambda survey: self._on_counted(work, project, series, survey))
        work.failed.connect(lambda error: self._on_failed(work, series, error))
        work.finished.connect(lambda: self._end(work))
        work.start()

    def _stop(self) -> None:
        self._counted = None
        self._later.stop()
        if self._work is not None:
            self._work.cancel()
            self._work = None

    def _on_counted(self, work: BackgroundWork, project: Path, series: Series, survey: Survey) -> None:
        if self._work is work:  # else another project is open
            self._counted = project, OpeningWish(counted=((series.name, survey),))
            told = f"{brief(series.name)} has {counted(survey.frames, 'frame')}."
            self._notices.tell(told, about=Subject.PROJECT)
            self._take_soon()

    def _take_soon(self) -> None:
        if self._counted is not None:
            self._later.start(0)  # not in the middle of what the person does

    def _take(self) -> None:
        store = self._session.store
        if self._counted is None or store is None or store.path != self._counted[0]:
            return
        is_free = not self._refine.state.is_active and not self._slices.is_playing and not self._jobs.running
        if is_free and QApplication.activeModalWidget() is None:
            (path, wish), self._counted = self._counted, None
            seen = seen_by(self._canvas)
            self._seen = None if seen is None else (path, seen)
            self._reopen(path, wish)

    def _see_again(self) -> None:
        kept, self._seen = self._seen, None
        if kept is not None and self._session.store is not None and self._session.store.path == kept[0]:
            show_again(self._canvas, kept[1])

    def _on_failed(self, work: BackgroundWork, series: Series, error: Exception) -> None:
        if isinstance(error, UserError):
            self._notices.warn(str(error), about=Subject.PROJECT)
        elif isinstance(error, WorkCancelled) and self._work is work:  # by the person, in the list of jobs
            told = f"{brief(series.name)} has more frames than these. They come when the project is opened again."
            self._notices.tell(told, about=Subject.PROJECT)
        elif not isinstance(error, WorkCancelled):
            raise error

    def _end(self, work: BackgroundWork) -> None:
        if work in self._ending:
            self._ending.discard(work)
            work.wait()
            work.deleteLater()
