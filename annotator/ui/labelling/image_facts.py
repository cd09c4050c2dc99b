"""The panel of image facts: what is known of the image that is open, to read and to copy."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QApplication, QFormLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from annotator.domain.project import Change
from annotator.ui.labelling.panel_controls import ControlParts
from annotator.ui.look.elided import ElidedLabel
from annotator.ui.look.numbers import grouped, millimetres
from annotator.ui.panels.fitted_area import FittedArea

_NO_IMAGE = "No image is open."
_LEAST_PX = 24
"""Of the table, on a low screen."""
Facts = tuple[tuple[str, str], ...]
"""Names and values, from top to bottom."""


class ImageFactsPanel(QWidget):
    """A table of two columns, and a button that copies it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.facts: Facts = ()
        self._values: list[ElidedLabel] = []
        self.hint = QLabel(_NO_IMAGE)
        self.hint.setObjectName("dim")
        self.hint.setContentsMargins(12, 8, 12, 8)
        self.copy_button = QPushButton("Copy")
        self.copy_button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.copy_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.copy_button.clicked.connect(self.copy)
        body = QWidget()
        body.setObjectName("panel")
        self._form = QFormLayout(body)
        self._form.setContentsMargins(12, 4, 12, 4)
        self._form.setHorizontalSpacing(12)
        self.view = FittedArea(body, name="Facts of the image")
        self.view.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.view.setMinimumHeight(_LEAST_PX)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 8)
        column.setSpacing(4)
        foot = QVBoxLayout()
        foot.setContentsMargins(12, 0, 12, 0)
        foot.addWidget(self.copy_button)
        column.addWidget(self.hint)
        column.addWidget(self.view, 1)
        column.addLayout(foot)
        self.show_facts(())

    def show_facts(self, facts: Facts) -> None:
        """Rows that stay are not made again: a slice follows the other."""
        is_same_shape = [name for name, _ in facts] == [name for name, _ in self.facts]
        self.facts = facts
        if not is_same_shape:
            while self._form.rowCount():
                self._form.removeRow(0)
            self._values = [ElidedLabel(Qt.TextElideMode.ElideMiddle) for _ in facts]
            for (name, _), value in zip(facts, self._values, strict=True):
                title = QLabel(name)
                title.setObjectName("dim")
                value.setAccessibleName(name)
                self._form.addRow(title, value)
        for (_, text), value in zip(facts, self._values, strict=True):
            value.setText(text)
        self.hint.setVisible(not facts)
        self.copy_button.setEnabled(bool(facts))

    def copy(self) -> None:
        """Put the table on the clipboard, a line each."""
        QApplication.clipboard().setText("\n".join(f"{name}\t{text}" for name, text in self.facts))


class ImageFacts(QObject):
    """One per window: the panel follows the image that is open."""

    def __init__(self, parts: ControlParts) -> None:
        super().__init__(parts.window)
        self._session, self._bench = parts.session, parts.bench
        self._panel, self._dock = cast(ImageFactsPanel, parts.window.panels["facts"]), parts.window.docks["facts"]
        parts.bench.picture_gone.connect(self._show)
        parts.session.opened.connect(self._show)
        parts.session.changed.connect(self._on_change)
        parts.bench.passing.stayed.connect(self._show)
        self._dock.visibilityChanged.connect(self._show)

    def shut_down(self) -> None:
        """Nothing runs here."""

    def _on_change(self, change: Change) -> None:
        image = self._session.image
        if image is not None and (image.id in change.image_ids or not change.image_ids):
            self._show()

    def _show(self, _what: object = None) -> None:
        if not self._dock.isHidden():
            self._panel.show_facts(self._facts())

    def _facts(self) -> Facts:
        image, picture = self._session.image, self._bench.picture
        if image is None:
            return ()
        found = [("File", image.path)]
        if series := self._session.slices.series_of(image):
            found.append(
                ("Series", f"{series.name}, {image.position + 1} of {len(self._session.slices.slices_of(image))}")
            )
        elif image.frame:
            found.append(("Frame", str(image.frame + 1)))
        if image.width:
            found.append(("Size", f"{grouped(image.width)} x {grouped(image.height)} px"))
        if image.width and (spacing := image.spacing_mm):
            wide, high = (
                millimetres(side * step) for side, step in zip((image.width, image.height), spacing, strict=True)
            )
            found += [("Pixel", " x ".join(map(millimetres, spacing))), ("In space", f"{wide} x {high}")]
        found += [("Status", image.status.value), ("Objects", grouped(len(self._session.annotations)))]
        if picture is not None and picture.image_id == image.id and picture.loaded.note:
            found.append(("Shown", picture.loaded.note))
        if image.sha256:
            found.append(("SHA-256", image.sha256))
        return tuple(found)
