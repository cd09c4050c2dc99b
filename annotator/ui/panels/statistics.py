"""The Statistics panel: what the project holds, and what the person thought of the model's proposals."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from annotator.domain.counting import counted
from annotator.domain.figures import BANDS, FINDERS, ProjectFigures, ProposalFigures, size_edges
from annotator.ui.look.numbers import grouped
from annotator.ui.look.theme import Theme

_HINT = "Counts objects per class, their sizes, and which proposals were accepted or rejected."
_LINE_PX, _BAR_PX, _PAD_PX = 26, 4, 12
Line = tuple[str, str, tuple[tuple[float, str], ...]]
"""Name, number, and the bar: shares of its room with their colours. A name alone is a heading."""
_LEAST_PX = 32
"""Of the chart, so that the buttons below it are seen in a low window, too."""


class _Chart(QWidget):
    """Lines with a name, a bar and a number. Painted, so that hundreds of classes cost no widgets."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.rows: list[Line] = []
        theme.subscribe(lambda _tokens: self.update())

    def set_rows(self, rows: list[Line]) -> None:
        self.rows = rows
        self.setAccessibleDescription("; ".join(f"{name} {number}".strip() for name, number, _ in rows))
        self.setFixedHeight(max(1, _LINE_PX * len(rows) + _PAD_PX))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(220, _LINE_PX * len(self.rows) + _PAD_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        first = max(0, event.rect().top() // _LINE_PX)
        last = min(len(self.rows), event.rect().bottom() // _LINE_PX + 1)
        for at in range(first, last):
            self._paint_row(painter, at)

    def _paint_row(self, painter: QPainter, at: int) -> None:
        """Name and number on a line, the bar below them: so it has the whole width of a narrow panel."""
        tokens, top, room = self._theme.tokens, float(at * _LINE_PX), self.width() - 2.0 * _PAD_PX
        name, number, bar = self.rows[at]
        font = self.font()
        font.setWeight(QFont.Weight.Normal if number else QFont.Weight.DemiBold)
        painter.setFont(font)
        line = QRectF(_PAD_PX, top, room, _LINE_PX - _BAR_PX - 3)
        number_px = painter.fontMetrics().horizontalAdvance(number) + 8 if number else 0
        painter.setPen(QColor(tokens.dim if number else tokens.text))
        text = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, int(room - number_px))
        painter.drawText(line, Qt.AlignmentFlag.AlignBottom, text)
        painter.setPen(QColor(tokens.text))
        painter.drawText(line, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignRight, number)
        painter.setPen(Qt.PenStyle.NoPen)
        x = float(_PAD_PX)
        for share, colour in bar:
            painter.setBrush(QColor(colour))
            painter.drawRect(QRectF(x, top + _LINE_PX - _BAR_PX - 1, max(1.0, room * share), _BAR_PX))
            x += room * share


class StatisticsPanel(QWidget):
    """Counts are made when it is asked for, and are marked as old when the project has changed since."""

    count_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self._figures: ProjectFigures | None = None
        self._is_counting = self._has_project = self._is_old = False
        self.stands = QLabel(_HINT)
        self.stands.setObjectName("dim")
        self.stands.setWordWrap(True)
        self.chart = _Chart(theme)
        self.chart.setAccessibleName("Statistics of the project")
        self.count_button = self._button("Count", self.count_wanted.emit)
        self.export_button = self._button("Export…", self.export_wanted.emit)
        self.view = QScrollArea()
        self._lay_out()
        theme.subscribe(lambda _tokens: self._show_rows())
        self._refresh()

    @property
    def figures(self) -> ProjectFigures | None:
        """What was counted last in this project."""
        return self._figures

    def show_figures(self, figures: ProjectFigures | None) -> None:
        """What was counted; None: nothing yet in this project."""
        self._figures, self._is_old = figures, False
        self._show_rows()
        self._refresh()

    def show_counting(self, is_counting: bool) -> None:
        self._is_counting = is_counting
        self._refresh()

    def set_has_project(self, has_project: bool) -> None:
        self._has_project = has_project
        self._refresh()

    def mark_old(self) -> None:
        """The project was changed since it was counted."""
        if self._figures is not None and not self._is_old:
            self._is_old = True
            self._refresh()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _button(self, text: str, run: object) -> QPushButton:
        button = QPushButton(text)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(run)
        return button

    def _lay_out(self) -> None:
        self.view.setObjectName("jobs")
        self.view.setAccessibleName("Statistics")
        self.view.setMinimumHeight(_LEAST_PX)
        self.view.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.view.setWidget(self.chart)
        self.view.setWidgetResizable(True)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        head, foot = QVBoxLayout(), QGridLayout()
        head.setContentsMargins(12, 4, 12, 6)
        foot.setContentsMargins(12, 6, 12, 8)
        foot.setSpacing(6)
        head.addWidget(self.stands)
        foot.addWidget(self.count_button, 0, 0)
        foot.addWidget(self.export_button, 0, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(head)
        whole.addWidget(self.view, 1)
        whole.addLayout(foot)

    def _show_rows(self) -> None:
        rows: list[Line] = []
        if self._figures is not None:
            rows = [*self._classes(self._figures), *self._sizes(self._figures)]
            for proposals in self._figures.proposals:
                rows += self._proposals(proposals)
            rows += [*self._images(self._figures), *self._origins(self._figures)]
        self.chart.set_rows(rows)

    def _images(self, figures: ProjectFigures) -> list[Line]:
        counts, accent = {one.value: count for one, count in figures.images.items() if count}, self._theme.tokens.accent
        most = max(counts.values(), default=0) or 1
        lines = [(name, grouped(count), ((count / most, accent),)) for name, count in counts.items()]
        return [("Images", "", ()), *lines] if lines else []

    def _origins(self, figures: ProjectFigures) -> list[Line]:
        most, accent = max(figures.origins.values(), default=0) or 1, self._theme.tokens.accent
        lines = [(name, grouped(count), ((count / most, accent),)) for name, count in figures.origins.items()]
        return [("How they were made", "", ()), *lines] if lines else []

    def _classes(self, figures: ProjectFigures) -> list[Line]:
        ranked = sorted(figures.classes, key=lambda one: -one.objects)
        most = max((one.objects for one in ranked), default=0) or 1
        lines: list[Line] = [("Objects per class", "", ())]
        lines += [(one.name, grouped(one.objects), ((one.objects / most, one.colour),)) for one in ranked]
        areas = [one for one in ranked if one.objects]
        if areas:
            largest = max(one.area_px[2] for one in areas) or 1
            medians = [(one.name, one.area_px[2], one.colour) for one in areas]
            lines.append(("Median area per class", "", ()))
            lines += [(name, f"{grouped(round(px))} px²", ((px / largest, colour),)) for name, px, colour in medians]
        return lines

    def _sizes(self, figures: ProjectFigures) -> list[Line]:
        edges = size_edges()
        sums = [sum(one.sizes[at] for one in figures.classes) for at in range(len(edges) - 1)]
        used = [at for at, count in enumerate(sums) if count]
        if not used:
            return []
        most, accent = max(sums), self._theme.tokens.accent
        names = [f"{grouped(round(edges[at]))} to {grouped(round(edges[at + 1]))} px²" for at in range(len(sums))]
        lines = [(names[at], grouped(sums[at]), ((sums[at] / most, accent),)) for at in range(used[0], used[-1] + 1)]
        return [("Sizes", "", ()), *lines]

    def _proposals(self, own: ProposalFigures) -> list[Line]:
        tokens = self._theme.tokens
        judged = (("accepted", own.accepted), ("corrected since", own.corrected), ("rejected", own.rejected))
        kinds = (*judged, ("waiting", own.waiting), ("not needed", own.covered))
        lines: list[Line] = [
            (FINDERS.get(own.source, own.source), "", ()),
            *((name, grouped(count), ()) for name, count in kinds),
        ]
        if own.precision is not None:
            low, high = own.interval
            lines.append(("precision", f"{own.precision:.0%}", ((own.precision, tokens.ok),)))
            lines.append(("95 % interval", f"{low:.0%} to {high:.0%}", ()))
        most = max((sum(pair) for pair in own.bands), default=0) or 1
        for at, (taken, refused) in enumerate(own.bands):
            if taken + refused:
                bar = ((taken / most, tokens.ok), (refused / most, tokens.danger))
                name = f"score {at / BANDS:.1f} to {(at + 1) / BANDS:.1f}"
                lines.append((name, f"{grouped(taken)} of {grouped(taken + refused)}", bar))
        return lines

    def _text(self) -> str:
        figures = self._figures
        if self._is_counting:
            return "Counting…"
        if figures is None:
            return _HINT
        images = sum(figures.images.values())
        text = f"{counted(figures.objects)} in {grouped(figures.images_with_objects)} of {counted(images, 'image')}"
        return f"{text} · changed: count again" if self._is_old else text

    def _refresh(self) -> None:
        self.stands.setText(self._text())
        self.count_button.setText("Count" if self._figures is None else "Count again")
        self.count_button.setEnabled(self._has_project and not self._is_counting)
        self.export_button.setEnabled(self._figures is not None)
