"""Images whose files were moved: said when a project opens, and re-linked in one step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QPushButton

from annotator.domain.counting import noun_for
from annotator.io.project.moved import MovedImages, find_moved, relink_edit
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import Job
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.look.numbers import grouped
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.project.switch import ProjectSwitch
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import Errand

TOPIC = f"{Subject.PROJECT}/moved"


class MovedFiles(QObject):
    """Part of the file actions.

    Args:
        reopen: opens a project file in the window.
    """

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        notices: Notices,
        *,
        switch: ProjectSwitch,
        reopen: Callable[[Path], None],
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._notices = window, session, notices
        self._switch, self._reopen = switch, reopen
        self._errand = Errand(self)

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._errand.shut_down()

    def tell(self) -> None:
        """Called when a project was opened."""
        count = self._session.absent
        if not count:
            self._notices.withdraw(TOPIC)
            return
        what = "1 labelled image is" if count == 1 else f"{grouped(count)} labelled images are"
        self._notices.warn(
            f"{what} not in place any more: moved, renamed or deleted.",
            about=TOPIC,
            is_error=False,
            action=("Find…", self.find),
        )

    def find(self) -> None:
        """Look for the files on a thread of its own; what is found is listed and can be re-linked."""
        store = self._session.store
        if store is None:
            return
        project, is_writable = store.path, not store.is_read_only
        dialog = WorkDialog("Find moved images", self._window, board=self._window.jobs)
        dialog.pane.hide()
        dialog.start_button.setText("Look again")
        dialog.start_button.hide()

        def work(job: Job) -> object:
            with ProjectStore.open(project, read_only=True) as reader:
                return find_moved(reader, progress=job.progress)

        def on_found(found: MovedImages) -> None:
            if found.moves and is_writable:
                button = QPushButton(f"Re-link {grouped(len(found.moves))}")
                button.setObjectName("primary")
                button.clicked.connect(lambda: self._relink(dialog, found, project))
                dialog.add_button(button)
            elif found.moves:
                self._notices.tell("The project is read-only: nothing can be re-linked.", about=TOPIC)

        def start() -> None:
            dialog.start(work, job=Job("Find moved images", unit="file"))

        dialog.start_button.clicked.connect(start)
        dialog.done_with.connect(on_found)
        dialog.open()
        start()

    def _relink(self, dialog: WorkDialog, found: MovedImages, project: Path) -> None:
        """One edit, written beside the GUI thread: the list of images is another one afterwards."""
        dialog.close()
        author = self._session.author

        def write() -> int:
            with ProjectStore.open(project, author=author) as writer:
                writer.apply(relink_edit(found.moves))
            return len(found.moves)

        def on_written(count: int) -> None:
            self._reopen(project)
            self._notices.tell(
                f"{grouped(count)} {noun_for(count, 'image')} re-linked; undo takes it back.", about=Subject.CHANGE
            )

        def on_error(error: Exception) -> None:
            self._reopen(project)
            self._notices.warn(str(error), about=Subject.CHANGE)

        self._switch.close_then(
            lambda: self._errand.start(write, on_written, on_error),
            then="The images are re-linked",
            way_out="Re-link without it",
        )
