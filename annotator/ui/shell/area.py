"""The middle of the window: error bar, canvas, what floats on it, and the sentence for an empty window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.domain.brevity import brief_message
from annotator.ui.look.icons import plain_icon, tinted_pixmap
from annotator.ui.look.theme import Theme, Tokens
from annotator.ui.notices import is_part_of
from annotator.ui.shell.attribute_bar import AttributeBar
from annotator.ui.shell.doubt_legend import DoubtLegend
from annotator.ui.shell.finder import ClassFinder
from annotator.ui.shell.hud import STRIP_HEIGHT_PX, BusyLine, CandidateStrip, ClassChip, HintLine
from annotator.ui.shell.operation_bar import OperationBar
from annotator.ui.shell.question import QuestionBar
from annotator.ui.shell.slice_bar import SliceBar
from annotator.ui.shell.words_line import WordsLine

_EDGE_PX = 12
_STRIP_EDGE_PX = 8
FLOOR_PX = STRIP_HEIGHT_PX + 2 * _STRIP_EDGE_PX
"""Height at the canvas's lower edge where the candidates and the class in use float."""


@dataclass(frozen=True, slots=True)
class _Message:
    text: str
    is_error: bool
    action: tuple[str, Callable[[], object]] | None
    on_close: Callable[[], object] | None
    is_offer: bool
    not_now: str = ""

    @property
    def level(self) -> str:
        return "offer" if self.is_offer else "error" if self.is_error else "warn"


class ErrorBar(QFrame):
    """One message with at most one action, above the canvas.

    The newest is shown; what it covers comes back when it is withdrawn, closed or acted on. About one topic there is
    one message: a newer one takes its place.
    """

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("errorBar")
        self._theme = theme
        self._messages: dict[str, _Message] = {}
        """By topic, the newest last."""
        self._sign = QLabel()
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._more = QLabel()
        self.button = QPushButton()
        self.button.clicked.connect(self._act)
        self.not_now_button = QPushButton()
        self.not_now_button.clicked.connect(self._dismiss)
        self.close_button = QToolButton()
        self.close_button.setObjectName("flat")
        self.close_button.setAccessibleName("Close this message")
        self.close_button.setToolTip("Close this message")
        self.close_button.clicked.connect(self._dismiss)
        for button in (self.button, self.not_now_button, self.close_button):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 8, 8)
        row.setSpacing(12)
        row.addWidget(self._sign)
        row.addWidget(self.label, 1)
        row.addWidget(self._more)
        row.addWidget(self.button)
        row.addWidget(self.not_now_button)
        row.addWidget(self.close_button)
        self.hide()
        theme.subscribe(self._retint)

    @property
    def text(self) -> str:
        return self.label.text() if not self.isHidden() else ""

    @property
    def is_offer(self) -> bool:
        return bool(self._messages) and next(reversed(self._messages.values())).is_offer

    def show_message(
        self,
        text: str,
        *,
        is_error: bool = True,
        action: tuple[str, Callable[[], object]] | None = None,
        topic: str = "",
        on_close: Callable[[], object] | None = None,
        is_offer: bool = False,
        not_now: str = "",
    ) -> None:
        """Show a message; ``topic`` names what it is about, so that it can be withdrawn when that is over.

        ``on_close``: called when the person closes it without its action. An offer is neither error nor warning.
        ``not_now``: a button that says so.
        """
        self._messages.pop(topic, None)
        self._messages[topic] = _Message(brief_message(text), is_error, action, on_close, is_offer, not_now)
        self._show_newest()

    def has(self, topic: str) -> bool:
        """Whether there is a message about this, shown or covered."""
        return topic in self._messages

    def withdraw(self, topic: str) -> None:
        """Forget what is about this, or about a part of it, shown or covered."""
        over = [known for known in self._messages if is_part_of(known, topic)]
        for known in over:
            del self._messages[known]
        if over:
            self._show_newest()

    def _take(self) -> _Message:
        """The message that is shown, which is over now."""
        _topic, message = self._messages.popitem()
        self._show_newest()
        return message

    def _dismiss(self) -> None:
        on_close = self._take().on_close
        if on_close is not None:
            on_close()

    def _act(self) -> None:
        _label, action = self._take().action or ("", None)
        if action is not None:
            action()

    def _show_newest(self) -> None:
        if not self._messages:
            self.hide()
            return
        message = next(reversed(self._messages.values()))
        self.label.setText(message.text)
        self.setAccessibleName(message.text)
        self.setProperty("level", message.level)
        self.style().unpolish(self)
        self.style().polish(self)
        covered = len(self._messages) - 1
        self._more.setText(f"{covered} more")
        self._more.setVisible(covered > 0)
        self.button.setText(message.action[0] if message.action else "")
        self.button.setVisible(message.action is not None)
        self.not_now_button.setText(message.not_now)
        self.not_now_button.setVisible(bool(message.not_now))
        self._retint(self._theme.tokens)
        self.show()

    def _retint(self, tokens: Tokens) -> None:
        signs = {"warn": ("warning", tokens.warn), "offer": ("info", tokens.accent)}
        name, colour = signs.get(self.property("level"), ("warning", tokens.danger))
        pixmap = tinted_pixmap(name, colour, 40)
        pixmap.setDevicePixelRatio(2.0)
        self._sign.setPixmap(pixmap)
        self.close_button.setIcon(plain_icon("close", tokens.text))


class EmptyState(QWidget):
    """What an empty window says: one sentence, two buttons."""

    open_wanted = Signal()
    samples_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        title = QLabel("Click an object, get its mask, export COCO.")
        title.setObjectName("title")
        title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        sentence = QLabel("Open a folder of images, or drop one anywhere on this window.")
        sentence.setObjectName("dim")
        sentence.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.open_button = QPushButton("Open folder…")
        self.open_button.setObjectName("primary")
        self.open_button.clicked.connect(self.open_wanted)
        self.samples_button = QPushButton("Try the sample images")
        self.samples_button.clicked.connect(self.samples_wanted)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addStretch(1)
        row.addWidget(self.open_button)
        row.addWidget(self.samples_button)
        row.addStretch(1)
        box = QVBoxLayout(self)
        box.setSpacing(12)
        box.addStretch(2)
        for widget in (self._picture, title, sentence):
            box.addWidget(widget)
        box.addSpacing(8)
        box.addLayout(row)
        box.addStretch(3)
        self.setAutoFillBackground(True)
        theme.subscribe(self._retint)

    def _retint(self, tokens: Tokens) -> None:
        pixmap = tinted_pixmap("app", tokens.text, 144)
        pixmap.setDevicePixelRatio(2.0)
        self._picture.setPixmap(pixmap)
        palette = self.palette()
        palette.setColor(self.backgroundRole(), tokens.background)
        self.setPalette(palette)


class CanvasArea(QWidget):
    """Places the floating parts on the canvas; each keeps its corner when the window changes its size."""

    def __init__(self, theme: Theme, canvas: QAbstractScrollArea, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.canvas = canvas
        self.slices = SliceBar(theme)
        self._object_place = QRectF()
        self.error_bar = ErrorBar(theme)
        self.question = QuestionBar()
        self.empty = EmptyState(theme)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(canvas)
        # Over the image, which must not move under the hand when one of them comes or goes.
        self.refining, self.operation = QuestionBar(self.stack, is_short=True), OperationBar(self.stack)
        self.attribute = AttributeBar(self.stack)
        self.naming = QuestionBar(self.stack, is_short=True)
        """Is this what it looks like?"""
        self.trials = (self.operation, self.attribute, self.naming)
        """What is answered by the keys that accept and cancel."""
        self.bars = (self.refining, *self.trials)
        for bar in self.bars:
            bar.installEventFilter(self)
        self.candidates = CandidateStrip(theme, self.stack)
        self.chip = ClassChip(theme, self.stack)
        self.chip.hide()
        self.hint = HintLine(theme, self.stack)
        self.notice = HintLine(theme, self.stack)
        """What there is to say about the answer on the screen."""
        self.doubt = DoubtLegend(theme, self.stack)
        self.finder = ClassFinder(self.stack)
        self.words = WordsLine(self.stack)
        self.busy = BusyLine(theme, self.stack)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.error_bar)
        box.addWidget(self.question)
        box.addWidget(self.stack, 1)
        box.addWidget(self.slices)
        self.stack.installEventFilter(self)
        for part in (self.candidates, self.chip, self.hint, self.notice, self.doubt, self.finder, self.words):
            part.installEventFilter(self)

    def show_canvas(self, is_shown: bool) -> None:
        self.stack.setCurrentWidget(self.canvas if is_shown else self.empty)
        for part in (
            self.candidates,
            self.chip,
            self.hint,
            self.notice,
            self.doubt,
            *self.bars,
            self.finder,
            self.words,
            self.busy,
        ):
            part.raise_()
        if not is_shown:
            for part in (self.candidates, self.chip, self.hint, self.notice, self.doubt, self.finder, self.words):
                part.hide()

    def make_way_for(self, object_place: QRectF) -> None:
        """Where on the canvas the candidates lie: their strip goes to the upper edge when it would cover them."""
        self._object_place = object_place
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.LayoutRequest):
            self._place()
        return False

    def _place(self) -> None:
        size: QSize = self.stack.size()
        width, height = size.width(), size.height()
        self.busy.setGeometry(0, 0, width, self.busy.height())
        for line in (self.hint, self.notice):
            line.fit(width - 2 * _EDGE_PX)
        below_bars = _EDGE_PX
        for bar in self.bars:
            if bar.isHidden():  # it is placed when it is shown
                continue
            room_px = width - 2 * _EDGE_PX
            wanted_px = bar.fit(room_px) if isinstance(bar, QuestionBar) else bar.sizeHint()
            size_px = wanted_px.boundedTo(QSize(room_px, height))
            bar.setGeometry((width - size_px.width()) // 2, below_bars, size_px.width(), size_px.height())
            below_bars += size_px.height() + _EDGE_PX
        self.chip.move(_EDGE_PX, height - (FLOOR_PX + self.chip.height()) // 2)
        strip = self.candidates
        left = (width - strip.width()) // 2
        clear_of_chip = self.chip.geometry().right() + _EDGE_PX
        bottom = height - strip.height() - _STRIP_EDGE_PX
        if left < clear_of_chip and not self.chip.isHidden():
            left = min(clear_of_chip, width - strip.width() - _EDGE_PX)
            if left < clear_of_chip:
                left, bottom = max(0, (width - strip.width()) // 2), bottom - self.chip.height() - 8
        below, above = (QRectF(QPointF(left, y), QSizeF(strip.size())) for y in (bottom, _STRIP_EDGE_PX))
        is_below = _shared_area(below, self._object_place) <= _shared_area(above, self._object_place)
        strip.move((below if is_below else above).topLeft().toPoint())
        top = below_bars if is_below or strip.isHidden() else strip.geometry().bottom() + _STRIP_EDGE_PX
        self.notice.move((width - self.notice.width()) // 2, top)
        self.doubt.move(width - self.doubt.width() - _EDGE_PX, _EDGE_PX)
        self.words.move((width - self.words.width()) // 2, below_bars)
        below_words = below_bars + (0 if self.words.isHidden() else self.words.height() + _EDGE_PX)
        self.hint.move((width - self.hint.width()) // 2, below_words)
        self.finder.move(_EDGE_PX, self.chip.y() - self.finder.height() - _EDGE_PX)


def _shared_area(one: QRectF, other: QRectF) -> float:
    shared = one.intersected(other)
    return shared.width() * shared.height()
