"""What the File, Model and Help menus do: opening, importing, exporting, settings, sheets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog

from annotator.domain.brevity import brief
from annotator.domain.counting import noun_for
from annotator.domain.errors import (
    ProjectElsewhereError,
    ProjectError,
    ProjectReadOnlyError,
    ProjectUnsoundError,
    UserError,
)
from annotator.domain.ports.formats import FormatSpec
from annotator.files import places
from annotator.io.formats.registry import import_formats
from annotator.io.images.samples import write_samples
from annotator.io.project.picking import AS_REMEMBERED, OpeningWish
from annotator.io.project.place import SUFFIX, find_project, free_place
from annotator.io.project.plain_copy import PlainCopy, make_plain_copy
from annotator.io.project.store import ProjectStore
from annotator.io.settings import Settings
from annotator.ui.canvas.brush import RADIUS_PX
from annotator.ui.dialogs.settings import SettingsDialog
from annotator.ui.look.numbers import grouped
from annotator.ui.notices import Subject
from annotator.ui.project.exporting import FileExport
from annotator.ui.project.folder_question import FolderQuestion
from annotator.ui.project.frame_choice import FrameChoice
from annotator.ui.project.importing import FileImport
from annotator.ui.project.model_menu import ModelMenu
from annotator.ui.project.moved_files import MovedFiles
from annotator.ui.project.numbered import NumberedFiles
from annotator.ui.project.recent import RecentPlaces
from annotator.ui.project.session import ProjectSession
from annotator.ui.project.switch import ProjectSwitch
from annotator.ui.refine.patience import Patience
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.shell.sheets import AboutBox, ShortcutSheet
from annotator.ui.threads.background import Errand
from annotator.ui.threads.worker import EngineClient

_LEFT_OUT = "left_out"
_SHOWN_REASONS = 4


class FileActions(QObject):
    """Serves the menus around the labelling loop."""

    setting_changed = Signal(str)

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        settings: Settings,
        *,
        patience: Patience,
        switch: ProjectSwitch,
        models: ModelMenu,
        client: EngineClient,
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._settings = window, session, settings
        self._notices = window.notices
        self._patience, self._switch = patience, switch
        self.models = models
        self._recent = RecentPlaces(
            settings,
            self._notices,
            menu=window.menus["File"],
            before=window.actions_by_id["open_samples"],
            open_path=self.open_path,
            parent=window,
        )
        self._errand = Errand(self)
        self._import = FileImport(
            window,
            session,
            client,
            self._notices,
            switch=switch,
            reopen=self.open_path,
            max_pixels=lambda: int(settings.get("max_image_megapixels")) * 1_000_000,
        )
        self._moved = MovedFiles(window, session, self._notices, switch=switch, reopen=self.open_path)
        self.folder_question = FolderQuestion(session, self._notices, reopen=self.open_path, parent=window)
        self.numbered = NumberedFiles(session, self._notices, reopen=self.open_again, parent=window)
        self.frames = FrameChoice(session, self._notices, reopen=self.open_again, window=window)
        self._export = FileExport(window, session, settings, self._notices)
        self._formats = Errand(self)
        window.paths_dropped.connect(self.open_dropped)
        window.area.empty.open_wanted.connect(self.open_folder)
        window.area.empty.samples_wanted.connect(self.open_samples)
        switch.opened.connect(self._on_opened)
        switch.failed.connect(self._on_not_opened)
        switch.slow.connect(self._on_slow_opening)
        switch.ended.connect(lambda: self._notices.withdraw("opening"))

    # --- opening --------------------------------------------------------------------------------------------------

    def open_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self._window, "Open a folder of images", self._recent.start_folder)
        if name:
            self.open_path(Path(name))

    def open_project(self) -> None:
        kinds = f"Annotator projects (*{SUFFIX})"
        name, _ = QFileDialog.getOpenFileName(self._window, "Open a project", self._recent.start_folder, kinds)
        if name:
            self.open_path(Path(name))

    def open_samples(self) -> None:
        """Copy the sample images, beside the GUI thread, and open their folder."""
        folder = places.samples_dir()
        self._errand.start(
            lambda: write_samples(folder), self.open_path, lambda error: self._on_not_opened(folder, error)
        )

    def open_dropped(self, paths: list[Path]) -> None:
        """A folder, a project, or images (then their folder)."""
        path = paths[0]
        if path.is_file() and path.suffix.lower() != SUFFIX:
            path = path.parent
        self.open_path(path)

    def open_path(self, path: Path, *, project_path: Path | None = None, wish: OpeningWish = AS_REMEMBERED) -> None:
        """Open a folder or project beside the GUI thread; the work in the one that is open can go on meanwhile.

        A failure is reported in the window, with the way on where there is one.
        """
        self._notices.withdraw("file")
        self._switch.open(path, project_path=project_path, wish=wish)

    def open_again(self, path: Path, wish: OpeningWish) -> None:
        """Open the project that is open once more, with what is wished of its series."""
        self.open_path(path, wish=wish)

    def _on_not_opened(self, path: Path, error: Exception) -> None:
        if isinstance(error, ProjectReadOnlyError | ProjectElsewhereError) and path.is_dir():
            self.show_error(str(error), action=("Choose a place…", lambda: self._ask_place(path)))
        elif isinstance(error, ProjectUnsoundError):
            self.show_error(str(error), action=("Make a plain copy", lambda: self._copy_plain(path)))
        elif isinstance(error, UserError):
            is_project = path.suffix.lower() == SUFFIX
            another = ("Open another…", self.open_project) if is_project else ("Open another folder…", self.open_folder)
            self.show_error(str(error), action=another)
        else:
            raise error

    def _copy_plain(self, path: Path) -> None:
        """Go on with the rows of a project that is not opened as it is."""

        def work() -> PlainCopy:
            project = path if path.is_file() else find_project(path)
            if project is None:
                raise ProjectError(f"There is no project in {brief(path)}.", "Open the folder again.")
            return make_plain_copy(project)

        def done(copy: PlainCopy) -> None:
            self.open_path(copy.path)
            rest = "" if copy.is_whole else " Not all of it could be read."
            self.show_error(
                f"This is a plain copy, {brief(copy.path.name)}, without the history.{rest}", is_error=False
            )

        self._errand.start(work, done, lambda error: self._on_not_opened(path, error))

    def _on_slow_opening(self, path: Path, found: int) -> None:
        count = f" {grouped(found)} {noun_for(found, 'image')} so far." if found else ""
        text, stop = f"Looking through {brief(path.name)}…{count}", ("Stop", self._switch.cancel)
        self._notices.warn(text, about="opening", is_error=False, action=stop)

    def _ask_place(self, folder: Path) -> None:
        """A place for a folder's project file. Many folders are called "images": the name must not be that of another
        one's project."""
        documents = places.documents_dir()
        self._errand.start(
            lambda: free_place(documents, folder),
            lambda place: self._choose_place(folder, place),
            lambda error: self._on_not_opened(folder, error),
        )

    def _choose_place(self, folder: Path, suggestion: Path) -> None:
        kinds = f"Annotator projects (*{SUFFIX})"
        name, _ = QFileDialog.getSaveFileName(
            self._window,
            "Where shall the project file be?",
            str(suggestion),
            kinds,
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            place = Path(name)
            self.open_path(folder, project_path=place if place.suffix else place.with_suffix(SUFFIX))

    def _on_opened(self, _path: Path) -> None:
        store = self._session.store
        if store is None:
            return
        self._recent.remember(store.path, store.image_root)
        self._moved.tell()
        self.folder_question.ask()
        if store.is_read_only:
            self.show_error(f"This project is read-only. {store.read_only_reason}", is_error=False)
        elif not self._session.images and self._session.asks_for is None:
            why = f" Left out: {_some(store.left_out)}." if store.left_out else ""
            self.show_error(f"There are no images in {brief(store.image_root)}.{why}", is_error=False)
        elif store.left_out:
            self._tell_left_out(store, f"Left out of this folder: {_some(store.left_out)}.")

    def _tell_left_out(self, store: ProjectStore, text: str) -> None:
        """In the bar once, and quietly each time that the project is opened with the same left out."""
        if store.meta_get(_LEFT_OUT) == text:
            self._notices.tell(text, about=Subject.PROJECT)
            return
        self._notices.warn(text, about=f"{Subject.PROJECT}/left out", is_error=False)
        self._session.remember(_LEFT_OUT, text)

    # --- files out and in -----------------------------------------------------------------------------------------

    def export(self) -> None:
        """Export what is in the project file, as soon as no accepted object is missing there."""
        self._patience.wait(self._export.start, then="The export opens", way_out="Export without it")

    def import_file(self) -> None:
        """Ask for a file; beside the GUI thread the formats are looked up, as for an export."""
        self._formats.start(import_formats, self._ask_import, lambda error: self.show_error(str(error)))

    def _ask_import(self, formats: tuple[FormatSpec, ...]) -> None:
        patterns = {spec.title: spec.import_patterns() for spec in formats}
        kinds = [f"All formats ({' '.join(dict.fromkeys(one for several in patterns.values() for one in several))})"]
        kinds += [f"{title} ({' '.join(several)})" for title, several in patterns.items()]
        name, _ = QFileDialog.getOpenFileName(self._window, "Import", "", ";;".join(kinds))
        if name:
            self.import_path(Path(name))

    def import_path(self, path: Path) -> None:
        """Import, unless the project is read-only."""
        store = self._session.store
        if store is not None and store.is_read_only:
            self.show_error(f"This project is read-only. {store.read_only_reason}", is_error=False)
        else:
            self._import.start(path)

    # --- settings and sheets ---------------------------------------------------------------------------------------

    def show_settings(self) -> SettingsDialog:
        dialog = SettingsDialog(self._settings, self._window)
        dialog.changed.connect(self.setting_changed)
        dialog.failed.connect(lambda text: self._notices.tell(text, about="settings"))
        self.models.found.connect(dialog.set_models)
        dialog.set_models(self.models.names)
        self.models.look()
        dialog.open()
        return dialog

    def show_keys(self) -> ShortcutSheet:
        actions = self._window.actions_by_id
        sheet = ShortcutSheet(actions.keymap, self._window, rows=actions.rows.values())
        sheet.open()
        return sheet

    def show_about(self) -> AboutBox:
        box = AboutBox(self.models.info, self._window)
        box.open()
        return box

    def show_error(
        self, text: str, *, is_error: bool = True, action: tuple[str, Callable[[], None]] | None = None
    ) -> None:
        self._notices.warn(text, about="file", is_error=is_error, action=action)

    # --- what the window remembers ----------------------------------------------------------------------------------

    def restore_window(self) -> None:
        """Put panels where they were; text that makes no sense is left alone."""
        try:
            kept = json.loads(self._settings.get("panels") or "{}")
            geometry, state = bytes.fromhex(kept.get("geometry", "")), bytes.fromhex(kept.get("state", ""))
            hidden, opened = ([str(name) for name in kept.get(key, [])] for key in ("hidden", "opened"))
            self._window.area.hint.is_wanted = bool(kept.get("hint", True))
            self._window.canvas.brush.set_radius(float(kept.get("brush_radius_px", RADIUS_PX)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            geometry, state, hidden, opened = b"", b"", [], []
        self._window.restore_layout(geometry, state, hidden=hidden, opened=opened)

    def remember_window(self) -> None:
        geometry, state = self._window.layout_state()
        panels = {"hidden": self._window.hidden_panels(), "opened": self._window.opened_panels()}
        kept = {"geometry": geometry.hex(), "state": state.hex(), **panels}
        brush = {"brush_radius_px": self._window.canvas.brush.radius_px}
        text = json.dumps({**kept, **brush, "hint": self._window.area.hint.is_wanted})
        try:
            self._settings.set("panels", text)
        except UserError as error:
            self._notices.tell(str(error), about="settings")

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._errand.shut_down()
        self._recent.shut_down()
        self._import.shut_down()
        self._moved.shut_down()
        self.folder_question.shut_down()
        self.numbered.shut_down()
        self.frames.shut_down()
        self._export.shut_down()
        self._formats.shut_down()
        self._switch.shut_down()
        self.models.shut_down()


def _some(lines: tuple[str, ...]) -> str:
    """The first few reasons, and how many more there are."""
    more = len(lines) - _SHOWN_REASONS
    return "; ".join((*lines[:_SHOWN_REASONS], *((f"{more} more reasons",) if more > 0 else ())))
