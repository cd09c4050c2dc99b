"""Rows of the Checks panel: a line for each check that found something, below it its findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, QStringListModel, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QStyleOptionViewItem

from annotator.domain.checks.finding import CheckSpec, Finding, Severity
from annotator.domain.checks.listing import CheckList
from annotator.domain.counting import noun_for
from annotator.ui.look.numbers import grouped
from annotator.ui.look.theme import Tokens
from annotator.ui.panels.delegates import OBJECT_ROW_HEIGHT_PX, RowDelegate
from annotator.ui.panels.list_models import ROW_ROLE

Index = QModelIndex | QPersistentModelIndex
_ROLE = Qt.ItemDataRole
LINES_ROLE = ROW_ROLE + 1
"""The two lines of a row."""
COUNT_ROLE = ROW_ROLE + 2
"""At the right of a check's line: how many are open, and how many it found."""
IS_OPEN_ROLE = ROW_ROLE + 3
"""Of a finding, whether it is neither waived nor changed; of a check, whether its findings are shown."""
_CHANGED = "Changed since"
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class CheckModel(QStringListModel):
    """As the other lists: Qt counts its rows itself, and asks for the texts of those that are seen alone."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.list = CheckList()
        self.notes: dict[str, str] = {}
        """Of what is waived, by mark."""
        self.stale: set[str] = set()
        """Marks of findings that are about something that was changed."""
        self._rows: list[CheckSpec | Finding] = []
        self._closed: set[str] = set()
        self._counts: Counter[str] = Counter()

    def set_list(self, found: CheckList) -> None:
        """Show what a run has found."""
        self.list, self.notes, self.stale = found, dict(found.notes), set()
        self._counts = Counter(
            {group.spec.id: sum(one.mark not in self.notes for one in group.findings) for group in found.groups}
        )
        self._fill()

    @property
    def open_count(self) -> int:
        """How many findings are neither waived nor changed."""
        return self._counts.total()

    def is_open(self, finding: Finding) -> bool:
        return finding.mark not in self.notes and finding.mark not in self.stale

    def open_findings(self, check: str) -> list[Finding]:
        """Those of a check that are open."""
        findings = next((group.findings for group in self.list.groups if group.spec.id == check), ())
        return [one for one in findings if self.is_open(one)]

    def set_stale(self, finding: Finding, is_stale: bool) -> None:
        """Whether it is about something that was changed; :meth:`refresh` shows it."""
        was_open = self.is_open(finding)
        (self.stale.add if is_stale else self.stale.discard)(finding.mark)
        self._counts[finding.check] += self.is_open(finding) - was_open

    def set_note(self, finding: Finding, note: str) -> None:
        """Why it is waived; empty when it counts again."""
        was_open = self.is_open(finding)
        self.notes.pop(finding.mark, None)
        if note:
            self.notes[finding.mark] = note
        self._counts[finding.check] += self.is_open(finding) - was_open
        self.refresh()

    def refresh(self) -> None:
        """Paint what is seen anew."""
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))

    def set_shown(self, check: str, is_shown: bool | None = None) -> int:
        """Show or hide the findings of a check; None: the other way. Gives the row of its line."""
        is_shown = check in self._closed if is_shown is None else is_shown
        if is_shown is (check in self._closed):
            (self._closed.discard if is_shown else self._closed.add)(check)
            self._fill()
        return next((at for at, row in enumerate(self._rows) if isinstance(row, CheckSpec) and row.id == check), -1)

    def row(self, at: int) -> CheckSpec | Finding | None:
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def next_open(self, at: int, step: int) -> int:
        """The row of the next finding (+1, or the one before: -1) that is neither waived nor changed; -1: none."""
        places: Iterable[int] = range(at + 1, len(self._rows)) if step > 0 else range(at - 1, -1, -1)
        return next((i for i in places if isinstance(row := self._rows[i], Finding) and self.is_open(row)), -1)

    # --- Qt -----------------------------------------------------------------------------------------------------------

    def flags(self, index: Index) -> Qt.ItemFlag:
        return super().flags(index) & ~Qt.ItemFlag.ItemIsEditable

    def data(self, index: Index, role: int = _ROLE.DisplayRole) -> object:
        row = self._rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role == LINES_ROLE:
            return self._lines(row)
        if role == IS_OPEN_ROLE:
            return self.is_open(row) if isinstance(row, Finding) else row.id not in self._closed
        if role == COUNT_ROLE:
            return "" if isinstance(row, Finding) else grouped(self._counts[row.id])
        if role in (_ROLE.DisplayRole, _ROLE.AccessibleTextRole, _ROLE.ToolTipRole):
            first, second = self._lines(row)
            if isinstance(row, CheckSpec):
                return f"{first}: {grouped(self._counts[row.id])}\n{second}"
            return f"{row.spec.title}: {first}\n{second}"
        return None

    def _fill(self) -> None:
        rows: list[CheckSpec | Finding] = []
        for group in self.list.groups:
            rows.append(group.spec)
            if group.spec.id not in self._closed:
                rows.extend(group.findings)
        self._rows = rows
        self.setStringList([""] * len(rows))

    def _lines(self, row: CheckSpec | Finding) -> tuple[str, str]:
        if isinstance(row, CheckSpec):
            return row.title, row.tip
        if row.mark in self.stale:
            said = _CHANGED
        else:
            said = f"Waived: {note}" if (note := self.notes.get(row.mark)) else ""
        ids = row.object_ids
        objects = f"{noun_for(len(ids), 'object')} {' and '.join(map(str, ids))}" if ids else ""
        return row.text, " · ".join(part for part in (said, self.list.names.get(row.image_id, ""), objects) if part)


class CheckDelegate(RowDelegate):
    """Two lines each. Of a check its name, how much it found and what it looks for; what is settled is dim."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, OBJECT_ROW_HEIGHT_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        tokens, row = self._theme.tokens, index.data(ROW_ROLE)
        is_check, is_open = isinstance(row, CheckSpec), index.data(IS_OPEN_ROLE)
        if is_check:
            painter.fillRect(option.rect, QColor(tokens.raised))
        rect = self._background(painter, option)
        lines = rect.adjusted(0 if is_check else 12, 4, 0, -4)
        upper, lower = lines.adjusted(0, 0, 0, -lines.height() // 2), lines.adjusted(0, lines.height() // 2, 0, 0)
        first, second = index.data(LINES_ROLE)
        if is_check:
            font = painter.font()
            font.setBold(True)
            painter.setFont(font)
            self._paint_sign(painter, upper, row, is_open, tokens)
            count = index.data(COUNT_ROLE)
            self._text(painter, upper, count, tokens.text, _RIGHT)
            upper = upper.adjusted(28, 0, -painter.fontMetrics().horizontalAdvance(count) - 8, 0)
            lower = lower.adjusted(28, 0, 0, 0)
        self._text(painter, upper, first, tokens.text if is_check or is_open else tokens.dim)
        font = painter.font()
        font.setBold(False)
        painter.setFont(font)
        self._text(painter, lower, second, tokens.dim)
        painter.restore()

    def _paint_sign(self, painter: QPainter, line: QRect, spec: CheckSpec, is_shown: bool, tokens: Tokens) -> None:
        """A triangle for whether its findings are shown, and a dot in the colour of the severity."""
        self._text(painter, QRect(line.left(), line.top(), 12, line.height()), "▾" if is_shown else "▸", tokens.dim)
        colours = {Severity.ERROR: tokens.danger, Severity.WARNING: tokens.warn, Severity.NOTE: tokens.dim}
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours[spec.severity]))
        painter.drawEllipse(QRectF(line.left() + 15, line.center().y() - 3, 8, 8))
