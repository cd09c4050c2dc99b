"""What the File, Model and Help menus do: opening, importing, exporting, settings, models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QFileDialog, QMenu

from annotator.domain.errors import ProjectReadOnlyError, UserError
from annotator.domain.ports import ModelInfo
from annotator.io.importers.coco import import_coco
from annotator.io.settings import Settings
from annotator.io.store import ProjectStore
from annotator.io.store_place import SUFFIX
from annotator.ui.background import BackgroundWork, Progress
from annotator.ui.dialogs import ExportDialog, SettingsDialog, WorkDialog
from annotator.ui.main_window import MainWindow
from annotator.ui.model_download import Downloaded, Fetch, download_dialog, fetch_model
from annotator.ui.numbers import grouped
from annotator.ui.patience import Patience
from annotator.ui.project_switch import ProjectSwitch
from annotator.ui.samples import write_samples
from annotator.ui.session import ProjectSession
from annotator.ui.sheets import AboutBox, ShortcutSheet

ListModels = Callable[[], list[Any]]
"""All models of the registry: objects with ``name``, ``is_present``, ``is_verified`` and ``note``."""


class FileActions(QObject):
    """Serves the menus around the labelling loop.

    Args:
        list_models: asked on a thread of its own (it hashes files); None leaves the Model menu to one line.
    """

    setting_changed = Signal(str)
    model_wanted = Signal(str)
    """Name of a model that shall be loaded."""
    models_found = Signal(object)
    """The list of all models, once it was looked up."""

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        settings: Settings,
        *,
        patience: Patience,
        switch: ProjectSwitch,
        list_models: ListModels | None,
        fetch: Fetch = fetch_model,
    ) -> None:
        super().__init__(window)
        self._fetch = fetch
        self._window, self._session, self._settings = window, session, settings
        self._patience, self._switch = patience, switch
        self._list_models = list_models
        self._models_work: BackgroundWork | None = None
        self._samples_work: BackgroundWork | None = None
        self._model_names: list[Any] = []
        self.info: ModelInfo | None = None
        window.paths_dropped.connect(self.open_dropped)
        window.area.empty.open_wanted.connect(self.open_folder)
        window.area.empty.samples_wanted.connect(self.open_samples)
        switch.opened.connect(self._on_opened)
        switch.failed.connect(self._on_not_opened)
        switch.slow.connect(self._on_slow_opening)
        switch.ended.connect(lambda: window.area.error_bar.withdraw("opening"))
        window.menus["Model"].aboutToShow.connect(self._fill_model_menu)
        self._fill_model_menu()

    # --- opening --------------------------------------------------------------------------------------------------

    def open_folder(self) -> None:
        start = self._settings.get("last_folder") or str(Path.home())
        name = QFileDialog.getExistingDirectory(self._window, "Open a folder of images", start)
        if name:
            self.open_path(Path(name))

    def open_project(self) -> None:
        start = self._settings.get("last_folder") or str(Path.home())
        kinds = f"Annotator projects (*{SUFFIX})"
        name, _ = QFileDialog.getOpenFileName(self._window, "Open a project", start, kinds)
        if name:
            self.open_path(Path(name))

    def open_samples(self) -> None:
        """Copy the sample images, beside the GUI thread, and open their folder."""
        if self._samples_work is not None:
            return
        folder = platformdirs.user_data_path("annotator", appauthor=False) / "samples"
        work = self._samples_work = BackgroundWork(lambda _progress: write_samples(folder), self)
        work.succeeded.connect(self.open_path)
        work.failed.connect(lambda error: self._on_not_opened(folder, error))
        work.finished.connect(self._end_samples_work)
        work.start()

    def _end_samples_work(self) -> None:
        if self._samples_work is not None:
            self._samples_work.wait()
            self._samples_work.deleteLater()
            self._samples_work = None

    def open_dropped(self, paths: list[Path]) -> None:
        """A folder, a project, or images (then their folder)."""
        path = paths[0]
        if path.is_file() and path.suffix.lower() != SUFFIX:
            path = path.parent
        self.open_path(path)

    def open_path(self, path: Path, *, project_path: Path | None = None) -> None:
        """Open a folder or project beside the GUI thread; the work in the one that is open can go on meanwhile.

        A failure is told in the window, with the way on where there is one.
        """
        self._window.area.error_bar.withdraw("file")
        self._switch.open(path, project_path=project_path)

    def _on_not_opened(self, path: Path, error: Exception) -> None:
        if isinstance(error, ProjectReadOnlyError):
            self.show_error(str(error), action=("Choose a place…", lambda: self._ask_place(path)))
        elif isinstance(error, UserError):
            is_project = path.suffix.lower() == SUFFIX
            another = ("Open another…", self.open_project) if is_project else ("Open another folder…", self.open_folder)
            self.show_error(str(error), action=another)
        else:
            raise error

    def _on_slow_opening(self, path: Path, found: int) -> None:
        count = f" {grouped(found)} images so far." if found else ""
        self._window.area.error_bar.show_message(
            f"Looking through {path.name}…{count}",
            is_error=False,
            action=("Stop", self._switch.cancel),
            topic="opening",
        )

    def _ask_place(self, folder: Path) -> None:
        suggestion = platformdirs.user_documents_path() / f"{folder.name}{SUFFIX}"
        kinds = f"Annotator projects (*{SUFFIX})"
        name, _ = QFileDialog.getSaveFileName(
            *(self._window, "Where shall the project file be?", str(suggestion), kinds),
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            place = Path(name)
            self.open_path(folder, project_path=place if place.suffix else place.with_suffix(SUFFIX))

    def _on_opened(self, path: Path) -> None:
        store = self._session.store
        if store is None:
            return
        try:
            self._settings.remember_folder(str(path if path.is_dir() else store.image_root))
        except UserError as error:
            self._window.status.tell(str(error))
        if store.is_read_only:
            self.show_error(f"This project is read-only. {store.read_only_reason}", is_error=False)
        elif not self._session.images:
            self.show_error(f"There are no images in {store.image_root}.", is_error=False)

    # --- files out and in -----------------------------------------------------------------------------------------

    def export(self) -> None:
        """Export what is in the project file, as soon as no accepted object is missing there."""
        self._patience.wait(self._show_export, then="The export opens", way_out="Export without it")

    def _show_export(self) -> None:
        if self._session.store is None:
            return
        dialog = ExportDialog(self._session.store.path, self._window)
        dialog.done_with.connect(lambda report: self._window.status.tell(report.lines()[0]))
        dialog.open()

    def import_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self._window, "Import COCO", "", "COCO annotations (*.json)")
        if name:
            self.import_path(Path(name))

    def import_path(self, path: Path) -> None:
        """Import on a thread of its own, which is the project's one writer meanwhile."""
        store = self._session.store
        if store is None:
            return
        if store.is_read_only:
            self.show_error(f"This project is read-only. {store.read_only_reason}", is_error=False)
            return
        self._switch.cancel()
        project, author = store.path, store.author
        self._switch.close_then(
            lambda: self._start_import(path, project, author),
            then="The import begins",
            way_out="Import without it",
        )

    def _start_import(self, path: Path, project: Path, author: str) -> None:
        dialog = WorkDialog("Import COCO", self._window)
        dialog.form.hide()
        dialog.start_button.hide()
        dialog.finished.connect(lambda _code: self.open_path(project))

        def work(progress: Progress) -> object:
            with ProjectStore.open(project, author=author) as writer:
                return import_coco(writer, path, progress=progress)

        dialog.open()
        dialog.start(work)

    # --- settings and sheets ---------------------------------------------------------------------------------------

    def show_settings(self) -> SettingsDialog:
        dialog = SettingsDialog(self._settings, self._window)
        dialog.changed.connect(self.setting_changed)
        dialog.failed.connect(self._window.status.tell)
        self.models_found.connect(dialog.set_models)
        dialog.set_models(self._model_names)
        self._look_for_models()
        dialog.open()
        return dialog

    def show_keys(self) -> ShortcutSheet:
        sheet = ShortcutSheet(self._window.actions_by_id.keymap, self._window)
        sheet.open()
        return sheet

    def show_about(self) -> AboutBox:
        box = AboutBox(self.info, self._window)
        box.open()
        return box

    def show_error(
        self, text: str, *, is_error: bool = True, action: tuple[str, Callable[[], None]] | None = None
    ) -> None:
        self._window.area.error_bar.show_message(text, is_error=is_error, action=action, topic="file")

    # --- what the window remembers ----------------------------------------------------------------------------------

    def restore_window(self) -> None:
        """Put panels where they were; text that makes no sense is left alone."""
        try:
            kept = json.loads(self._settings.get("panels") or "{}")
            geometry, state = bytes.fromhex(kept.get("geometry", "")), bytes.fromhex(kept.get("state", ""))
            hidden = [str(name) for name in kept.get("hidden", [])]
            self._window.area.hint.is_wanted = bool(kept.get("hint", True))
        except (ValueError, TypeError, AttributeError):
            geometry, state, hidden = b"", b"", []
        self._window.restore_layout(geometry, state, hidden)

    def remember_window(self) -> None:
        geometry, state = self._window.layout_state()
        kept = {"geometry": geometry.hex(), "state": state.hex(), "hidden": self._window.hidden_panels()}
        text = json.dumps({**kept, "hint": self._window.area.hint.is_wanted})
        try:
            self._settings.set("panels", text)
        except UserError as error:
            self._window.status.tell(str(error))

    # --- models -----------------------------------------------------------------------------------------------------

    def _fill_model_menu(self) -> None:
        menu = self._window.menus["Model"]
        menu.clear()
        if self._model_names:
            self._add_models(menu)
        else:
            note = menu.addAction("Looking for models…" if self._list_models else "No models to choose from")
            note.setEnabled(False)
        self._add_adapters(menu)
        self._look_for_models()

    def _look_for_models(self) -> None:
        if self._list_models is None or self._models_work is not None or self._model_names:
            return
        # Nothing is looked up before the menu is opened for the first time: it would delay the window.
        if not self._window.isVisible():
            return
        find = self._list_models
        work = BackgroundWork(lambda _progress: find(), self)
        work.succeeded.connect(self._on_models)
        work.failed.connect(lambda error: self._window.status.tell(f"The models cannot be listed: {error}"))
        work.finished.connect(self._end_models_work)
        self._models_work = work
        work.start()

    def _end_models_work(self) -> None:
        if self._models_work is not None:
            self._models_work.deleteLater()
            self._models_work = None

    def _on_models(self, found: object) -> None:
        self._model_names = list(found) if isinstance(found, list | tuple) else []
        menu = self._window.menus["Model"]
        menu.clear()
        self._add_models(menu)
        self._add_adapters(menu)
        self.models_found.emit(self._model_names)

    def _add_adapters(self, menu: QMenu) -> None:
        menu.addSeparator()
        menu.addAction(self._window.actions_by_id["adapters"])

    def _add_models(self, menu: QMenu) -> None:
        group = QActionGroup(menu)
        for model in self._model_names:
            if not model.is_present:
                action = menu.addAction(f"Download {model.name}…")
                action.triggered.connect(lambda _=False, name=model.name: self.download(name))
                continue
            action = menu.addAction(model.name)
            action.setCheckable(True)
            action.setChecked(self.info is not None and self.info.name == model.name)
            action.setToolTip(model.note or ("" if model.is_verified else "not verified"))
            group.addAction(action)
            action.triggered.connect(lambda _=False, name=model.name: self.model_wanted.emit(name))

    def download(self, name: str) -> None:
        """Fetch a model with progress, then use it."""
        download_dialog(name, self._fetch, self._window).done_with.connect(self._on_downloaded)

    def _on_downloaded(self, result: Downloaded) -> None:
        self._model_names = []  # looked up again: one more is here now
        self.model_wanted.emit(result.name)
        self._look_for_models()

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._end_samples_work()
        self._switch.shut_down()
        if self._models_work is not None:
            self._models_work.wait()
            self._end_models_work()
