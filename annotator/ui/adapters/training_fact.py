"""The training that runs, in the status bar: how far it is; a click opens it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QToolButton, QWidget

from annotator.domain.counting import counted
from annotator.ui.adapters.training import TrainingRun
from annotator.ui.adapters.training_control import TrainingControl

_BAR_PX = (72, 4)
_NAME_CHARACTERS = 24


class TrainingFact(QWidget):
    """Hidden while nothing is trained and nothing waits to be decided on."""

    def __init__(self, control: TrainingControl, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._control = control
        self.button = QToolButton()
        self.button.setObjectName("flat")
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.button.setToolTip("Show the training")
        self.button.clicked.connect(lambda: control.show())
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedSize(*_BAR_PX)
        self.bar.setRange(0, 1000)
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(4)
        row.addWidget(self.button)
        row.addWidget(self.bar)
        control.changed.connect(lambda _word: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        run = self._control.run
        is_shown = run is not None and (run.is_running or run.has_result)
        self.setVisible(is_shown)
        if run is None or not is_shown:
            return
        text = f"{short_name(run)} is trained" if run.has_result else f"{short_name(run)}: {progress_text(run)}"
        share = progress_share(run)
        self.button.setText(text)
        self.button.setAccessibleName(f"Training: {text}")
        self.bar.setVisible(run.is_running)
        # Without a share the bar moves by itself.
        self.bar.setRange(0, 0 if share is None else 1000)
        if share is not None:
            self.bar.setValue(round(1000 * share))


def short_name(run: TrainingRun) -> str:
    name = run.wish.name
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"


def progress_text(run: TrainingRun) -> str:
    """Which part of the training is under way, and how far it is."""
    standing = run.standing
    if standing.is_judging:
        return "is judged"
    if not standing.loss:
        return f"{standing.encoded} of {counted(run.wish.pieces, 'piece')} read"
    return f"{standing.minutes:.1f} of {run.wish.minutes:g} minutes"


def progress_share(run: TrainingRun) -> float | None:
    """0..1 of the part that is under way; None when nobody knows."""
    standing = run.standing
    if standing.is_judging:
        return None
    if not standing.loss:
        return min(1.0, standing.encoded / max(1, run.wish.pieces))
    return min(1.0, standing.minutes / run.wish.minutes)
