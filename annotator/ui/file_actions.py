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

    def __init__(
        self, window: MainWindow, session: ProjectSession, settings: Settings, *, list_models: ListModels | None
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._settings = window, session, settings
        self._list_models = list_models
        self._models_work: BackgroundWork | None = None
        self._model_names: list[Any] = []
        self.info: ModelInfo | None = None
        window.paths_dropped.connect(self.open_dropped)
        window.area.empty.open_wanted.connect(self.open_folder)
        window.area.empty.samples_wanted.connect(self.open_samples)
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
        try:
            folder = write_samples(platformdirs.user_data_path("annotator", appauthor=False) / "samples")
        except UserError as error:
            self.show_error(str(error))
            return
        self.open_path(folder)

    def open_dropped(self, paths: list[Path]) -> None:
        """A folder, a project, or images (then their folder)."""
        path = paths[0]
        if path.is_file() and path.suffix.lower() != SUFFIX:
            path = path.parent
        self.open_path(path)

    def open_path(self, path: Path, *, project_path: Path | None = None) -> bool:
        """Open a folder or project; a failure is told in the window, with the way on where there is one."""
        try:
            self._session.open_path(path, project_path=project_path)
        except ProjectReadOnlyError as error:
            self.show_error(str(error), action=("Choose a place…", lambda: self._ask_place(path)))
            return False
        except UserError as error:
            self.show_error(str(error))
            return False
        self._after_opening(path)
        return True

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

    def _after_opening(self, path: Path) -> None:
        store = self._session.store
        if store is None:
            return
        self._window.area.error_bar.withdraw("file")
        try:
            self._settings.remember_folder(str(path if path.is_dir() else store.image_root))
        except UserError as error:
            self._window.status.tell(str(error))
        if store.is_read_only:
            self.show_error(f"This project is read-only. {store.read_only_reason}", is_error=False)
        elif not self._session.images:
            self.show_error(f"There are no images in {store.image_root}.", is_error=False)

    # --- files out and in -----------------------------------------------------------------------------------------

    def export(self) -> ExportDialog | None:
        if self._session.store is None:
            return None
        dialog = ExportDialog(self._session.store.path, self._window)
        dialog.done_with.connect(lambda report: self._window.status.tell(report.lines()[0]))
        dialog.open()
        return dialog

    def import_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self._window, "Import COCO", "", "COCO annotations (*.json)")
        if name:
            self.import_path(Path(name))

    def import_path(self, path: Path) -> WorkDialog | None:
        """Import on a thread of its own, which is the project's one writer meanwhile."""
        store = self._session.store
        if store is None:
            return None
        if store.is_read_only:
            self.show_error(f"This project is read-only. {store.read_only_reason}", is_error=False)
            return None
        project, author = store.path, store.author
        dialog = WorkDialog("Import COCO", self._window)
        dialog.form.hide()
        dialog.start_button.hide()
        dialog.finished.connect(lambda _code: self.open_path(project))

        def work(progress: Progress) -> object:
            with ProjectStore.open(project, author=author) as writer:
                return import_coco(writer, path, progress=progress)

        self._session.close()
        dialog.open()
        dialog.start(work)
        return dialog

    # --- settings and sheets ---------------------------------------------------------------------------------------

    def show_settings(self) -> SettingsDialog:
        dialog = SettingsDialog(self._settings, self._window)
        dialog.changed.connect(self.setting_changed)
        dialog.failed.connect(self._window.status.tell)
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

    def _add_models(self, menu: QMenu) -> None:
        group = QActionGroup(menu)
        for model in self._model_names:
            text = (
                model.name if model.is_present else f"{model.name} (not here: annotator models download {model.name})"
            )
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(self.info is not None and self.info.name == model.name)
            action.setEnabled(bool(model.is_present))
            action.setToolTip(model.note or ("" if model.is_verified else "not verified"))
            group.addAction(action)
            action.triggered.connect(lambda _=False, name=model.name: self.model_wanted.emit(name))

    def shut_down(self) -> None:
        """Wait for a look-up that still runs."""
        if self._models_work is not None:
            self._models_work.wait()
            self._end_models_work()
