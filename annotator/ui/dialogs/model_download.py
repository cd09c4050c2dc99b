"""Fetching a model from the window: progress, Stop, and the model in use afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QWidget

from annotator.domain.ports.jobs import Progress
from annotator.jobs.job import Job
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.threads.jobs import JobBoard

Fetch = Callable[[str, Progress], None]
"""Brings a model of the registry to this computer; runs beside the GUI thread.

Raises:
    UserError: no network, a full disk, a wrong file.
"""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What came out."""

    name: str

    def lines(self) -> list[str]:
        return [f"{self.name} is here and verified. It is being loaded."]


def fetch_model(name: str, progress: Progress) -> None:
    """See :data:`Fetch`; what a stopped transfer has brought is kept, the next one goes on from there."""
    from annotator.engine import weights

    weights.download(name, progress=progress)


def import_dialog(file: Path, parent: QWidget, board: JobBoard | None = None) -> WorkDialog:
    """An open dialog that copies a weights file to the others; ``done_with`` carries a :class:`Downloaded`."""
    dialog = WorkDialog("Import a model", parent, board=board)
    dialog.form.hide()
    dialog.start_button.hide()

    def work(job: Job) -> object:
        from annotator.engine import weights

        return Downloaded(weights.import_file(file, progress=job.progress).name)

    dialog.open()
    dialog.start(work, job=Job(f"Import {file.name}", unit="B"))
    return dialog


def download_dialog(name: str, fetch: Fetch, parent: QWidget, board: JobBoard | None = None) -> WorkDialog:
    """An open dialog that fetches the model; ``done_with`` carries a :class:`Downloaded`."""
    dialog = WorkDialog(f"Download {name}", parent, board=board, beside=True)
    dialog.pane.hide()
    dialog.stopped_text = "Stopped. What has come is kept: the next try goes on there."
    dialog.start_button.setText("Try again")  # shown after a failure or a stop
    dialog.start_button.hide()

    def work(job: Job) -> object:
        fetch(name, job.progress)
        return Downloaded(name)

    def start() -> None:
        dialog.start(work, job=Job(f"Download {name}", unit="B"))

    dialog.start_button.clicked.connect(start)
    dialog.open()
    start()
    return dialog
