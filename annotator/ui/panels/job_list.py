"""The Jobs panel: every long work of the session, how far it is, a way to stop it, its log and its result."""

from __future__ import annotations

import os

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.jobs.job import Job, JobState
from annotator.ui.look.standing import standing_text
from annotator.ui.panels.fitted_area import FittedArea
from annotator.ui.threads.jobs import JobBoard

_STEPS = 1000
_LOG_HEIGHT_PX = 120


class JobRow(QFrame):
    """One job."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.setObjectName("job")
        self.job = job
        self.title = QLabel(job.title)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.setAccessibleName(f"Progress: {job.title}")
        self.detail = QLabel()
        for label in (self.title, self.detail):
            label.setWordWrap(True)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setFixedHeight(_LOG_HEIGHT_PX)
        self.log.setAccessibleName(f"Log: {job.title}")
        self.log.hide()
        self._has_not_opened = ""
        self.cancel_button = self._button("Cancel", job.cancel)
        self.show_button = self._button("Show result", self.show_result)
        self.log_button = self._button("Log", self._toggle_log)
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.title, 1)
        for button in (self.cancel_button, self.show_button, self.log_button):
            head.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 6, 12, 6)
        box.setSpacing(4)
        box.addLayout(head)
        for widget in (self.bar, self.detail, self.log):
            box.addWidget(widget)
        self.refresh()

    def _button(self, text: str, run: object) -> QToolButton:
        button = QToolButton()
        button.setObjectName("switch")
        button.setText(text)
        button.setAccessibleName(f"{text}: {self.job.title}")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(run)
        return button

    def refresh(self) -> None:
        """Show where the job stands."""
        job, now = self.job, self.job.standing
        share, is_done = now.share, now.state is JobState.DONE
        self.bar.setVisible(not now.is_over)
        self.bar.setRange(0, 0 if share is None else _STEPS)  # without a share it moves by itself
        if share is not None:
            self.bar.setValue(round(_STEPS * share))
        failed = now.state is JobState.FAILED or bool(self._has_not_opened)
        if self.detail.objectName() != ("failed" if failed else "dim"):
            self.detail.setObjectName("failed" if failed else "dim")
            self.detail.style().polish(self.detail)
        self.detail.setText(self._has_not_opened or standing_text(job))
        self.cancel_button.setVisible(not now.is_over)
        self.cancel_button.setEnabled(not job.is_cancelled)
        has_lines, is_elsewhere = bool(job.lines), job.place is not None or job.on_show is not None
        self.show_button.setVisible(is_done and (is_elsewhere or has_lines))
        self.log_button.setVisible(has_lines and (is_elsewhere or not is_done))
        if self.log.isVisible():
            self._fill_log()

    def show_result(self) -> None:
        """Open the folder of what was written, else show what the job shows, else its report here."""
        if self.job.on_show is not None:
            self.job.on_show()
        elif self.job.place is not None:
            place = self.job.place if os.path.isdir(self.job.place) else self.job.place.parent
            is_open = QDesktopServices.openUrl(QUrl.fromLocalFile(str(place)))
            self._has_not_opened = "" if is_open else f"{place} could not be opened. Open it in your file browser."
            self.refresh()
        else:
            self._toggle_log()

    def _toggle_log(self) -> None:
        self.log.setVisible(self.log.isHidden())
        self._fill_log()

    def _fill_log(self) -> None:
        text = "\n".join(self.job.lines)
        if text != self.log.toPlainText():
            self.log.setPlainText(text)
            if not self.job.standing.is_over:
                bar = self.log.verticalScrollBar()
                bar.setValue(bar.maximum())


class JobPanel(QWidget):
    """The newest job first; finished ones stay until they are cleared."""

    def __init__(self, board: JobBoard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._board = board
        self.rows: dict[Job, JobRow] = {}
        self.hint = QLabel("Exports, imports and downloads appear here.")
        self.hint.setObjectName("dim")
        self.hint.setWordWrap(True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.hint.setContentsMargins(12, 8, 12, 8)
        self._list = QWidget()
        self._list.setObjectName("panel")
        self._box = QVBoxLayout(self._list)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(0)
        self.clear_button = QPushButton("Clear finished")
        self.clear_button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.clear_button.clicked.connect(board.clear_finished)
        foot = QHBoxLayout()
        foot.setContentsMargins(12, 6, 12, 6)
        foot.addStretch(1)
        foot.addWidget(self.clear_button)
        self._box.addLayout(foot)
        self._box.addStretch(1)
        self.view = FittedArea(self._list, name="Jobs")
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.hint)
        box.addWidget(self.view, 1)
        board.listed.connect(self._on_listed)
        board.changed.connect(self._on_changed)
        self._on_listed()

    @Slot()
    def _on_listed(self) -> None:
        jobs = self._board.jobs
        for job in [job for job in self.rows if job not in jobs]:
            row = self.rows.pop(job)
            row.setParent(None)
            row.deleteLater()
        for at, job in enumerate(jobs):
            if job not in self.rows:
                self.rows[job] = JobRow(job)
                self._box.insertWidget(at, self.rows[job])
        self._refresh()

    @Slot(object)
    def _on_changed(self, job: Job) -> None:
        if job in self.rows:
            self.rows[job].refresh()
        self._refresh()

    def _refresh(self) -> None:
        self.hint.setVisible(not self.rows)
        self.view.setVisible(bool(self.rows))
        has_finished = len(self._board.running) < len(self.rows)
        self.clear_button.setVisible(has_finished)
