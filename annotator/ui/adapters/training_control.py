"""The training that the window knows of: started here, or found running or finished when the window opened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.engine.sam2.adapter_shelf import AdapterShelf
from annotator.files.places import training_dir
from annotator.jobs.training_record import Outcome, RunRecord, Wish, clear_siblings, open_records
from annotator.ui.adapters.train_dialog import TrainDialog
from annotator.ui.adapters.training import TrainingRun
from annotator.ui.notices import Notices, Subject
from annotator.ui.threads.worker import EngineClient

Do = Callable[[Callable[[], object], Callable[[object], None]], None]
"""Runs the first beside the GUI thread and hands its result to the second."""
TOPIC = "training"


class TrainingControl(QObject):
    """One run at a time; what it made is installed or discarded by the person, also days later.

    Args:
        run_aside: for all that reads or writes files at length.
    """

    changed = Signal(str)
    """What the button that leads here should say."""
    install_wanted = Signal(object)
    """TrainingRun, whose candidate the person wants"""

    def __init__(
        self, client: EngineClient, shelf: AdapterShelf | None, notices: Notices, *, run_aside: Do, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._client, self._shelf, self._run_aside = client, shelf, run_aside
        self._notices, self._parent = notices, parent
        self.run: TrainingRun | None = None
        self.project: Callable[[], tuple[Path, str] | None] = lambda: None
        """Asked for the file of the project that is open and a word for what is in it now; None when none is open."""
        self._has_looked = False
        self._dialog: TrainDialog | None = None

    @property
    def word(self) -> str:
        """What the button that leads here should say."""
        if self.run is not None and self.run.is_running:
            return "Training…"
        return "Result…" if self.run is not None and self.run.has_result else "Train…"

    # --- the dialog ---------------------------------------------------------------------------------------------------

    def show(self) -> TrainDialog | None:
        """The dialog of the run that there is, else of a new one; None when there is nothing to train from."""
        if self._shelf is None or (self.run is None and not self._can_train()):
            about = Subject.MODEL if self._client.info is None else Subject.PROJECT
            self._notices.tell("Open a project, and wait for the model, before an adapter is trained.", about=about)
            return None
        self._notices.withdraw(TOPIC)
        if self._dialog is not None:
            self._dialog.raise_()
            self._dialog.activateWindow()
            return self._dialog
        dialog = self._dialog = TrainDialog(self._wish, self.start, self._parent, run=self.run)
        dialog.install_wanted.connect(self.install_wanted)
        dialog.discard_wanted.connect(self._discard)
        dialog.finished.connect(self._forget_dialog)
        dialog.show()
        return dialog

    def _forget_dialog(self, _code: int) -> None:
        self._dialog = None

    def start(self, wish: Wish) -> TrainingRun:
        """Start a run; one at a time.

        Raises:
            UserError: another is running, or it cannot be started.
        """
        if self.run is not None and self.run.is_running:
            raise UserError(f"{brief(self.run.wish.name)} is being trained.", "Stop it first.")
        run, before = TrainingRun(wish, self), self.run
        run.start()
        if before is not None and before.has_result and before.wish.folder != wish.folder:
            before.decide(Outcome.REPLACED)
        self._keep(run)
        self._run_aside(lambda: clear_siblings(wish.folder), lambda _none: None)
        return run

    def decided(self, run: TrainingRun) -> None:
        """Its adapter was installed or discarded: nothing is open about it any more."""
        if self.run is run:
            self.run = None
        self._notices.withdraw(TOPIC)
        run.changed.emit()
        self.changed.emit(self.word)

    def refresh(self) -> None:
        """Something could not be done: show again what can be."""
        if self.run is not None:
            self.run.changed.emit()

    def let_go(self) -> None:
        """The window closes; the run goes on alone."""
        if self.run is not None:
            self.run.let_go()

    # --- the next start -----------------------------------------------------------------------------------------------

    def look_for_runs(self) -> None:
        """Once: was something trained when the window was closed?"""
        if self._has_looked or self._shelf is None:
            return
        self._has_looked = True
        self._run_aside(lambda: open_records(training_dir()), self._on_records)

    def _on_records(self, found: object) -> None:
        records = [record for record in found if isinstance(record, RunRecord)] if isinstance(found, list) else []
        if self.run is not None or not records:
            return
        # The newest that still runs, else the newest with a result; those that died are reported and forgotten.
        runs = []
        for record in records:
            run = TrainingRun(record.wish, self)
            run.follow(record)
            runs.append(run)
        best = next((r for r in runs if r.is_running), None) or next((r for r in runs if r.has_result), None)
        dead = [run for run in runs if not run.is_running and not run.standing.rows]
        for run in dead:
            run.give_up()
        chosen = best or dead[0]
        for run in runs:
            if run is not chosen:
                run.let_go()
                run.deleteLater()
        self._keep(chosen)
        self._tell_found(chosen)

    def _tell_found(self, run: TrainingRun) -> None:
        name = run.wish.name
        if run.is_running:
            text = f"The adapter {brief(name)} is still being trained."
        elif run.has_result:
            text = f"The adapter {brief(name)} is trained and waits: install it or discard it."
        else:
            text = f"The training of {brief(name)} ended without a result. {run.standing.line}".strip()
        if self._notices.is_warning:
            self._notices.tell(f"{text} See Model, Adapters.", about=TOPIC)  # an error is not pushed aside
        else:
            self._notices.warn(text, about=TOPIC, is_error=False, action=("Show…", self.show))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _can_train(self) -> bool:
        return self.project() is not None and self._client.info is not None

    def _wish(self, name: str, domain: str, minutes: float) -> Wish:
        project, info, shelf = self.project(), self._client.info, self._shelf
        if project is None or info is None or shelf is None:
            raise UserError("Open a project, and wait for the model, before an adapter is trained.")
        # A run goes on from its folder: other objects, another base or another length are another run.
        state = hashlib.sha256(repr((*project, info.sha256, minutes)).encode()).hexdigest()[:12]
        folder = training_dir() / shelf.checked_name(name) / state
        about = (project[0], name, domain, info.source, minutes, folder)
        return Wish(*about, config=info.config, device=info.device)

    def _keep(self, run: TrainingRun) -> None:
        self.run = run
        run.changed.connect(lambda: self.changed.emit(self.word))
        run.ended.connect(lambda code: self._on_end(run, code))
        self.changed.emit(self.word)

    def _on_end(self, run: TrainingRun, code: int) -> None:
        is_done = code == 0 and run.has_result
        if not is_done:
            run.give_up()
        text = "is trained; see Model, Adapters, Result" if is_done else "was not trained to the end"
        self._notices.tell(f"The adapter {brief(run.wish.name)} {text}.", about=TOPIC)
        self.changed.emit(self.word)

    def _discard(self, run: TrainingRun) -> None:
        def done(_none: object) -> None:
            self.decided(run)
            self._notices.tell(f"{brief(run.wish.name)} was not installed; what was trained is deleted.", about=TOPIC)

        self._run_aside(lambda: run.decide(Outcome.DISCARDED), done)
