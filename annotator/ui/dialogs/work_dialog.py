"""A dialog around long work with files, and what other dialogs share with it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.errors import UserError
from annotator.domain.ports.jobs import WorkCancelled
from annotator.jobs.job import Job
from annotator.ui.dialogs.note import Note
from annotator.ui.dialogs.scroll_pane import ScrollPane, fit_to_screen, room_for
from annotator.ui.look.standing import standing_text
from annotator.ui.threads.background import BackgroundWork, Work
from annotator.ui.threads.jobs import JobBoard

_LEAST_REPORT_PX = 96
_MOST_STEPS = (1 << 31) - 1
"""Of Qt's bars. Bytes are counted in larger units from there on."""
_REPORT_SIZE = QSize(680, 380)


class WorkDialog(QDialog):
    """A form (optional), a progress bar, and what came out. Closing it while work runs stops the work.

    Args:
        board: lists its work.
        beside: whether the work can go on without the dialog, while the window is used. When it is done the dialog is
            gone; after an error it is there again.
    """

    done_with = Signal(object)
    """The result of the work, once it succeeded."""

    def __init__(
        self, title: str, parent: QWidget | None = None, *, board: JobBoard | None = None, beside: bool = False
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(560)
        self._thread: BackgroundWork | None = None
        self.stopped_text = "Stopped. Nothing was changed."
        """What is said when the person has stopped the work."""
        self._board, self._can_go_beside, self._is_beside = board, beside, False
        self.form = QWidget()
        self.fields = QFormLayout(self.form)
        self.fields.setContentsMargins(0, 0, 0, 0)
        self.fields.setHorizontalSpacing(16)
        self.fields.setVerticalSpacing(10)
        self.fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.hide()
        self.standing = QLabel()
        self.standing.setObjectName("dim")
        self.standing.hide()
        self.report = QPlainTextEdit()
        self.report.setReadOnly(True)
        self.report.setAccessibleName("Result")
        self.report.setMinimumHeight(_LEAST_REPORT_PX)
        self.report.hide()
        self.note, buttons = Note(), self._make_buttons()
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 20, 20, 16)
        box.setSpacing(16)
        self.pane = ScrollPane(self.form)
        for widget in (title_label(title), self.pane, self.note, self.bar, self.standing, self.report):
            box.addWidget(widget)
        box.addLayout(buttons)

    def showEvent(self, event: QShowEvent) -> None:
        if not event.spontaneous():
            fit_to_screen(self)
        super().showEvent(event)

    def _make_buttons(self) -> QHBoxLayout:
        self.start_button = QPushButton("Start")
        self.start_button.setObjectName("primary")
        self.start_button.setDefault(True)
        self.close_button = QPushButton("Cancel")
        self.close_button.setAutoDefault(False)
        self.close_button.clicked.connect(self.reject)
        self.beside_button = QPushButton("Go on in the background")
        self.beside_button.setAutoDefault(False)
        self.beside_button.clicked.connect(self.leave_running)
        self.beside_button.hide()
        self._buttons = buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(self.beside_button)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.start_button)
        return buttons

    def add_button(self, button: QPushButton) -> None:
        """What can be done with the result, beside the other buttons."""
        button.setAutoDefault(False)
        self._buttons.insertWidget(1, button)

    def go_on_beside(self) -> None:
        """The work is over: the window can be used while the result is read."""
        self.hide()
        self.setWindowModality(Qt.WindowModality.NonModal)
        self.show()
        self.resize(_REPORT_SIZE.boundedTo(room_for(self)))

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    def leave_running(self) -> None:
        """The window can be used while the work goes on; the list of jobs has it."""
        self._is_beside = True
        self.hide()
        self.setWindowModality(Qt.WindowModality.NonModal)

    def start(self, work: Work, *, job: Job | None = None) -> None:
        """Run ``work``; its result's ``lines()`` are shown.

        Args:
            job: what the list of jobs shows of it; None: one of the dialog's title.
        """
        self.form.setEnabled(False)
        self.start_button.setEnabled(False)
        self.close_button.setText("Stop")
        self.report.hide()
        self.bar.setRange(0, 0)
        self.bar.show()
        job = job or Job(self.windowTitle())
        thread = BackgroundWork(work, self, job=job)
        if self._board is not None:
            self._board.add(job, thread)
            self.beside_button.setVisible(self._can_go_beside)
        thread.progressed.connect(self._on_progress)
        thread.succeeded.connect(self._on_success)
        thread.failed.connect(self._on_failure)
        self._thread = thread
        thread.start()

    def stop(self) -> None:
        """Stop the work and wait for its end."""
        thread = self._thread
        if thread is not None:
            thread.cancel()
            thread.wait()

    def reject(self) -> None:
        """Esc, the Cancel button and the window's cross end here: running work is stopped first."""
        if self._thread is not None:
            self._thread.cancel()
        else:
            super().reject()

    def _on_progress(self, done: int, total: int) -> None:
        unit = 1 + total // _MOST_STEPS
        self.bar.setRange(0, total // unit)  # (0, 0) moves by itself: nobody knows how much there is
        self.bar.setValue(min(done, total) // unit)
        if self._thread is not None and self._thread.job.unit:
            self.standing.setText(standing_text(self._thread.job))
            self.standing.show()

    def _on_success(self, result: Any) -> None:
        self._end("\n".join(result.lines()), is_over=True)
        self.done_with.emit(result)
        if self._is_beside:
            self.close()

    def _on_failure(self, error: Exception) -> None:
        if isinstance(error, WorkCancelled):
            self._end(self.stopped_text, is_over=False)
            if self._is_beside:
                self.close()
            return
        if self._is_beside:  # an error is not lost in a list that may be hidden
            self._is_beside = False
            self.show()
        if isinstance(error, UserError):
            self._end(str(error), is_over=False)
        else:
            self._end(f"An error in the program stopped this ({type(error).__name__}).", is_over=False)
            raise error

    def _end(self, text: str, *, is_over: bool) -> None:
        if self._thread is not None:
            self._thread.wait()
            self._thread.deleteLater()
            self._thread = None
        self.bar.hide()
        self.standing.hide()
        self.beside_button.hide()
        self.form.setEnabled(True)
        self.report.setPlainText(text)
        self.report.show()
        self.start_button.setEnabled(True)
        self.start_button.setVisible(not is_over)
        self.close_button.setText("Close")
        if is_over:
            self.close_button.setDefault(True)
            self.close_button.setFocus()  # Enter closes the report


def title_label(text: str) -> QLabel:
    """A dialog's heading: not every system draws the title of a window that belongs to another."""
    label = QLabel(text)
    label.setObjectName("title")
    return label


def closing_row(dialog: QDialog, *, margin_px: int = 0) -> QHBoxLayout:
    """The last row of a dialog that has nothing to confirm: its Close button, which Enter presses, at the right."""
    close = QPushButton("Close")
    close.setDefault(True)
    close.clicked.connect(dialog.close)
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, margin_px, 0)
    row.addStretch(1)
    row.addWidget(close)
    return row
