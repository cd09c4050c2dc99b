"""*File, Export* of the open project: the dialog with all formats, and what it remembers."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.domain.errors import UserError
from annotator.domain.ports.formats import FormatSpec, Report
from annotator.io.formats.registry import export_formats
from annotator.io.settings import Settings
from annotator.ui.dialogs.export import ExportDialog, ExportWish
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import Errand


class FileExport(QObject):
    """Serves *File, Export*."""

    def __init__(self, window: MainWindow, session: ProjectSession, settings: Settings, notices: Notices) -> None:
        super().__init__(window)
        self._window, self._session, self._settings, self._notices = window, session, settings, notices
        self._formats = Errand(self)

    def start(self) -> None:
        """Look the formats up, beside the GUI thread (those of plug-ins lie in files), and show the dialog."""
        self._formats.start(
            export_formats, self._show, lambda error: self._notices.warn(str(error), about=Subject.PROJECT)
        )

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._formats.shut_down()

    def _show(self, formats: tuple[FormatSpec, ...]) -> None:
        if self._session.store is None:
            return
        wish = ExportWish.from_json(self._settings.get("export"))
        self._session.facts.settle()
        dialog = ExportDialog(self._session.store.path, formats, self._window, wish=wish, board=self._window.jobs)
        held = self._session.drafts.text()
        dialog.note.say(f"{held}. Accept or drop them first, or export without them." if held else "")
        dialog.done_with.connect(lambda report: self._on_done(report, dialog.wish))
        dialog.open()

    def _on_done(self, report: Report, wish: ExportWish) -> None:
        self._notices.tell(report.lines()[0], about=Subject.PROJECT)
        try:
            self._settings.set("export", wish.to_json())
        except UserError as error:
            self._notices.tell(str(error), about=Subject.PROJECT)
