"""The Model menu: the registry's models to use or to download, and the way to the adapters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from annotator.domain.ports.engine import ModelInfo
from annotator.ui.dialogs.model_download import Downloaded, Fetch, download_dialog, fetch_model, import_dialog
from annotator.ui.dialogs.models import ModelsDialog
from annotator.ui.dialogs.remote_server import RemoteServerDialog
from annotator.ui.look.plain import menu_text
from annotator.ui.notices import Notices, Subject
from annotator.ui.threads.background import BackgroundWork
from annotator.ui.threads.jobs import JobBoard

ListModels = Callable[[], list[Any]]
"""All models of the registry: objects with ``name``, ``is_present``, ``is_verified`` and ``note``."""


def _is_offered(model: Any) -> bool:
    """Whether the menu itself offers a model that is not here: those that the program recommends."""
    entry = getattr(model, "entry", None)
    return entry is None or entry.kind == "sam2"


def _titled(model: Any) -> str:
    """Its name; what it is good at stands where keys do in other menus."""
    entry = getattr(model, "entry", None)
    good_at = "" if entry is None else entry.good_at
    return f"{menu_text(model.name)}\t{menu_text(good_at)}" if good_at else menu_text(model.name)


class ModelMenu(QObject):
    """Fills the menu when it is opened.

    Args:
        menu, last: what is filled, and the action that stands last in it.
        board: lists imports and downloads.
        list_models: asked on a thread of its own (it hashes files); None leaves the menu to one line.

    Attributes:
        names: the models that were found, empty until the menu was opened.
        info: the model in use; None while none is.
    """

    wanted = Signal(str)
    """Name of a model that shall be loaded."""
    found = Signal(object)
    """The list of all models, once it was looked up."""

    def __init__(
        self,
        menu: QMenu,
        notices: Notices,
        *,
        last: QAction,
        list_models: ListModels | None,
        parent: QWidget,
        fetch: Fetch = fetch_model,
        board: JobBoard | None = None,
    ) -> None:
        super().__init__(parent)
        self._menu, self._notices, self._last, self._parent = menu, notices, last, parent
        self._list_models, self._fetch, self._board = list_models, fetch, board
        self._work: BackgroundWork | None = None
        self.names: list[Any] = []
        self.info: ModelInfo | None = None
        self._menu.aboutToShow.connect(self._fill)
        self._fill()

    def look(self) -> None:
        """Find the models, unless that was done. Not before the window is there: it would delay it."""
        if self._list_models is None or self._work is not None or self.names or not self._parent.isVisible():
            return
        find = self._list_models
        work = self._work = BackgroundWork(lambda _job: find(), self)
        work.succeeded.connect(self._on_found)
        work.failed.connect(self._on_failure)
        work.finished.connect(self._end_work)
        work.start()

    def shut_down(self) -> None:
        """Wait for what still runs."""
        if self._work is not None:
            self._work.wait()
            self._end_work()

    def _fill(self) -> None:
        self._menu.clear()
        if self.names:
            self._add_models()
        else:
            note = self._menu.addAction("Looking for models…" if self._list_models else "No models to choose from")
            note.setEnabled(False)
        if self._list_models is not None:
            self._menu.addAction("Import a model file…").triggered.connect(self.ask_file)
            server = self._menu.addAction("Remote server…")
            server.setCheckable(True)
            server.setChecked(self.info is not None and bool(self.info.server))
            server.triggered.connect(lambda _=False: self.ask_server())
            self._menu.addAction("All models…").triggered.connect(self.show_all)
        self._menu.addSeparator()
        self._menu.addAction(self._last)
        self.look()

    def _add_models(self) -> None:
        group = QActionGroup(self._menu)
        for model in self.names:
            if not model.is_present and not _is_offered(model):
                continue  # in the panel of all models
            if not model.is_present:
                action = self._menu.addAction(f"Download {menu_text(model.name)}…")
                action.triggered.connect(lambda _=False, name=model.name: self.download(name))
                continue
            action = self._menu.addAction(_titled(model))
            action.setCheckable(True)
            action.setChecked(self.info is not None and self.info.source == model.name)
            action.setToolTip(model.note or ("" if model.is_verified else "not verified"))
            group.addAction(action)
            action.triggered.connect(lambda _=False, name=model.name: self.wanted.emit(name))

    def _on_found(self, found: object) -> None:
        self.names = list(found) if isinstance(found, list | tuple) else []
        self._fill()
        self.found.emit(self.names)

    def _on_failure(self, error: Exception) -> None:
        self._notices.tell(f"The models cannot be listed: {error}", about=Subject.MODEL)

    def _end_work(self) -> None:
        if self._work is not None:
            self._work.deleteLater()
            self._work = None

    def ask_file(self) -> None:
        """Take a weights file of a known model from anywhere on this computer, then use it."""
        kinds = "Weights (*.pt *.safetensors)"
        name, _ = QFileDialog.getOpenFileName(self._parent, "Import a model file", "", kinds)
        if name:
            import_dialog(Path(name), self._parent, self._board).done_with.connect(self._on_downloaded)

    def ask_server(self) -> None:
        """Take the address of a server, then use its model."""
        dialog = RemoteServerDialog("" if self.info is None else self.info.source, self._parent, board=self._board)
        dialog.done_with.connect(lambda found: self.wanted.emit(found.address.text))
        dialog.open()

    def show_all(self) -> None:
        """The panel of all models: for clicks, words and names, and adapters."""
        dialog = ModelsDialog(self._parent, fetch=self._fetch, board=self._board)
        dialog.wanted.connect(self.wanted)
        dialog.changed.connect(self._look_again)
        dialog.open()

    def _look_again(self) -> None:
        self.names = []
        self.look()

    def download(self, name: str) -> None:
        """Fetch a model with progress, then use it."""
        download_dialog(name, self._fetch, self._parent, self._board).done_with.connect(self._on_downloaded)

    def _on_downloaded(self, result: Downloaded) -> None:
        self.names = []  # looked up again: one more is here now
        self.wanted.emit(result.name)
        self.look()
