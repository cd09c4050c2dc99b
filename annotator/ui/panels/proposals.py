"""The Proposals panel: how many there are, which of them are shown, and what is done with all of those."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.proposals.review import ProposalReview, Walk
from annotator.domain.proposals.table import Limits
from annotator.ui.look.numbers import grouped

_STEPS = 100
_LARGEST_PX = 4_000_000
"""The size at the right end of the sliders but one; the end itself means any."""
_WALKS = ((Walk.SCORE, "Best first"), (Walk.READING, "Line by line"))
_HINT = "Objects that the model finds by itself are proposed here."


def area_of(step: int) -> float:
    """The size in pixels that a place of the size sliders stands for; the first is 0, the last endless."""
    if step <= 0:
        return 0.0
    return math.inf if step >= _STEPS else float(round(_LARGEST_PX ** (step / (_STEPS - 1))))


def step_of(area_px: float) -> int:
    """The place of the size sliders for a size."""
    if area_px <= 0:
        return 0
    return _STEPS if area_px > _LARGEST_PX else min(_STEPS - 1, round(math.log(area_px, _LARGEST_PX) * (_STEPS - 1)))


class ProposalPanel(QWidget):
    """Sliders act while they are moved; nothing here asks the model but the button that says so."""

    limits_changed = Signal(object)
    """Limits"""
    walk_changed = Signal(object)
    """Walk"""
    ask_wanted = Signal()
    stop_wanted = Signal()
    accept_wanted = Signal()
    drop_wanted = Signal()
    bring_back_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._review = ProposalReview()
        self._is_searching = self._can_change = False
        self._stands = QLabel(_HINT)
        self._stands.setObjectName("dim")
        self._stands.setWordWrap(True)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(4)
        self._bar.setAccessibleName("Progress of the search")
        self._bar.hide()
        self.score, self.least, self.most, self.overlap = (_slider(name) for name in _NAMES)
        self.sliders = (self.score, self.least, self.most, self.overlap)
        self.walk = QComboBox()
        self.walk.setAccessibleName("Order of the keys")
        for walk, title in _WALKS:
            self.walk.addItem(title, walk)
        self.ask_button = self._button("Find all", self._ask_or_stop)
        self.accept_button = self._button("Accept shown", self.accept_wanted.emit)
        self.drop_button = self._button("Drop shown", self.drop_wanted.emit)
        self.back_button = self._button("Bring back", self.bring_back_wanted.emit)
        self.view = QScrollArea()
        self._values = [QLabel() for _ in self.sliders]
        self._lay_out()
        for slider in self.sliders:
            slider.valueChanged.connect(self._on_slider)
        self.walk.currentIndexChanged.connect(lambda _at: self.walk_changed.emit(Walk(self.walk.currentData())))
        self.set_limits(Limits(), Walk.SCORE)
        self._refresh()

    def set_limits(self, limits: Limits, walk: Walk) -> None:
        """Put the sliders there; no signal is sent."""
        with QSignalBlocker(self.walk):
            self.walk.setCurrentIndex(self.walk.findData(walk))
        places = (round(100 * limits.least_score), step_of(limits.least_area_px), step_of(limits.most_area_px))
        for slider, place in zip(self.sliders, (*places, round(100 * limits.most_overlap)), strict=True):
            with QSignalBlocker(slider):
                slider.setValue(place)
        self._write_values()

    @property
    def limits(self) -> Limits:
        """Where the sliders are."""
        score, least, most, overlap = (slider.value() for slider in self.sliders)
        return Limits(score / 100, area_of(least), area_of(most), overlap / 100)

    def show_review(self, review: ProposalReview) -> None:
        """How the proposals of the image stand."""
        self._review = review
        self._refresh()

    def show_search(self, is_searching: bool, share: float | None = None) -> None:
        """Whether the model is searching, and how far it is (0..1, None for not known)."""
        self._is_searching = is_searching
        self._bar.setVisible(is_searching)
        self._bar.setRange(0, 0 if share is None else 1000)
        if share is not None:
            self._bar.setValue(round(1000 * share))
        self._refresh()

    def set_can_change(self, can_change: bool) -> None:
        """Whether an image of a writable project is shown."""
        self._can_change = can_change
        self._refresh()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _button(self, text: str, run: object) -> QPushButton:
        button = QPushButton(text)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(run)
        return button

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        for row, (name, slider, value) in enumerate(zip(_NAMES, self.sliders, self._values, strict=True)):
            label = QLabel(name)
            label.setBuddy(slider)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            value.setMinimumWidth(value.fontMetrics().horizontalAdvance("000 000 px"))
            for column, widget in enumerate((label, slider, value)):
                grid.addWidget(widget, row, column)
        grid.addWidget(QLabel("Keys go"), len(_NAMES), 0)
        grid.addWidget(self.walk, len(_NAMES), 1, 1, 2)
        content = QWidget()
        content.setObjectName("panel")
        self.view.setObjectName("jobs")
        self.view.setAccessibleName("Proposals")
        self.view.setWidget(content)
        self.view.setWidgetResizable(True)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.view)
        box = QVBoxLayout(content)
        box.setContentsMargins(12, 4, 12, 8)
        box.setSpacing(6)
        for part in (self._stands, self._bar):
            box.addWidget(part)
        box.addLayout(grid)
        for pair in ((self.ask_button, self.accept_button), (self.drop_button, self.back_button)):
            row_box = QHBoxLayout()
            row_box.setSpacing(6)
            for button in pair:
                row_box.addWidget(button)
            box.addLayout(row_box)
        box.addStretch(1)

    def _ask_or_stop(self) -> None:
        (self.stop_wanted if self._is_searching else self.ask_wanted).emit()

    def _on_slider(self) -> None:
        moved = self.sender()
        if self.least.value() > self.most.value():  # one pushes the other
            other = self.most if moved is self.least else self.least
            with QSignalBlocker(other):
                other.setValue(moved.value())  # type: ignore[attr-defined]
        self._write_values()
        self.limits_changed.emit(self.limits)

    def _write_values(self) -> None:
        limits = self.limits
        most = "any" if math.isinf(limits.most_area_px) else f"{grouped(round(limits.most_area_px))} px"
        overlap = "any" if limits.most_overlap >= 1 else f"{round(100 * limits.most_overlap)} %"
        texts = (f"{limits.least_score:.2f}", f"{grouped(round(limits.least_area_px))} px", most, overlap)
        for label, text in zip(self._values, texts, strict=True):
            label.setText(text)

    def _refresh(self) -> None:
        review, can = self._review, self._can_change
        shown, is_open = len(review.shown), review.open_count
        text = f"{grouped(shown)} shown of {grouped(is_open)}" if len(review.table) or self._is_searching else _HINT
        if review.dropped:
            text += f" · {grouped(len(review.dropped))} dropped"
        self._stands.setText(text)
        self.ask_button.setText("Stop" if self._is_searching else "Find again" if len(review.table) else "Find all")
        self.ask_button.setEnabled(can)
        self.accept_button.setText(f"Accept {grouped(shown)}" if shown else "Accept shown")
        for button in (self.accept_button, self.drop_button):
            button.setEnabled(can and shown > 0)
        self.back_button.setEnabled(can and bool(review.dropped))


_NAMES = ("Score from", "Size from", "Size to", "Overlap to")


def _slider(name: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setAccessibleName(name)
    slider.setRange(0, _STEPS)
    slider.setPageStep(5)
    slider.setMinimumWidth(30)
    return slider
