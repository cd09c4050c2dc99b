"""The export dialog, made from the rows of the formats."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from annotator.domain.errors import ExportError
from annotator.domain.ports.formats import FormatSpec, OptionValue
from annotator.io.formats.registry import exporter
from annotator.io.project.place import is_project_file
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import Job
from annotator.ui.dialogs.option_fields import option_field
from annotator.ui.dialogs.scroll_pane import fit_to_screen
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.look.plain import menu_text
from annotator.ui.threads.jobs import JobBoard


@dataclass(frozen=True, slots=True)
class ExportWish:
    """What was chosen last, to begin with the next time.

    Attributes:
        format: id of the row; options: values by format and option.
    """

    format: str = "coco"
    options: dict[str, dict[str, OptionValue]] = field(default_factory=dict)
    unfinished: bool = True
    all_images: bool = False

    def to_json(self) -> str:
        parts = {"format": self.format, "options": self.options}
        return json.dumps({**parts, "unfinished": self.unfinished, "all_images": self.all_images})

    @classmethod
    def from_json(cls, text: str) -> ExportWish:
        """What a setting holds; the defaults for text that makes no sense."""
        try:
            data = json.loads(text or "{}")
            options = {str(name): dict(values) for name, values in data.get("options", {}).items()}
            kind = str(data.get("format", "coco"))
            return cls(kind, options, bool(data.get("unfinished", True)), bool(data.get("all_images", False)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls()


class ExportDialog(WorkDialog):
    """A format, its options, which images, and where; written on a thread of its own from a second, read-only view of
    the project.

    Args:
        formats: the rows to choose from.
        wish: what to begin with.
        board: lists the export.
    """

    def __init__(
        self,
        project: Path,
        formats: Sequence[FormatSpec],
        parent: QWidget | None = None,
        *,
        wish: ExportWish | None = None,
        board: JobBoard | None = None,
    ) -> None:
        super().__init__("Export", parent, board=board, beside=True)
        self._project, self._formats, self._wish = project, tuple(formats), wish or ExportWish()
        self._agreed = ""
        """The file or folder that the person agreed to write over."""
        self.options: dict[str, QWidget] = {}
        """The fields of the options of the format that is chosen, by name."""
        self._readers: dict[str, Callable[[], OptionValue]] = {}
        self._chosen: dict[str, dict[str, Any]] = {name: dict(values) for name, values in self._wish.options.items()}
        self._make_fields()
        self.start_button.setText("Export")
        self.start_button.clicked.connect(self._on_export)
        self.start_button.setFocus()
        self._on_format()

    @property
    def spec(self) -> FormatSpec:
        """The row that is chosen."""
        return self._formats[self.format.currentIndex()]

    @property
    def wish(self) -> ExportWish:
        """What is chosen now, to begin with the next time: a consent is given anew."""
        self._remember_options()
        consents = {(spec.id, option.name) for spec in self._formats for option in spec.options if option.is_consent}
        kept = {
            kind: {name: value for name, value in values.items() if (kind, name) not in consents}
            for kind, values in self._chosen.items()
        }
        return ExportWish(self.spec.id, kept, self.unfinished.isChecked(), self.all_images.isChecked())

    def _make_fields(self) -> None:
        self.format = QComboBox()
        for spec in self._formats:
            self.format.addItem(f"{spec.title} ({spec.summary})", spec.id)
        self.format.setCurrentIndex(max(0, self.format.findData(self._wish.format)))
        self.format.currentIndexChanged.connect(lambda _at: self._on_format())
        self.unfinished = QCheckBox("Also images in progress")
        self.unfinished.setChecked(self._wish.unfinished)
        self.all_images = QCheckBox("Also images without objects that nobody marked done or empty")
        self.all_images.setChecked(self._wish.all_images)
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
        self.fields.addRow("Images", self.unfinished)
        self.fields.addRow("", self.all_images)
        self._place_name = QLabel("File")
        self._place_name.setBuddy(self.place)
        self.fields.addRow(self._place_name, row)

    def _on_format(self) -> None:
        """Another format: its options, and where it goes."""
        self._remember_options()
        for editor in self.options.values():
            self.fields.removeRow(editor)
        self.options.clear()
        self._readers.clear()
        self._options_of = self.spec
        kept = self._chosen.get(self.spec.id, {})
        for at, option in enumerate(self.spec.options, start=1):
            try:
                value = option.checked(kept.get(option.name, option.default))
            except ExportError:  # kept by another version of the format
                value = option.default
            editor, self._readers[option.name] = option_field(option, value)
            self.options[option.name] = editor
            self.fields.insertRow(at, menu_text(option.title), editor)
        self._place_name.setText("Folder" if self.spec.is_folder else "File")
        # The form knows its size once the new fields are shown, which Qt does in its own time.
        QTimer.singleShot(0, self, self._fit)
        # The project lies among its images.
        folder = self._project.parent.parent if self.spec.is_beside else self._project.parent
        self.place.setText(str(folder / self.spec.suggested_name(self._project.stem)))

    def _fit(self) -> None:
        """There may be more options than before."""
        self.pane.keep_wheel()
        self.pane.updateGeometry()
        if self.isVisible() and not self.report.isVisible():
            fit_to_screen(self)

    def _remember_options(self) -> None:
        if self._readers:
            self._chosen[self._options_of.id] = {name: read() for name, read in self._readers.items()}

    def _forget_agreed(self) -> None:
        self._agreed = ""
        self.start_button.setText("Export")

    def _browse(self) -> None:
        spec = self.spec
        if spec.is_folder:
            name = QFileDialog.getExistingDirectory(self, "Export to", str(self._project.parent))
        else:
            kinds = f"{spec.title} (*{spec.suffix})"
            name, _ = QFileDialog.getSaveFileName(self, "Export to", self.place.text(), kinds)
        if name:
            self.place.setText(name)
            if not spec.is_folder:
                self._agreed = name  # that dialog has asked

    def _on_export(self) -> None:
        project, spec, out = self._project, self.spec, Path(self.place.text()).expanduser()
        question = "" if self._agreed == self.place.text() else _question(spec, out)
        if question:
            self._agreed = self.place.text()
            self.start_button.setText("Replace")
            self.report.setPlainText(question)
            self.report.show()
            return
        wish, values = self.wish, {name: read() for name, read in self._readers.items()}

        def work(job: Job) -> object:
            export, options = exporter(spec), spec.checked_options(values)
            with ProjectStore.open(project, read_only=True) as store:
                return export(
                    store,
                    out,
                    include_unfinished=wish.unfinished,
                    all_images=wish.all_images,
                    progress=job.progress,
                    **options,
                )

        self.start(work, job=Job(f"Export {out.name}", unit="object", place=out))


def _question(spec: FormatSpec, out: Path) -> str:
    """What to ask before an export is written over something; empty when there is nothing, or it is refused anyway."""
    if is_project_file(out):
        return ""
    if not spec.is_folder and os.path.isfile(out):
        return f"There is a file {out} already. Press Replace to write the export over it."
    if spec.is_folder and os.path.isdir(out) and any(out.iterdir()):
        return (
            f"There are files in {out} already. Press Replace to write the export over those of the same names; the "
            "others stay."
        )
    return ""
