"""The dialog around a training run: what to train, live curves, and base and adapter side by side at the end."""

from __future__ import annotations

import re
from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, SignalInstance
from PySide6.QtGui import QKeySequence, QPainter, QPaintEvent, QPalette, QPen, QPolygonF, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.adapter import DECIDING
from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.jobs.training_record import Outcome, Wish
from annotator.ui.adapters.training import Points, Standing, TrainingRun
from annotator.ui.dialogs.option_fields import TEXT_INSET_PX
from annotator.ui.dialogs.scroll_pane import room_for
from annotator.ui.dialogs.work_dialog import title_label

_HEAD_PX = 24
_PLOT_PX, _SMALL_PLOT_PX = 150, 96
_TABLE_PX, _ROW_PX = 322, 26
"""The gate's eleven rows without scrolling, where the screen has the room."""
_LEAST_TABLE_PX = 130
_HINT = "Learns from the accepted objects. About 20 or more help. The window can be used, and closed, meanwhile."


class CurvePlot(QWidget):
    """Training loss and validation IoU over minutes, each with its own scale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Loss and validation")
        self._standing = Standing()

    def show_standing(self, standing: Standing) -> None:
        self._standing = standing
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        half = self.width() / 2
        left, right = QRectF(0, 0, half - 8, self.height()), QRectF(half + 8, 0, half - 8, self.height())
        self._draw(painter, left, "Training loss", self._standing.loss)
        # The first point is the base's: nothing had been learnt.
        self._draw(painter, right, "Validation, boundary IoU", self._standing.validation, has_base=True)

    def _draw(self, painter: QPainter, area: QRectF, title: str, points: Points, *, has_base: bool = False) -> None:
        palette = self.palette()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(palette.color(QPalette.ColorRole.Mid))
        painter.drawRect(area.adjusted(0, 0, -1, -1))
        painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
        head = QRectF(area.left() + 8, area.top(), area.width() - 16, _HEAD_PX)
        last = f"{points[-1][1]:.3f}" if points else ""
        painter.drawText(head, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), last)
        room_px = int(head.width()) - painter.fontMetrics().horizontalAdvance(f"  {last}")
        shown = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, room_px)
        painter.drawText(head, int(Qt.AlignmentFlag.AlignVCenter), shown)
        if not points:
            inner = area.adjusted(8, _HEAD_PX, -8, -8)
            painter.drawText(inner, int(Qt.AlignmentFlag.AlignCenter), "after the first epoch")
            return
        line = _curve(area.adjusted(8, _HEAD_PX, -8, -8), points)
        if has_base:
            self._draw_base(painter, area, line.first().y())
        ink = palette.color(QPalette.ColorRole.Link)
        painter.setPen(QPen(ink, 2))
        painter.drawPolyline(line)
        painter.setBrush(ink)
        painter.drawEllipse(line.last(), 3, 3)

    def _draw_base(self, painter: QPainter, area: QRectF, y: float) -> None:
        """A dashed line where the base is, with its name above it at the right."""
        dim = self.palette().color(QPalette.ColorRole.PlaceholderText)
        painter.setPen(QPen(dim, 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(area.left() + 8, y), QPointF(area.right() - 8, y))
        above = QRectF(area.left() + 8, y - _HEAD_PX, area.width() - 16, _HEAD_PX)
        painter.drawText(above, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), "base")


class _Figures(QTableWidget):
    """Wants to be high enough for all its rows, and scrolls them on a low screen."""

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), _TABLE_PX)


def _curve(inner: QRectF, points: Points) -> QPolygonF:
    """Values over minutes, stretched over an area; a flat line through its middle where they are all the same."""
    low, high = min(v for _, v in points), max(v for _, v in points)
    end = max(points[-1][0], 1e-9)
    line = QPolygonF()
    for minute, value in points:
        share = (value - low) / (high - low) if high > low else 0.5
        line.append(QPointF(inner.left() + inner.width() * minute / end, inner.bottom() - inner.height() * share))
    return line


class TrainDialog(QDialog):
    """Not modal. Closing it leaves the run alone.

    Args:
        start: starts the run that a wish describes.
        make_wish: from name, domain and minutes.
    """

    install_wanted = Signal(object)
    """TrainingRun"""
    discard_wanted = Signal(object)
    """TrainingRun"""

    def __init__(
        self,
        make_wish: Callable[[str, str, float], Wish],
        start: Callable[[Wish], TrainingRun],
        parent: QWidget | None = None,
        *,
        run: TrainingRun | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Train an adapter")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(620)
        self._make_wish, self._start = make_wish, start
        self._run: TrainingRun | None = None
        self.form = self._make_form()
        self.line = QLabel(_HINT)
        self.line.setObjectName("dim")
        self.line.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.setAccessibleName("Progress")
        self.plot = CurvePlot()
        self.table = self._make_table()
        buttons = self._make_buttons()
        box = self._box = QVBoxLayout(self)
        box.setContentsMargins(20, 20, 20, 16)
        box.setSpacing(16)
        for widget in (title_label("Train an adapter"), self.form, self.line, self.bar, self.plot, self.table):
            box.addWidget(widget)
        box.addLayout(buttons)
        if run is not None:
            self._follow(run)
        self._refresh()

    def _make_form(self) -> QWidget:
        self.name, self.domain, self.minutes = QLineEdit(), QLineEdit(), QDoubleSpinBox()
        self.name.setPlaceholderText("letters, digits, - and _")
        self.domain.setPlaceholderText("what it is for, in words")
        self.minutes.setRange(0.1, 1440)
        self.minutes.setDecimals(1)
        self.minutes.setValue(20)
        self.minutes.lineEdit().setTextMargins(TEXT_INSET_PX, 0, 0, 0)
        form = QWidget()
        fields = QFormLayout(form)
        fields.setContentsMargins(0, 0, 0, 0)
        for title, field in (("Name", self.name), ("For", self.domain), ("Minutes", self.minutes)):
            fields.addRow(title, field)
        for key in ("Return", "Enter"):
            enter = QShortcut(QKeySequence(key), form)
            enter.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            enter.activated.connect(self._on_enter)
        return form

    def _make_buttons(self) -> QHBoxLayout:
        self.start_button, self.cancel_button = QPushButton("Train"), QPushButton("Stop")
        self.install_button, self.close_button = QPushButton("Install"), QPushButton("Close")
        self.discard_button = QPushButton("Discard…")
        self.start_button.setObjectName("primary")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        for button, what in (
            (self.close_button, self.close),
            (self.discard_button, self._discard),
            (self.cancel_button, self._cancel),
            (self.install_button, self._install),
            (self.start_button, self._begin),
        ):
            button.setAutoDefault(False)
            button.clicked.connect(lambda _checked, what=what: what())
            row.addWidget(button)
        return row

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make_table(self) -> QTableWidget:
        table = _Figures(0, 4)
        table.setHorizontalHeaderLabels(["On held-back images", "Base", "Adapter", "Difference (95 %)"])
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(_ROW_PX)
        table.setShowGrid(False)
        table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        table.setMinimumHeight(_LEAST_TABLE_PX)
        table.setAccessibleName("Base and adapter on held-back images")
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return table

    def _on_enter(self) -> None:
        # A result that waits would be lost by training again: that takes the button.
        if self._run is None or not self._run.has_result:
            self._begin()

    def _begin(self) -> None:
        name = self.name.text().strip()
        if not name:
            self.line.setText("Give it a name first.")
            self.name.setFocus()
            return
        try:
            run = self._start(self._make_wish(name, self.domain.text().strip(), self.minutes.value()))
        except UserError as error:
            self.line.setText(str(error))
            return
        self._follow(run)
        self._refresh()

    def _follow(self, run: TrainingRun) -> None:
        if self._run is not None:
            self._run.changed.disconnect(self._refresh)
            self._run.ended.disconnect(self._on_end)
        self._run = run
        self.name.setText(run.wish.name)
        self.domain.setText(run.wish.domain)
        self.minutes.setValue(run.wish.minutes)
        run.changed.connect(self._refresh)
        run.ended.connect(self._on_end)

    def _cancel(self) -> None:
        if self._run is not None:
            self._run.cancel()

    def _on_end(self, _code: int) -> None:
        self._refresh()

    def _refresh(self) -> None:
        run = self._run
        standing = Standing() if run is None else run.standing
        is_running = run is not None and run.is_running
        has_figures = bool(standing.rows) and not is_running
        is_open = run is not None and run.has_result
        self.form.setEnabled(not is_running)
        self.start_button.setVisible(not is_running)
        self.start_button.setText("Train" if run is None else "Train again")
        self.cancel_button.setVisible(is_running)
        self.bar.setVisible(is_running)
        self.plot.setVisible(run is not None)
        self.table.setVisible(has_figures)
        self.plot.setFixedHeight(_SMALL_PLOT_PX if has_figures else _PLOT_PX)
        for button in (self.install_button, self.discard_button):
            button.setVisible(has_figures and is_open)
            button.setEnabled(True)
        self.install_button.setText("Install" if standing.is_better else "Install anyway…")
        # The one thing to do next is the one that stands out.
        self._stress(self.install_button if is_open and standing.is_better else self.start_button)
        self.plot.show_standing(standing)
        if has_figures:
            self._fill(standing)
        if run is not None:
            self.line.setText(_sentence(run, standing))
            self.line.setToolTip(standing.line)
            _show_progress(self.bar, run, standing)
        # A wrapped line of text makes a dialog's own hint too low.
        self._box.activate()
        self.resize(self.width(), min(self._box.totalHeightForWidth(self.width()), room_for(self).height()))

    def _stress(self, wanted: QPushButton) -> None:
        for button in (self.start_button, self.install_button):
            name = "primary" if button is wanted else ""
            if button.objectName() != name:
                button.setObjectName(name)
                button.style().unpolish(button)
                button.style().polish(button)

    def _fill(self, standing: Standing) -> None:
        self.table.setRowCount(len(standing.rows))
        # What decides comes first.
        for at, row in enumerate(sorted(standing.rows, key=lambda row: row["measure"] != DECIDING)):
            base, adapter, difference = (row[key] for key in ("base", "adapter", "difference"))
            digits = 1 if str(row["measure"]).startswith("NoC@") else 3  # clicks are counted
            low, high = difference["low"], difference["high"]
            # A single image has no interval.
            around = f"  ({low:+.{digits}f} to {high:+.{digits}f})" if low < high else ""
            texts = (
                _title(str(row["measure"])),
                f"{base['mean']:.{digits}f}",
                f"{adapter['mean']:.{digits}f}",
                f"{difference['mean']:+.{digits}f}{around}",
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                font = item.font()
                font.setBold(at == 0)
                item.setFont(font)
                self.table.setItem(at, column, item)

    def _install(self) -> None:
        run = self._run
        if run is None:
            return
        if not run.standing.is_better:
            text = f"{brief(run.wish.name)} is not better than its base on held-back images. Install it all the same?"
            if not self._is_sure("Install anyway", text):
                return
        self._decide(run, self.install_wanted)

    def _discard(self) -> None:
        run = self._run
        if run is not None and self._is_sure("Discard", f"Delete what was trained for {brief(run.wish.name)}?"):
            self._decide(run, self.discard_wanted)

    def _decide(self, run: TrainingRun, signal: SignalInstance) -> None:
        # Not twice; a refresh gives them back when it could not be done.
        for button in (self.install_button, self.discard_button):
            button.setEnabled(False)
        signal.emit(run)

    def _is_sure(self, title: str, text: str) -> bool:
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return QMessageBox.question(self, title, text, yes | no, no) == yes


def _sentence(run: TrainingRun, standing: Standing) -> str:
    """Where the run stands, in words."""
    if run.is_running:
        if standing.is_judging:
            return "Base and adapter answer the same clicks on images that were held back …"
        if not standing.validation:
            return f"The model looks at pieces of the images: {standing.encoded} of {run.wish.pieces} …"
        epoch = re.match(r"epoch \d+", standing.line)
        parts = [f"{standing.minutes:.1f} of {run.wish.minutes:g} minutes", *([epoch.group()] if epoch else [])]
        return ", ".join(parts) + (": kept." if standing.line.endswith(", kept") else ".")
    ends = {
        Outcome.STOPPED: "Stopped. Training under the same name goes on from there.",
        Outcome.INSTALLED: f"{brief(run.wish.name)} is installed.",
        Outcome.DISCARDED: f"{brief(run.wish.name)} was not installed; what was trained is deleted.",
    }
    return ends.get(run.outcome, standing.line or "The training ended without a word.")


def _title(measure: str) -> str:
    """A row of the gate in words."""
    clicks = re.fullmatch(r"NoC@(\d+)", measure)
    return f"Clicks to IoU 0.{clicks.group(1)}" if clicks else measure.replace("bIoU", "Boundary IoU")


def _show_progress(bar: QProgressBar, run: TrainingRun, standing: Standing) -> None:
    if standing.is_judging:
        bar.setRange(0, 0)
    elif not standing.validation:
        bar.setRange(0, run.wish.pieces)
        bar.setValue(min(standing.encoded, run.wish.pieces))
    else:
        bar.setRange(0, 1000)
        bar.setValue(round(1000 * min(1.0, standing.minutes / run.wish.minutes)))
