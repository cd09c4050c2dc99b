"""Prompt adapters in the window: chosen by key, compared with the base, kept in step with the engine."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from annotator.domain.brevity import brief
from annotator.domain.brush import painted
from annotator.domain.errors import UserError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import AdapterInUse, ModelInfo
from annotator.domain.ports.requests import DecodeResult
from annotator.domain.prompt import Prompts
from annotator.engine.sam2.adapter_shelf import AdapterEntry, AdapterShelf
from annotator.jobs.training_record import Outcome
from annotator.ui.adapters.panel import AdapterPanel
from annotator.ui.adapters.training import TrainingRun
from annotator.ui.adapters.training_control import TrainingControl
from annotator.ui.labelling.views import Views
from annotator.ui.notices import Notices, Subject
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.status import StatusLine
from annotator.ui.threads.background import BackgroundWork
from annotator.ui.threads.worker import EngineClient

_COMPARING = f"{Subject.PROMPTS}/compared"
_Asked = tuple[str, Prompts]
"""The image's key and the prompts: the same click on the next image is another question."""


class AdapterControl(QObject):
    """Ctrl+1 to Ctrl+9 put an adapter of the model in use into the engine, Ctrl+0 takes it out."""

    listed = Signal(object, object, object)
    """(list of ``AdapterEntry``, ModelInfo or None, AdapterInUse or None)"""

    def __init__(
        self,
        client: EngineClient,
        refine: RefineController,
        notices: Notices,
        *,
        views: Views,
        status: StatusLine,
        shelf: AdapterShelf | None,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._client, self._refine, self._notices = client, refine, notices
        self._status, self._parent = status, parent
        self._views, self._shelf = views, shelf
        self._entries: list[AdapterEntry] = []
        self._works: list[BackgroundWork] = []
        self._is_comparing = False
        self.training = TrainingControl(client, shelf, notices, run_aside=self._run, parent=parent)
        self.training.install_wanted.connect(self._install)
        self._base: tuple[_Asked, Mask] | None = None
        for digit in range(10):
            shortcut = QShortcut(QKeySequence(f"Ctrl+{digit}"), parent)
            shortcut.activated.connect(lambda d=digit: self.pick_by_key(d))
        client.ready.connect(self._on_model)
        client.adapter_changed.connect(self._on_adapter)
        client.compared.connect(self._on_compared)

    # --- choosing -----------------------------------------------------------------------------------------------------

    def fitting(self) -> list[AdapterEntry]:
        """The adapters of the model in use, in the order of their keys."""
        info = self._client.info
        return [] if info is None else [e for e in self._entries if e.info.base_sha256 == info.sha256]

    def pick_by_key(self, digit: int) -> None:
        """0: none; 1 to 9: the adapter of that number."""
        if digit == 0:
            self.use(None)
            return
        fitting = self.fitting()
        if digit > len(fitting):
            name = "no model" if self._client.info is None else self._client.info.name
            text = f"There is no adapter {digit} for {brief(name)}; see Model, Adapters."
            self._notices.tell(text, about=Subject.ADAPTER)
            return
        self.use(fitting[digit - 1])

    def use(self, entry: AdapterEntry | None) -> None:
        """Let this adapter answer from now on; the current object is asked again at once."""
        self._notices.withdraw(Subject.ADAPTER)
        if self._shelf is None or not self._client.can_answer:
            self._notices.tell("There are no adapters before a model is loaded.", about=Subject.MODEL)
            return
        self._client.use_adapter(self._shelf.setter(entry))

    # --- A/B ----------------------------------------------------------------------------------------------------------

    def compare(self, is_down: bool) -> None:
        """While the key is held, the base's mask for the same clicks is shown."""
        self._is_comparing = is_down
        if not is_down:
            self._views.show_instead(None)
            self._notices.withdraw(_COMPARING)
            return
        if self._client.adapter is None:
            self._notices.tell("No adapter is in use: the mask is the base's.", about=Subject.ADAPTER)
            return
        state = self._refine.state
        if self._base is not None and self._base[0] == (state.image_key, state.prompts) and state.is_active:
            self._show_base(self._base[1])
        elif not self._refine.asides.ask_base():
            self._notices.tell("There is no current mask to compare.", about=Subject.PROMPTS)

    def _on_compared(self, result: DecodeResult) -> None:
        state, asked = self._refine.state, (result.image_key, result.prompts)
        if asked == (state.image_key, state.prompts):
            self._base = (asked, painted(result.candidates.chosen.mask, result.prompts.strokes))
            if self._is_comparing:
                self._show_base(self._base[1])

    def _show_base(self, mask: Mask) -> None:
        self._views.show_instead(mask)
        self._notices.tell("The base's mask, without the adapter.", about=_COMPARING, stays=True)

    # --- the engine ---------------------------------------------------------------------------------------------------

    def _on_model(self, _info: ModelInfo) -> None:
        self._base = None
        self.refresh()
        self.training.look_for_runs()

    def _on_adapter(self, adapter: AdapterInUse | None, took_ms: float) -> None:
        self._base = None
        name = "" if adapter is None else adapter.name
        self._status.set_engine(self._client.info, adapter=name)
        what = f"Adapter {brief(name)} is in use" if name else "No adapter: the base answers"
        self._notices.tell(f"{what} ({took_ms:.0f} ms, nothing was encoded again).", about=Subject.ADAPTER)

    # --- files --------------------------------------------------------------------------------------------------------

    def show_panel(self) -> AdapterPanel | None:
        """The list, with what can be done to it; None when this window has no place for adapters."""
        shelf = self._shelf
        if shelf is None:
            self._notices.tell("This window has no adapters.", about=Subject.ADAPTER)
            return None
        panel = AdapterPanel(self._parent)
        self.listed.connect(panel.on_listed)
        self._client.adapter_changed.connect(panel.on_adapter)
        panel.use_wanted.connect(self.use)
        panel.train_wanted.connect(self.training.show)
        panel.on_training(self.training.word)
        self.training.changed.connect(panel.on_training)
        panel.import_wanted.connect(lambda path: self._do(lambda: shelf.bring_in(path), "Imported."))
        panel.export_wanted.connect(lambda entry, to: self._do(lambda: shelf.export(entry, to), "Exported."))
        panel.roll_back_wanted.connect(lambda entry: self._roll_back(shelf, entry))
        panel.remove_wanted.connect(lambda entry: self._remove(shelf, entry))
        panel.set_entries(self._entries, self._client.info, self._client.adapter)
        self.refresh()
        panel.open()
        return panel

    def refresh(self) -> None:
        """Look again what there is, beside the GUI thread."""
        if self._shelf is not None:
            self._run(self._shelf.entries, self._on_entries)

    def shut_down(self) -> None:
        """Wait for what still runs; a training goes on alone."""
        self.training.let_go()
        for work in self._works:
            work.wait()
        self._works = []

    def _install(self, run: TrainingRun) -> None:
        """Put what was trained into place; the run is over with that."""
        shelf = self._shelf
        if shelf is None:
            return

        def change() -> None:
            shelf.bring_in(run.candidate, card=run.card)
            run.decide(Outcome.INSTALLED)

        def done() -> None:
            self.training.decided(run)
            self._reload(run.wish.name)
            number = next((n for n, e in enumerate(self.fitting(), 1) if e.name == run.wish.name and n <= 9), 0)
            key = f" Ctrl+{number} uses it." if number else ""
            self._notices.tell(f"The adapter {brief(run.wish.name)} is installed.{key}", about=Subject.ADAPTER)

        self._do(change, "", done)

    def _roll_back(self, shelf: AdapterShelf, entry: AdapterEntry) -> None:
        told = f"{brief(entry.name)}: the version before is back. Once more goes forward again."
        self._do(lambda: shelf.roll_back(entry), told, lambda: self._reload(entry.name))

    def _reload(self, name: str) -> None:
        """The file behind the adapter in use is another one now."""
        fresh = next((e for e in self._entries if e.name == name), None)
        if fresh is not None and self._is_in_use(fresh):
            self.use(fresh)

    def _remove(self, shelf: AdapterShelf, entry: AdapterEntry) -> None:
        if self._is_in_use(entry):
            self.use(None)
        self._do(lambda: shelf.remove(entry), f"{brief(entry.name)} was removed.")

    def _is_in_use(self, entry: AdapterEntry) -> bool:
        return self._client.adapter is not None and self._client.adapter.name == entry.name

    def _on_entries(self, found: object) -> None:
        self._entries = list(found) if isinstance(found, list) else []
        self.listed.emit(self._entries, self._client.info, self._client.adapter)

    def _do(self, change: Callable[[], object], told: str, then: Callable[[], None] | None = None) -> None:
        """A change of the files, then the new list."""

        def work() -> list[AdapterEntry]:
            change()
            return [] if self._shelf is None else self._shelf.entries()

        def done(found: object) -> None:
            self._on_entries(found)
            if told:
                self._notices.tell(told, about=Subject.ADAPTER)
            if then is not None:
                then()

        self._run(work, done)

    def _run(self, work: Callable[[], object], done: Callable[[object], None]) -> None:
        thread = BackgroundWork(lambda _job: work(), self)
        thread.succeeded.connect(done)
        thread.failed.connect(self._on_failure)
        thread.finished.connect(lambda: self._end(thread))
        self._works.append(thread)
        thread.start()

    def _end(self, thread: BackgroundWork) -> None:
        if thread in self._works:
            self._works.remove(thread)
            thread.wait()
            thread.deleteLater()

    def _on_failure(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._notices.warn(str(error), about="file")
        self.training.refresh()
        self.listed.emit(self._entries, self._client.info, self._client.adapter)
