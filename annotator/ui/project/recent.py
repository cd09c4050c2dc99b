"""The folders and projects that were open: the menu that goes back to one, and what is opened at the next start."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QThreadPool, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from annotator.domain.errors import UserError
from annotator.io.project.place import SUFFIX
from annotator.io.settings import Settings
from annotator.ui.look.plain import menu_text
from annotator.ui.notices import Notices
from annotator.ui.threads.loading import PoolJob

_LABEL_PX = 360
_SETTINGS = "settings"


class RecentPlaces(QObject):
    """Serves *File, Open recent*.

    Args:
        menu, before: where its own menu is put in.
        open_path: opens a folder or a project file.
    """

    _remembered = Signal(object)

    def __init__(
        self,
        settings: Settings,
        notices: Notices,
        *,
        menu: QMenu,
        before: QAction,
        open_path: Callable[[Path], None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._settings, self._notices, self._open_path = settings, notices, open_path
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._remembered.connect(self._on_remembered)
        self.menu = QMenu("Open &recent", parent)
        menu.insertMenu(before, self.menu)
        menu.aboutToShow.connect(self.fill)
        self.fill()

    @property
    def start_folder(self) -> str:
        """Where a dialog that opens something begins."""
        last = str(self._settings.get("last_folder"))
        if last.endswith(SUFFIX):
            return str(Path(last).parent)
        return last or str(Path.home())

    def remember(self, project: Path, image_root: Path) -> None:
        """What leads back to a project: its folder, or the file itself when nobody would look for it there. Written
        beside the GUI thread, which has the first picture to show then."""
        is_plain = project.parent == image_root and project.stem == image_root.name
        place = str(image_root if is_plain else project)
        self._pool.start(
            PoolJob(lambda: self._settings.remember_folder(place), lambda _done, error: self._remembered.emit(error))
        )

    def shut_down(self) -> None:
        """What is being written is written."""
        self._pool.waitForDone()

    def fill(self) -> None:
        """Name the places, newest first; the disk is not asked whether they are still there."""
        self.menu.clear()
        places = [str(place) for place in self._settings.get("recent_folders")]
        for number, place in enumerate(places, start=1):
            label = self._label(place)
            action = self.menu.addAction(f"&{number}  {label}" if number < 10 else f"{number}  {label}")
            action.setToolTip(place)
            action.triggered.connect(lambda _=False, place=place: self._open_path(Path(place)))
        if places:
            self.menu.addSeparator()
            self.menu.addAction("Clear this list").triggered.connect(self._clear)
        self.menu.setEnabled(bool(places))

    def _label(self, place: str) -> str:
        home = str(Path.home())
        short = f"~{place.removeprefix(home)}" if place.startswith(home + os.sep) else place
        fitting = self.menu.fontMetrics().elidedText(short, Qt.TextElideMode.ElideMiddle, _LABEL_PX)
        return menu_text(fitting)

    @Slot(object)
    def _on_remembered(self, error: Exception | None) -> None:
        if isinstance(error, UserError):
            self._notices.tell(str(error), about=_SETTINGS)
        elif error is not None:
            raise error

    def _clear(self) -> None:
        try:
            self._settings.reset("recent_folders")
        except UserError as error:
            self._notices.tell(str(error), about=_SETTINGS)
        self.fill()
