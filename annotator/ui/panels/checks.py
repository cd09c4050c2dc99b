"""The Checks panel: what may be wrong with the project's objects, and what is done about it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListView,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.checks.finding import CheckSpec, Finding, Repair
from annotator.domain.checks.listing import CheckList
from annotator.ui.look.numbers import grouped
from annotator.ui.look.theme import Theme
from annotator.ui.panels.check_rows import CheckDelegate, CheckModel
from annotator.ui.panels.delegates import OBJECT_ROW_HEIGHT_PX

MAX_NOTE_LENGTH = 2000
_LEAST_ROWS = 2
_HINT = "Looks for overlaps, duplicates, specks, holes and the like in all images. Nothing is changed."


class _Field(QLineEdit):
    """Escape leaves it."""

    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
            event.accept()
        else:
            super().keyPressEvent(event)


class _List(QListView):
    """Left and right hide and show what a check has found."""

    folded = Signal(QModelIndex, bool)
    """(row, whether its findings are wanted)"""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self.currentIndex().isValid():
            self.folded.emit(self.currentIndex(), event.key() == Qt.Key.Key_Right)
            event.accept()
        else:
            super().keyPressEvent(event)


class CheckPanel(QWidget):
    """A list by check. Enter or a double click shows a finding; the buttons are about the current one."""

    run_wanted = Signal()
    """Whether images are to be read for it: :attr:`reads_images`."""
    stop_wanted = Signal()
    shown = Signal(object)
    """Finding: it is to be seen"""
    repair_wanted = Signal()
    waive_wanted = Signal(object, str)
    """(Finding, why; empty: it counts again)"""
    export_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._is_running = self._has_run = self._has_project = self._can_change = self._is_changed = False
        self._noted: Finding | None = None
        self.model = CheckModel(self)
        self.stands = QLabel(_HINT)
        self.stands.setObjectName("dim")
        self.stands.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.setAccessibleName("Progress of the checks")
        self.bar.hide()
        self.view = self._make_view(theme)
        self.field = _Field()
        self.field.setMaxLength(MAX_NOTE_LENGTH)
        self.field.setPlaceholderText("Why it stays as it is")
        self.field.setAccessibleName("Why the finding is waived")
        self.field.setToolTip("Enter keeps the finding with this note, Esc leaves it open")
        self.field.hide()
        self.field.returnPressed.connect(self._on_note)
        self.field.left.connect(self._leave_field)
        self.images_box = QCheckBox("Compare with the images")
        self.images_box.setToolTip("Reads every image, too, and looks whether outlines lie on its edges: takes longer")
        self.run_button = self._button("Check", self._run_or_stop)
        self.repair_button = self._button("Repair", self.repair_wanted.emit)
        self.waive_button = self._button("Waive…", self.begin_note)
        self.export_button = self._button("Export…", self.export_wanted.emit)
        self._lay_out()
        theme.subscribe(lambda _tokens: self.view.viewport().update())
        self._refresh()

    @property
    def reads_images(self) -> bool:
        """Whether outlines are to be compared with the images."""
        return self.images_box.isChecked()

    @property
    def current(self) -> Finding | None:
        """The finding that keys and buttons are about."""
        row = self.model.row(self.view.currentIndex().row())
        return row if isinstance(row, Finding) else None

    @property
    def current_group(self) -> list[Finding]:
        """The open findings of the check whose line is the current one, where there is a repair for them."""
        row = self.model.row(self.view.currentIndex().row())
        return self.model.open_findings(row.id) if isinstance(row, CheckSpec) and row.repair else []

    def show_list(self, found: CheckList | None) -> None:
        """What a run has found; None: there was none in this project."""
        self._leave_field()
        self._has_run, self._is_changed = found is not None, False
        self.model.set_list(found or CheckList())
        self.view.setCurrentIndex(self.model.index(0))
        self._refresh()

    def show_run(self, is_running: bool, done: int = 0, total: int = 0) -> None:
        """Whether it is being checked, and how many images are done."""
        self._is_running = is_running
        self.bar.setVisible(is_running)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self._refresh()

    def show_changes(self, *, is_other: bool) -> None:
        """Findings do not hold any more, or do again.

        Args:
            is_other: the project is not as it was when it was checked: there may be more to find.
        """
        self._is_changed |= is_other
        self.model.refresh()
        self._refresh()

    def set_allowed(self, *, has_project: bool, can_change: bool) -> None:
        self._has_project, self._can_change = has_project, can_change
        self._refresh()

    def set_waived(self, finding: Finding, note: str) -> None:
        """It is waived with this note now, or counts again."""
        self.model.set_note(finding, note)
        self._refresh()

    def go(self, step: int) -> Finding | None:
        """Make the next open finding (+1), or the one before (-1), the current one; None: there is none."""
        at = self.model.next_open(self.view.currentIndex().row(), step)
        if at < 0:
            return None
        self.view.setCurrentIndex(self.model.index(at))
        return self.current

    def begin_note(self) -> None:
        """Ask why the current finding stays as it is; of a waived one take that back."""
        finding = self.current
        if finding is None or not self._can_change:
            return
        if finding.mark in self.model.notes:
            self.waive_wanted.emit(finding, "")
            return
        self._noted = finding
        self.field.clear()
        self.field.show()
        self.field.setFocus(Qt.FocusReason.OtherFocusReason)
        self._inner.activate()  # it has its place
        self._scroll.ensureWidgetVisible(self.field)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make_view(self, theme: Theme) -> _List:
        view = _List()
        view.setAccessibleName("Findings")
        view.setUniformItemSizes(True)
        view.setMinimumHeight(_LEAST_ROWS * OBJECT_ROW_HEIGHT_PX)
        # It takes what is left, however many rows there are: the buttons below it stay in sight.
        view.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        view.setMouseTracking(True)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setModel(self.model)
        view.setItemDelegate(CheckDelegate(theme, view))
        view.activated.connect(self._on_activated)
        view.folded.connect(self._on_folded)
        view.selectionModel().currentChanged.connect(lambda *_: self._refresh())
        return view

    def _button(self, text: str, run: object) -> QPushButton:
        button = QPushButton(text)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(run)
        return button

    def _lay_out(self) -> None:
        head, foot = QVBoxLayout(), QVBoxLayout()
        head.setContentsMargins(12, 4, 12, 6)
        foot.setContentsMargins(12, 6, 12, 8)
        for part in (self.stands, self.bar):
            head.addWidget(part)
        grid = QGridLayout()
        grid.setSpacing(6)
        buttons = (self.run_button, self.repair_button, self.waive_button, self.export_button)
        for at, button in enumerate(buttons):
            grid.addWidget(button, at // 2, at % 2)
        foot.setSpacing(6)
        foot.addWidget(self.field)
        foot.addWidget(self.images_box)
        foot.addLayout(grid)
        content = QWidget()
        content.setObjectName("panel")
        inner = self._inner = QVBoxLayout(content)
        scroll = self._scroll = QScrollArea()  # on a low screen there is not the room for all of it
        scroll.setObjectName("jobs")
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(self)
        whole.addWidget(scroll)
        for box in (inner, whole):
            box.setContentsMargins(0, 0, 0, 0)
            box.setSpacing(0)
        inner.addLayout(head)
        inner.addWidget(self.view, 1)
        inner.addLayout(foot)

    def _run_or_stop(self) -> None:
        (self.stop_wanted if self._is_running else self.run_wanted).emit()

    def _on_activated(self, index: QModelIndex) -> None:
        row = self.model.row(index.row())
        if isinstance(row, CheckSpec):
            self._show_row(self.model.set_shown(row.id))
        elif row is not None:
            self.shown.emit(row)

    def _on_folded(self, index: QModelIndex, is_wanted: bool) -> None:
        row = self.model.row(index.row())
        if isinstance(row, CheckSpec):
            self._show_row(self.model.set_shown(row.id, is_wanted))
        elif row is not None and not is_wanted:
            self._show_row(self.model.set_shown(row.check, False))

    def _show_row(self, at: int) -> None:
        self.view.setCurrentIndex(self.model.index(at))

    def _on_note(self) -> None:
        note, finding = self.field.text().strip(), self._noted
        if note and finding is not None:
            self._leave_field()
            self.waive_wanted.emit(finding, note)

    def _leave_field(self) -> None:
        self._noted = None
        if self.field.hasFocus():
            self.view.setFocus(Qt.FocusReason.OtherFocusReason)
        self.field.hide()

    def _text(self) -> str:
        if self._is_running:
            return f"Image {grouped(self.bar.value())} of {grouped(self.bar.maximum())}…" if self.bar.value() else "…"
        if not self._has_run:
            return _HINT
        if not self.model.list.groups:
            text = "Nothing found."
        else:
            text = f"{grouped(self.model.open_count)} open"
            text += f" · {grouped(len(self.model.notes))} waived" if self.model.notes else ""
        return f"{text} · changed: check again" if self._is_changed else text

    def _refresh(self) -> None:
        finding = self.current
        self.stands.setText(self._text())
        self.run_button.setText("Stop" if self._is_running else "Check again" if self._has_run else "Check")
        self.run_button.setEnabled(self._has_project)
        self.images_box.setEnabled(not self._is_running)
        repair = Repair.NONE if finding is None or finding.mark in self.model.stale else finding.spec.repair
        group = self.current_group
        text = f"{group[0].spec.repair.value} ({grouped(len(group))})" if group else repair.value or "repair"
        self.repair_button.setText(text.capitalize())
        self.repair_button.setEnabled(self._can_change and (bool(repair) or bool(group)))
        is_waived = finding is not None and finding.mark in self.model.notes
        self.waive_button.setText("Count again" if is_waived else "Waive…")
        self.waive_button.setEnabled(self._can_change and finding is not None)
        self.export_button.setEnabled(bool(self.model.list.groups))
