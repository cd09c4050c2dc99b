"""Dialogs around files and settings. None of them belongs to the labelling loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.errors import UserError
from annotator.io.exporters.coco import SEGMENTATIONS, export_coco
from annotator.io.exporters.polygons import export_polygons
from annotator.io.settings import SETTINGS, Setting, Settings
from annotator.io.store import ProjectStore
from annotator.io.store_place import is_project_file
from annotator.ui.background import BackgroundWork, Progress, WorkCancelled
from annotator.ui.model_choice import ModelChoice
from annotator.ui.scroll_pane import BAR_ROOM_PX, ScrollPane, fit_to_screen

_TEXT_INSET_PX = 5
"""The style sheet's padding does not reach the text of a number field."""


class WorkDialog(QDialog):
    """A form (optional), a progress bar, and what came out. Closing it while work runs stops the work."""

    done_with = Signal(object)
    """The result of the work, once it succeeded."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(560)
        self._thread: BackgroundWork | None = None
        self.form = QWidget()
        self.fields = QFormLayout(self.form)
        self.fields.setContentsMargins(0, 0, 0, 0)
        self.fields.setHorizontalSpacing(16)
        self.fields.setVerticalSpacing(10)
        self.fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.hide()
        self.report = QPlainTextEdit()
        self.report.setReadOnly(True)
        self.report.setAccessibleName("Result")
        self.report.setMinimumHeight(120)
        self.report.hide()
        buttons = self._make_buttons()
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 20, 20, 16)
        box.setSpacing(16)
        for widget in (title_label(title), self.form, self.bar, self.report):
            box.addWidget(widget)
        box.addLayout(buttons)

    def _make_buttons(self) -> QHBoxLayout:
        self.start_button = QPushButton("Start")
        self.start_button.setObjectName("primary")
        self.start_button.setDefault(True)
        self.close_button = QPushButton("Cancel")
        self.close_button.setAutoDefault(False)
        self.close_button.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.start_button)
        return buttons

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    def start(self, work: Callable[[Progress], object]) -> None:
        """Run ``work``; its result's ``lines()`` are shown."""
        self.form.setEnabled(False)
        self.start_button.setEnabled(False)
        self.close_button.setText("Stop")
        self.report.hide()
        self.bar.setRange(0, 0)
        self.bar.show()
        thread = BackgroundWork(work, self)
        thread.progressed.connect(self._on_progress)
        thread.succeeded.connect(self._on_success)
        thread.failed.connect(self._on_failure)
        self._thread = thread
        thread.start()

    def stop(self) -> None:
        """Stop the work and wait for its end."""
        thread = self._thread
        if thread is not None:
            thread.cancel()
            thread.wait()

    def reject(self) -> None:
        """Esc, the Cancel button and the window's cross end here: running work is stopped first."""
        if self._thread is not None:
            self._thread.cancel()
        else:
            super().reject()

    def _on_progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)

    def _on_success(self, result: Any) -> None:
        self._end("\n".join(result.lines()), is_over=True)
        self.done_with.emit(result)

    def _on_failure(self, error: Exception) -> None:
        if isinstance(error, WorkCancelled):
            self._end("Stopped. Nothing was changed.", is_over=False)
        elif isinstance(error, UserError):
            self._end(str(error), is_over=False)
        else:
            self._end(f"An error in the program stopped this ({type(error).__name__}).", is_over=False)
            raise error

    def _end(self, text: str, *, is_over: bool) -> None:
        if self._thread is not None:
            self._thread.wait()
            self._thread.deleteLater()
            self._thread = None
        self.bar.hide()
        self.form.setEnabled(True)
        self.report.setPlainText(text)
        self.report.show()
        self.start_button.setEnabled(True)
        self.start_button.setVisible(not is_over)
        self.close_button.setText("Close")


class ExportDialog(WorkDialog):
    """COCO or polygons; written on a thread of its own from a second, read-only view of the project."""

    def __init__(self, project: Path, parent: QWidget | None = None) -> None:
        super().__init__("Export", parent)
        self._project = project
        self._agreed = ""
        """The file that the person agreed to replace."""
        self.format = QComboBox()
        self.format.addItem("COCO (one JSON file)", "coco")
        self.format.addItem("Polygons (one JSON file per image)", "polygons")
        self.format.currentIndexChanged.connect(lambda _at: self._suggest())
        self.segmentation = QComboBox()
        for name, text in (
            ("auto", "Polygons, run lengths where an object has holes"),
            ("rle", "Run lengths (exact)"),
            ("polygon", "Polygons"),
        ):
            if name in SEGMENTATIONS:
                self.segmentation.addItem(text, name)
        self.unfinished = QCheckBox("Also images in progress")
        self.unfinished.setChecked(True)
        self.all_images = QCheckBox("Also images without objects that nobody marked done or empty")
        self.place = QLineEdit()
        self.place.setAccessibleName("Where to write")
        self.place.textChanged.connect(lambda _text: self._forget_agreed())
        browse = QPushButton("Browse…")
        browse.setAutoDefault(False)
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.place, 1)
        row.addWidget(browse)
        self.fields.addRow("Format", self.format)
        self.fields.addRow("Objects as", self.segmentation)
        self.fields.addRow("Images", self.unfinished)
        self.fields.addRow("", self.all_images)
        self.fields.addRow("File", row)
        self.start_button.setText("Export")
        self.start_button.clicked.connect(self._on_export)
        self.start_button.setFocus()
        self._suggest()

    def _suggest(self) -> None:
        is_coco = self.format.currentData() == "coco"
        self.segmentation.setEnabled(is_coco)
        name = f"{self._project.stem}-coco.json" if is_coco else f"{self._project.stem}-polygons"
        self.place.setText(str(self._project.parent / name))

    def _forget_agreed(self) -> None:
        self._agreed = ""
        self.start_button.setText("Export")

    def _browse(self) -> None:
        if self.format.currentData() == "coco":
            name, _ = QFileDialog.getSaveFileName(self, "Export to", self.place.text(), "JSON (*.json)")
        else:
            name = QFileDialog.getExistingDirectory(self, "Export to", str(self._project.parent))
        if name:
            self.place.setText(name)
            self._agreed = name  # that dialog has asked

    def _on_export(self) -> None:
        project, out = self._project, Path(self.place.text()).expanduser()
        kind, segmentation = self.format.currentData(), self.segmentation.currentData()
        if kind == "coco" and self._agreed != self.place.text() and not is_project_file(out) and out.is_file():
            self._agreed = self.place.text()
            self.start_button.setText("Replace")
            self.report.setPlainText(f"There is a file {out} already. Press Replace to write the export over it.")
            self.report.show()
            return
        unfinished, every = self.unfinished.isChecked(), self.all_images.isChecked()

        def work(progress: Progress) -> object:
            with ProjectStore.open(project, read_only=True) as store:
                if kind == "coco":
                    return export_coco(
                        *(store, out),
                        segmentation=segmentation,
                        include_unfinished=unfinished,
                        all_images=every,
                        progress=progress,
                    )
                return export_polygons(store, out, include_unfinished=unfinished, all_images=every, progress=progress)

        self.start(work)


class SettingsDialog(QDialog):
    """Made from the settings table; every change is applied and kept at once."""

    changed = Signal(str)
    """The key that has a new value."""
    failed = Signal(str)

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self.setWindowTitle("Settings")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.editors: dict[str, QWidget] = {}
        content = QWidget()  # before the button: Tab goes by age
        grid = self._make_grid()
        grid.setContentsMargins(0, 0, BAR_ROOM_PX, 0)
        content.setLayout(grid)
        close = QPushButton("Close")
        close.setDefault(True)
        close.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.setContentsMargins(0, 0, BAR_ROOM_PX, 0)
        buttons.addStretch(1)
        buttons.addWidget(close)
        box = QVBoxLayout(self)
        box.setContentsMargins(24, 20, 24 - BAR_ROOM_PX, 16)
        box.setSpacing(16)
        box.addWidget(title_label("Settings"))
        box.addWidget(ScrollPane(content))
        box.addLayout(buttons)

    def showEvent(self, event: QShowEvent) -> None:
        if not event.spontaneous():
            fit_to_screen(self)
        super().showEvent(event)

    def _make_grid(self) -> QGridLayout:
        """A heading per group; per setting its name, its editor, and what it is for."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(20)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, 150)
        grid.setColumnMinimumWidth(1, 200)
        group, row = "", 0
        for setting in (s for s in SETTINGS if s.group != "state"):
            if setting.group != group:
                group = setting.group
                heading = QLabel(group)
                heading.setObjectName("heading")
                if row:
                    grid.setRowMinimumHeight(row, 12)
                    row += 1
                grid.addWidget(heading, row, 0, 1, 3)
                row += 1
            name = QLabel(_title(setting))
            editor = self._make_editor(setting)
            editor.setAccessibleName(_title(setting))
            editor.setToolTip(setting.description)
            editor.setMinimumHeight(26)
            name.setBuddy(editor)
            text = setting.description + (" Works from the next start." if setting.is_restart_needed else "")
            explanation = QLabel(text)
            explanation.setObjectName("dim")
            grid.addWidget(name, row, 0)
            grid.addWidget(editor, row, 1)
            grid.addWidget(explanation, row, 2)
            self.editors[setting.key] = editor
            row += 1
        return grid

    def set_models(self, models: Sequence[Any]) -> None:
        """Offer these models, as in :meth:`ModelChoice.set_models`; looking for them takes a moment."""
        choice = self.editors["model"]
        if isinstance(choice, ModelChoice):
            choice.set_models(models)

    def _make_editor(self, setting: Setting) -> QWidget:
        key, value = setting.key, self._settings.get(setting.key)
        if isinstance(setting.default, bool):
            switch = QCheckBox()
            switch.setChecked(bool(value))
            switch.toggled.connect(lambda on: self._set(key, on))
            return switch
        if setting.choices:
            choice = QComboBox()
            choice.addItems(list(setting.choices))
            choice.setCurrentText(str(value))
            choice.currentTextChanged.connect(lambda text: self._set(key, text))
            return choice
        if isinstance(setting.default, int | float):
            return self._make_number(setting, value)
        if key == "model":
            model = ModelChoice(str(value))
            model.model_chosen.connect(lambda text: self._set(key, text))
            return model
        line = QLineEdit(str(value))
        line.editingFinished.connect(lambda: self._set(key, line.text().strip()))
        return line

    def _make_number(self, setting: Setting, value: float) -> QWidget:
        low = setting.minimum if setting.minimum is not None else -1e9
        high = setting.maximum if setting.maximum is not None else 1e9
        key = setting.key
        if isinstance(setting.default, int):
            whole = QSpinBox()
            whole.lineEdit().setTextMargins(_TEXT_INSET_PX, 0, 0, 0)
            whole.setRange(int(low), int(high))
            whole.setValue(int(value))
            whole.valueChanged.connect(lambda number: self._set(key, number))
            return whole
        real = QDoubleSpinBox()
        real.lineEdit().setTextMargins(_TEXT_INSET_PX, 0, 0, 0)
        real.setRange(low, high)
        real.setDecimals(2)
        real.setSingleStep(0.05 if high <= 1 else 0.5)
        real.setValue(value)
        real.valueChanged.connect(lambda number: self._set(key, number))
        return real

    def _set(self, key: str, value: Any) -> None:
        try:
            is_new = self._settings.set(key, value)
        except UserError as error:
            self.failed.emit(str(error))
            is_new = True
        if is_new:
            self.changed.emit(key)


def title_label(text: str) -> QLabel:
    """A dialog's heading: not every system draws the title of a window that belongs to another."""
    label = QLabel(text)
    label.setObjectName("title")
    return label


def _title(setting: Setting) -> str:
    words = setting.key.split("_")
    units = {
        "megapixels": "(megapixels)",
        "px": "(px)",
        "mib": "(MiB)",
        "gib": "(GiB)",
        "ram": "in memory",
        "disk": "on disk",
    }
    text = " ".join(units.get(word, word) for word in words if word != "enabled")
    return text[:1].upper() + text[1:]
