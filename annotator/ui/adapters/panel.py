"""The list of prompt adapters: which there are, what they are for, what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.adapter import DECIDING
from annotator.domain.brevity import brief
from annotator.domain.ports.engine import AdapterInUse, ModelInfo
from annotator.engine.sam2.adapter_shelf import AdapterEntry
from annotator.ui.dialogs.work_dialog import title_label

ROLL_BACK_KEY = "R"
COLUMNS = ("Key", "Adapter", "For", "Base", "Size", "Date", "Boundary IoU")
_KINDS = "Prompt adapters (*.safetensors)"
_WIDTH_PX = 780
_EMPTY = "No adapters yet. Train one from the accepted objects, or import a file."


class AdapterPanel(QDialog):
    """A table and buttons; what they do is done by whoever listens."""

    use_wanted = Signal(object)
    """AdapterEntry, or None for no adapter"""
    train_wanted = Signal()
    import_wanted = Signal(object)
    """Path"""
    export_wanted = Signal(object, object)
    """(AdapterEntry, Path)"""
    roll_back_wanted = Signal(object)
    remove_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Adapters")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(_WIDTH_PX)
        self._entries: list[AdapterEntry] = []
        self._model: ModelInfo | None = None
        self._in_use: AdapterInUse | None = None
        self.table = self._make_table()
        self.note = QLabel(_EMPTY)
        self.note.setObjectName("dim")
        self.note.setWordWrap(True)
        buttons = self._make_buttons()
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 20, 20, 16)
        box.setSpacing(16)
        box.addWidget(title_label("Adapters"))
        box.addWidget(self.table, 1)
        box.addWidget(self.note)
        box.addLayout(buttons)
        self._add_keys()
        self._refresh_buttons()

    def _make_buttons(self) -> QHBoxLayout:
        self.use_button = self._button("Use", self._use)
        self.use_button.setObjectName("primary")
        self.none_button = self._button("Use none", lambda: self.use_wanted.emit(None))
        self.train_button = self._button("Train…", self._train)
        self.import_button = self._button("Import…", self._ask_import)
        self.export_button = self._button("Export…", self._ask_export)
        self.roll_back_button = self._button(f"Roll back ({ROLL_BACK_KEY})", self._roll_back)
        self.roll_back_button.setToolTip("Change places with the version before; once more goes forward again")
        # Nothing is lost by it, so it asks nothing.
        QShortcut(QKeySequence(ROLL_BACK_KEY), self).activated.connect(self.roll_back_button.click)
        self.remove_button = self._button("Remove…", self._ask_remove)
        self.close_button = self._button("Close", self.accept)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button in (
            self.train_button,
            self.import_button,
            self.export_button,
            self.roll_back_button,
            self.remove_button,
        ):
            buttons.addWidget(button)
        buttons.addStretch(1)
        for button in (self.close_button, self.none_button, self.use_button):
            buttons.addWidget(button)
        return buttons

    def _add_keys(self) -> None:
        """Enter uses the row; the keys that the first column shows work here as they do in the window."""
        for key in ("Return", "Enter"):
            enter = QShortcut(QKeySequence(key), self.table)
            enter.setContext(Qt.ShortcutContext.WidgetShortcut)
            enter.activated.connect(self._use)
        for digit in range(10):
            QShortcut(QKeySequence(f"Ctrl+{digit}"), self).activated.connect(lambda d=digit: self._use_number(d))

    @property
    def chosen(self) -> AdapterEntry | None:
        rows = self.table.selectionModel().selectedRows()
        return self._entries[rows[0].row()] if rows else None

    @Slot(object, object, object)
    def on_listed(self, entries: object, model: object, in_use: object) -> None:
        """As :meth:`set_entries`, for a signal: it ends with the panel."""
        self.set_entries(cast(list[AdapterEntry], entries), cast(ModelInfo, model), cast(AdapterInUse, in_use))

    def set_entries(
        self, entries: Sequence[AdapterEntry], model: ModelInfo | None, in_use: AdapterInUse | None
    ) -> None:
        """Show these; the selection stays where it can."""
        before = self.chosen
        self._entries, self._model, self._in_use = list(entries), model, in_use
        self.table.setRowCount(len(self._entries))
        number = 0
        for row, entry in enumerate(self._entries):
            number += int(self._fits(entry))
            key = f"Ctrl+{number}" if self._fits(entry) and number <= 9 else ""
            for column, text in enumerate(_texts(entry, key)):
                self.table.setItem(row, column, self._cell(entry, text))
        wanted = in_use.name if before is None and in_use is not None else before.name if before is not None else ""
        rows = [row for row, entry in enumerate(self._entries) if entry.name == wanted]
        if self._entries:
            self.table.selectRow(rows[0] if rows else 0)
        self._refresh_buttons()

    @Slot(str)
    def on_training(self, word: str) -> None:
        """Something is being trained, or waits to be installed."""
        self.train_button.setText(word)

    @Slot(object, float)
    def on_adapter(self, adapter: AdapterInUse | None, _took_ms: float) -> None:
        """Another adapter answers now."""
        self.set_entries(self._entries, self._model, adapter)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(COLUMNS))
        table.setHorizontalHeaderLabels(list(COLUMNS))
        table.setAccessibleName("Adapters")
        table.verticalHeader().hide()
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setShowGrid(False)
        table.setMinimumHeight(200)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(COLUMNS.index("For"), QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        table.itemSelectionChanged.connect(self._refresh_buttons)
        table.itemDoubleClicked.connect(lambda _item: self._use())
        return table

    def _button(self, text: str, what: object) -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _checked: what())  # type: ignore[operator]
        return button

    def _cell(self, entry: AdapterEntry, text: str) -> QTableWidgetItem:
        item = QTableWidgetItem(text)
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        item.setFlags(flags)
        item.setToolTip(_story(entry))
        font = item.font()
        font.setBold(self._in_use is not None and self._in_use.name == entry.name)
        item.setFont(font)
        if not self._fits(entry):
            item.setForeground(self.palette().placeholderText())
        return item

    def _fits(self, entry: AdapterEntry) -> bool:
        return self._model is not None and entry.info.base_sha256 == self._model.sha256

    def _refresh_buttons(self) -> None:
        entry = self.chosen
        fits = entry is not None and self._fits(entry)
        is_used = entry is not None and self._in_use is not None and self._in_use.name == entry.name
        self.use_button.setEnabled(fits and not is_used)
        self.none_button.setEnabled(self._in_use is not None)
        self.export_button.setEnabled(entry is not None)
        self.roll_back_button.setEnabled(entry is not None and entry.is_own and entry.has_previous)
        self.remove_button.setEnabled(entry is not None and entry.is_own)
        self.note.setText(self._sentence(entry, fits=fits, is_used=is_used))

    def _sentence(self, entry: AdapterEntry | None, *, fits: bool, is_used: bool) -> str:
        if entry is None:
            return _EMPTY
        if not fits:
            here = "no model is loaded" if self._model is None else f"{brief(self._model.name)} is loaded"
            return (
                f"{brief(entry.name)} belongs to {brief(entry.info.base_name)} ({entry.info.base_sha256[:12]}); {here}."
            )
        data = entry.info.data
        story = f" {data[:1].upper()}{data[1:]}." if data else ""
        return f"{entry.name} {'is in use' if is_used else 'fits the model in use'}.{story}"

    def _use(self) -> None:
        entry = self.chosen
        if entry is not None and self.use_button.isEnabled():
            self.use_wanted.emit(entry)

    def _use_number(self, digit: int) -> None:
        """0: none; 1 to 9: the adapter of that number."""
        fitting = [entry for entry in self._entries if self._fits(entry)]
        if digit == 0:
            self.use_wanted.emit(None)
        elif digit <= len(fitting):
            self.use_wanted.emit(fitting[digit - 1])

    def _train(self) -> None:
        self.accept()
        self.train_wanted.emit()

    def _roll_back(self) -> None:
        if self.chosen is not None:
            self.roll_back_wanted.emit(self.chosen)

    def _ask_import(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Import an adapter", "", _KINDS)
        if name:
            self.import_wanted.emit(Path(name))

    def _ask_export(self) -> None:
        entry = self.chosen
        if entry is None:
            return
        name, _ = QFileDialog.getSaveFileName(self, "Export the adapter", entry.path.name, _KINDS)
        if name:
            self.export_wanted.emit(entry, Path(name))

    def _ask_remove(self) -> None:
        entry = self.chosen
        if entry is None:
            return
        text = f"Remove the adapter {brief(entry.name)} from this computer? Objects that it made stay as they are."
        answer = QMessageBox.question(self, "Remove an adapter", text)
        if answer == QMessageBox.StandardButton.Yes:
            self.remove_wanted.emit(entry)


def _texts(entry: AdapterEntry, key: str) -> tuple[str, ...]:
    """The cells of a row, as ``COLUMNS``."""
    info = entry.info
    pair = info.figures.get(DECIDING)
    worth = f"{pair[0]:.3f} → {pair[1]:.3f}" if isinstance(pair, list) and len(pair) == 2 else "not measured"
    size = f"{entry.n_bytes / 1e6:.1f} MB"
    return key, entry.name, info.domain, info.base_name, size, info.date, worth


def _story(entry: AdapterEntry) -> str:
    """All that the card says, a line each: figures as base → adapter on held-back images."""
    info = entry.info
    lines = [
        f"{entry.name}: {info.domain}",
        info.data,
        f"{info.epochs:g} epochs, licence {info.licence or 'not stated'}",
    ]
    for name, pair in info.figures.items():
        is_pair = isinstance(pair, list) and len(pair) == 2
        lines.append(f"{name}: {pair[0]} → {pair[1]}" if is_pair else f"{name}: {pair}")
    return "\n".join(line for line in lines if line)
