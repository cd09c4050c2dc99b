"""One panel for all weights: what each can, what it needs, where it lies; download, import, accept, verify, remove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.brevity import brief
from annotator.domain.budget import in_words
from annotator.domain.errors import UserError
from annotator.engine import overview, terms, weights
from annotator.engine.overview import ModelRow
from annotator.jobs.job import Job
from annotator.ui.dialogs.model_download import Downloaded, Fetch, download_dialog
from annotator.ui.dialogs.note import Note
from annotator.ui.dialogs.scroll_pane import fit_to_screen
from annotator.ui.dialogs.work_dialog import WorkDialog, title_label
from annotator.ui.threads.background import Errand
from annotator.ui.threads.jobs import JobBoard

_COLUMNS = ("Model", "For", "Size", "Licence", "State")
_WIDTHS_PX = (190, 100, 76, 190)
_SIZE_PX = (860, 560)


class ModelsDialog(QDialog):
    """Lists all models. Files are read beside the GUI thread.

    Args:
        fetch: how one is downloaded; look: says which there are, every byte of them looked at or not.
    """

    wanted = Signal(str)
    """Name of a model that shall answer clicks."""
    changed = Signal()
    """A model came or went."""

    def __init__(
        self,
        parent: QWidget | None,
        *,
        fetch: Fetch,
        board: JobBoard | None = None,
        look: Callable[..., Sequence[ModelRow]] = overview.rows,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._fetch, self._board, self._look = fetch, board, look
        self._errand = Errand(self)
        self._rows: dict[str, ModelRow] = {}
        self.list = QTreeWidget()
        self.list.setAccessibleName("Models")
        self.list.setRootIsDecorated(False)
        self.list.setAllColumnsShowFocus(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setHeaderLabels(list(_COLUMNS))
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        for column, width_px in enumerate(_WIDTHS_PX):
            self.list.setColumnWidth(column, width_px)
        self.list.header().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.list.header().setStretchLastSection(True)
        self.list.currentItemChanged.connect(lambda *_: self._show_chosen())
        self.list.itemDoubleClicked.connect(lambda *_: self._use())
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details.setMinimumHeight(5 * self.details.fontMetrics().lineSpacing())
        self.details.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.total, self.note = QLabel(), Note()
        self.total.setObjectName("dim")
        self.use_button = self._button("Use for clicks", self._use)
        self.download_button = self._button("Download…", self._download)
        self.folder_button = self._button("Import a folder…", lambda: self._import(is_folder=True))
        self.file_button = self._button("Import a file…", lambda: self._import(is_folder=False))
        self.accept_button = self._button("Accept licence…", self._accept)
        self.remove_button = self._button("Remove…", self._remove)
        self.verify_button = self._button("Verify all", lambda: self.refresh(is_thorough=True))
        self._lay_out()
        self.refresh()

    def refresh(self, *, is_thorough: bool = False) -> None:
        """Look again what there is; ``is_thorough``: hash every file."""
        self.total.setText("Verifying every file…" if is_thorough else "Looking for models…")
        self._errand.start(lambda: self._look(is_thorough=is_thorough), self._show, self._fail)

    @property
    def chosen(self) -> ModelRow | None:
        item = self.list.currentItem()
        return None if item is None else self._rows.get(item.text(0))

    def done(self, result: int) -> None:
        self._errand.shut_down()
        super().done(result)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _button(self, text: str, run: Callable[[], object]) -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _=False: run())
        return button

    def _lay_out(self) -> None:
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 20, 20, 16)
        box.setSpacing(10)
        box.addWidget(title_label("Models"))
        box.addWidget(self.list, 1)
        box.addWidget(self.details)
        box.addWidget(self.note)
        grid = QGridLayout()
        first = (self.use_button, self.download_button, self.accept_button, self.remove_button)
        second = (self.folder_button, self.file_button, self.verify_button)
        for row, buttons in enumerate((first, second)):
            for column, button in enumerate(buttons):
                grid.addWidget(button, row, column)
        close = self._button("Close", self.reject)
        grid.addWidget(close, 1, 3)
        box.addWidget(self.total)
        box.addLayout(grid)
        self.resize(*_SIZE_PX)
        fit_to_screen(self)
        self._show_chosen()

    def _show(self, found: Sequence[ModelRow]) -> None:
        kept = self.chosen.name if self.chosen is not None else ""
        self._rows = {row.name: row for row in found}
        self.list.clear()
        for row in found:
            item = QTreeWidgetItem([row.name, row.role, row.size, row.licence, row.state])
            item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for column in range(len(_COLUMNS)):
                item.setToolTip(column, item.text(column))
            if row.is_ready:
                font = item.font(0)
                font.setBold(True)
                item.setFont(0, font)
            self.list.addTopLevelItem(item)
            if row.name == kept:
                self.list.setCurrentItem(item)
        first = self.list.topLevelItem(0)
        if self.list.currentItem() is None and first is not None:
            self.list.setCurrentItem(first)
        disk = in_words(overview.disk_bytes(tuple(found)))
        self.total.setText(f"{disk} on the disk; what can be used now is bold. Yours lie in {weights.user_dir()}")
        self._show_chosen()

    def _show_chosen(self) -> None:
        row = self.chosen
        self.details.setText("" if row is None else row.details)
        self.use_button.setEnabled(row is not None and row.can_use)
        self.download_button.setEnabled(row is not None and row.can_download)
        self.accept_button.setEnabled(row is not None and row.can_accept)
        self.remove_button.setEnabled(row is not None and row.can_remove)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self.total.setText("")
        self.note.say(str(error))

    def _use(self) -> None:
        if self.chosen is not None and self.chosen.can_use:
            self.wanted.emit(self.chosen.name)
            self.accept()

    def _download(self) -> None:
        row = self.chosen
        if row is not None and self._is_agreed(row, "Download"):
            dialog = download_dialog(row.name, self._fetch, self, self._board)
            dialog.done_with.connect(lambda _result: self._on_changed())

    def _import(self, *, is_folder: bool) -> None:
        title, row = "Import a model", self.chosen
        if is_folder:
            name = QFileDialog.getExistingDirectory(self, f"{title}: its folder")
        else:
            name, _ = QFileDialog.getOpenFileName(self, title, "", "Models (*.pt *.pth *.safetensors *.zip)")
        if name:
            self.take_in(Path(name), row)

    def take_in(self, path: Path, row: ModelRow | None) -> WorkDialog:
        """Copy a file or folder to the models; the chosen one is meant when it does not say which it is."""
        named = row.name if row is not None and row.place is None and row.role != "adapter" else ""
        dialog = WorkDialog("Import a model", self, board=self._board)
        dialog.form.hide()
        dialog.start_button.hide()

        def work(job: Job) -> object:
            try:
                return Downloaded(weights.import_file(path, progress=job.progress).name)
            except UserError:
                if not named or not (path.is_dir() or path.suffix.lower() == ".zip"):
                    raise
                return Downloaded(weights.import_file(path, name=named, progress=job.progress).name)

        dialog.done_with.connect(lambda _result: self._on_changed())
        dialog.open()
        dialog.start(work, job=Job(f"Import {path.name}", unit="B"))
        return dialog

    def _accept(self) -> None:
        row = self.chosen
        if row is not None and self._is_agreed(row, "Accept"):
            self._on_changed()

    def _remove(self) -> None:
        row = self.chosen
        if row is None or not self._asks(f"Remove {brief(row.name)} ({row.size}) from this computer?", "Remove"):
            return
        self._errand.start(lambda: weights.remove(row.name), lambda _freed: self._on_changed(), self._fail)

    def _is_agreed(self, row: ModelRow, verb: str) -> bool:
        """Shows the licence; one of a model's own is noted as accepted."""
        text = f"{brief(row.name)} has this licence: {row.licence}.\nRead it at {row.page}."
        if not self._asks(text, verb):
            return False
        entry = weights.registry().get(row.name)
        if entry is not None and entry.has_terms:
            try:
                terms.accept(entry)
            except UserError as error:
                self._fail(error)
                return False
        return True

    def _asks(self, text: str, verb: str) -> bool:
        box = QMessageBox(self)
        box.setWindowTitle("Models")
        box.setText(text)
        yes = box.addButton(verb, QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        return bool(box.clickedButton() is yes)

    def _on_changed(self) -> None:
        self.note.say("")
        self.refresh()
        self.changed.emit()
