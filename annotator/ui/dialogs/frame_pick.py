"""The dialog in which frames of a video are chosen: every n-th one of a range of time, and how many that gives."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.brevity import brief
from annotator.domain.counting import counted, number_text
from annotator.domain.frame_pick import ALL_FRAMES, FramePick, parse_time, step_ms, time_text
from annotator.ui.dialogs.note import Note
from annotator.ui.dialogs.work_dialog import title_label
from annotator.ui.look.plain import title_text

_MOST_EVERY = 100_000


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """A video that the dialog is about.

    Attributes:
        times_ms: of all its frames.
        worked: numbers of frames with work on them, which stay whatever is chosen.
    """

    name: str
    times_ms: tuple[float, ...]
    pick: FramePick
    worked: frozenset[int] = frozenset()


class FramePickDialog(QDialog):
    """Says while one types how many frames are picked. Nothing is done before the button is pressed."""

    chosen = Signal(object)
    """The FramePick."""

    def __init__(self, video: VideoFrames, parent: QWidget) -> None:
        super().__init__(parent)
        self._video = video
        self.setWindowTitle(title_text(f"Frames of {brief(video.name)}"))
        self.setMinimumWidth(460)
        self.every = QSpinBox()
        self.every.setRange(1, min(_MOST_EVERY, max(1, len(video.times_ms))))
        self.start, self.end = QLineEdit(), QLineEdit()
        self.end.setPlaceholderText(f"{time_text(video.times_ms[-1])}, the end")
        self.start.setPlaceholderText("0:00.000")
        self.count, self.note = QLabel(), Note()
        self.count.setWordWrap(True)
        self.count.setObjectName("dim")
        has_time = step_ms(video.times_ms) > 0
        for field, name in ((self.every, "Every n-th frame"), (self.start, "From"), (self.end, "To")):
            field.setAccessibleName(name)
        for field in (self.start, self.end):
            field.setEnabled(has_time)
            field.setToolTip("Minutes and seconds, as 1:30.500; or seconds" if has_time else "The file has no times")
            field.textChanged.connect(self._tell)
        self.every.valueChanged.connect(self._tell)
        self._lay_out()
        self._show(video.pick)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(10)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, field in (("Every n-th frame", self.every), ("From", self.start), ("To", self.end)):
            form.addRow(text, field)
        self.all_button, self.cancel_button = QPushButton("All frames"), QPushButton("Cancel")
        self.take_button = QPushButton("Show these frames")
        self.take_button.setObjectName("primary")
        self.take_button.setDefault(True)
        for button in (self.all_button, self.cancel_button):
            button.setAutoDefault(False)
        self.all_button.clicked.connect(lambda: self._show(ALL_FRAMES))
        self.cancel_button.clicked.connect(self.reject)
        self.take_button.clicked.connect(self._take)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.all_button)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.take_button)
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 20, 20, 16)
        box.setSpacing(16)
        box.addWidget(title_label(f"Frames of {brief(self._video.name)}"))
        box.addLayout(form)
        box.addWidget(self.count)
        box.addWidget(self.note)
        box.addLayout(buttons)

    def pick(self) -> FramePick:
        """What is typed.

        Raises:
            ValueError: it is no time, or the range ends before it begins.
        """
        end = self.end.text().strip()
        start = self.start.text().strip()
        return FramePick(self.every.value(), parse_time(start) if start else 0.0, parse_time(end) if end else None)

    def _show(self, pick: FramePick) -> None:
        self.every.setValue(pick.every)
        self.start.setText(time_text(pick.from_ms) if pick.from_ms > 0 else "")
        self.end.setText("" if pick.to_ms is None else time_text(pick.to_ms))
        self._tell()

    def _tell(self) -> None:
        times = self._video.times_ms
        try:
            frames = self.pick().frames(times)
            wrong = "" if frames else f"There is no frame in this range; the last one is at {time_text(times[-1])}."
        except ValueError as error:
            text = str(error)
            frames, wrong = (), f"{text[:1].upper()}{text[1:]}."
        self.take_button.setEnabled(not wrong)
        self.note.say(wrong)
        if wrong:
            self.count.setText("")
            return
        words = f"{number_text(len(frames))} of {counted(len(times), 'frame')}"
        step = step_ms([times[frame] for frame in frames])
        if step > 0:
            words += f", {step / 1000:.3g} s apart"
        stay = len(self._video.worked - set(frames))
        if stay:
            words += f". {counted(stay, 'other frame')} with work {'stays' if stay == 1 else 'stay'}, too"
        self.count.setText(f"{words}.")

    def _take(self) -> None:
        self.chosen.emit(self.pick())
        self.accept()
