"""The shortcut sheet and "About": made from the action table, so that they cannot be out of date."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from PySide6.QtCore import Qt, qVersion
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from annotator import plugins
from annotator.domain.ports.engine import ModelInfo
from annotator.ui.canvas.tools.specs import TOOLS
from annotator.ui.dialogs.scroll_pane import BAR_ROOM_PX, ScrollPane, fit_to_screen, fits_beside
from annotator.ui.dialogs.work_dialog import closing_row, title_label
from annotator.ui.shell.action_rows import ACTIONS, MENUS, ActionRow
from annotator.ui.shell.keymap import Keymap, native
from annotator.ui.shell.version import program_version
from annotator.ui.threads.background import Errand

MOUSE = (
    *(gesture for spec in TOOLS for gesture in spec.gestures),
    (("Side button",), "Accept"),
    (("Wheel",), "Zoom at the cursor"),
    (("Space+drag", "Middle drag"), "Pan"),
)


CROSS_HAIR = (
    (("Arrow key",), "Move it; the first one shows it"),
    (("Shift+arrow",), "Ten pixels"),
    (("Ctrl+arrow",), "One pixel"),
    (("Space",), "Add to the object; hold to paint"),
    (("Shift+Space",), "Remove from it"),
    (("Box tool's key",), "Corner of a box, then the other one"),
    (("Esc", "Mouse"), "Put it away"),
)
"""What keys do on the image without a mouse, once an arrow key has shown the cross-hair."""


class ShortcutSheet(QDialog):
    """All keys on one sheet; what is typed is looked for in names and keys."""

    def __init__(self, keymap: Keymap, parent: QWidget | None = None, *, rows: Iterable[ActionRow] = ACTIONS) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._sections = _sections(keymap, tuple(rows))
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search keys")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(_SEARCH_PX)
        self.search.textChanged.connect(self._find)
        self._pane = ScrollPane(self._laid_out(self._sections), takes_focus=True)
        head = QHBoxLayout()
        head.addWidget(title_label("Keys"))
        head.addStretch(1)
        head.addWidget(self.search)
        head.addSpacing(BAR_ROOM_PX)
        box = QVBoxLayout(self)
        box.setContentsMargins(24, 20, 24 - BAR_ROOM_PX, 16)
        box.setSpacing(16)
        box.addLayout(head)
        box.addWidget(self._pane)
        box.addLayout(closing_row(self, margin_px=BAR_ROOM_PX))
        self._pane.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Letters go into the search, wherever the focus is."""
        text = event.text()
        if text.strip() and text.isprintable() and not self.search.hasFocus():
            self.search.setFocus()
            self.search.insert(text)
            return
        super().keyPressEvent(event)

    def _find(self, text: str) -> None:
        words = text.casefold().split()
        found = {
            name: [row for row in rows if all(word in " ".join((*row[0], row[1])).casefold() for word in words)]
            for name, rows in self._sections.items()
        }
        self._pane.set_content(self._laid_out(found))

    def _laid_out(self, sections: dict[str, list[Row]]) -> QWidget:
        """In as many columns as the screen is wide enough for."""
        heights = {name: len(rows) + _HEADING_ROWS for name, rows in sections.items() if rows}
        made = _sheet(sections, _columns(heights, 1))
        for count in range(_MOST_COLUMNS, 1, -1):
            wide = _sheet(sections, _columns(heights, count))
            if fits_beside(self, wide, margin_px=48):
                return wide
        return made

    def showEvent(self, event: QShowEvent) -> None:
        if not event.spontaneous():
            fit_to_screen(self)
        super().showEvent(event)


_LOOKING = "Looking for plug-ins…"
Row = tuple[tuple[str, ...], str]
_Columns = tuple[tuple[str, ...], ...]
_ORDER = ("Object", "Edit", "Mask", "Track", "Image", "View", "Model", "File", "Help", "Mouse", "Cross-hair")
_MOST_COLUMNS = 5
_SEARCH_PX = 240
_HEADING_ROWS = 2
"""What a heading takes, in rows."""


def _columns(heights: dict[str, int], count: int) -> _Columns:
    """The sections in their order in so many columns, the highest of which is as low as can be."""
    names = [name for name in _ORDER if heights.get(name)]

    def filled(most: int) -> list[list[str]]:
        made: list[list[str]] = [[]]
        for name in names:
            if made[-1] and sum(heights[one] for one in made[-1]) + heights[name] > most:
                made.append([])
            made[-1].append(name)
        return made

    if not names:
        return ()
    least = max(heights[name] for name in names)
    most = next(most for most in range(least, sum(heights.values()) + 1) if len(filled(most)) <= count)
    return tuple(map(tuple, filled(most)))


def _sections(keymap: Keymap, rows: tuple[ActionRow, ...]) -> dict[str, list[Row]]:
    by_name = {menu: _rows_of(menu, keymap, rows) for menu in MENUS}
    by_name["Object"] += [(("1 … 9",), "Class by its number")]
    by_name["Model"] += [(("Ctrl+1 … 9",), "Adapter by number"), (("Ctrl+0",), "No adapter")]
    by_name["Mouse"] = list(MOUSE)
    by_name["Cross-hair"] = list(CROSS_HAIR)
    return by_name


def _sheet(sections: dict[str, list[Row]], columns: _Columns) -> QWidget:
    content = QWidget()
    row = QHBoxLayout(content)
    row.setContentsMargins(0, 0, BAR_ROOM_PX, 0)
    row.setSpacing(32)
    if not columns:
        row.addWidget(QLabel("No key is called that."))
    for names in columns:
        column = QVBoxLayout()
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(0, 1)
        for name in names:
            if sections[name]:
                _add_section(grid, name, sections[name])
        column.addLayout(grid)
        column.addStretch(1)
        row.addLayout(column)
    return content


def _rows_of(menu: str, keymap: Keymap, actions: tuple[ActionRow, ...]) -> list[Row]:
    rows: list[Row] = []
    shown_together: dict[str, tuple[str, ...]] = {}
    for row in actions:
        keys = keymap.keys(row.id)
        if row.menu != menu or not keys:
            continue
        if row.together in shown_together:
            rows[-1] = (_from_to(shown_together[row.together], keys[0]), row.together)
        elif row.together:
            shown_together[row.together] = (native(keys[0]),)
            rows.append((shown_together[row.together], row.together))
        else:
            # Both Return and Enter are "the Enter key" to a person.
            shown = list(dict.fromkeys(native(key) for key in keys))
            if row.is_held:
                shown[0] = f"hold {shown[0]}"
            rows.append((tuple(shown), row.name))
    return rows


def _from_to(first: tuple[str, ...], last: str) -> tuple[str, ...]:
    return (f"{first[0]} … {native(last).rsplit('+', 1)[-1]}",)


def _add_section(grid: QGridLayout, title: str, rows: list[Row]) -> None:
    """A heading and its keys below what the grid has."""
    at = grid.rowCount()
    if grid.count():
        grid.setRowMinimumHeight(at, 10)
        at += 1
    heading = QLabel(title)
    heading.setObjectName("heading")
    grid.addWidget(heading, at, 0, 1, 2)
    line = QFrame()
    line.setFixedHeight(1)
    line.setObjectName("rule")
    grid.addWidget(line, at + 1, 0, 1, 2)
    for number, (keys, text) in enumerate(rows, at + 2):
        caps = QHBoxLayout()
        caps.setSpacing(4)
        for key in keys:
            cap = QLabel(key)
            cap.setObjectName("key")
            caps.addWidget(cap)
        caps.addStretch(1)
        grid.addLayout(caps, number, 1)
        grid.addWidget(QLabel(text), number, 0)


class AboutBox(QDialog):
    """Version, what runs, what other packages add, licences."""

    def __init__(self, info: ModelInfo | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About Annotator")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        title = title_label(f"Annotator {program_version()}")
        lines = [
            "Click an object, get its mask, export COCO that trains.",
            f"Python {platform.python_version()}, Qt {qVersion()}, {platform.system()} {platform.machine()}",
        ]
        if info is not None:
            checked = "verified" if info.is_verified else "not verified"
            lines.append(f"Model {info.name} ({checked}), {info.device}, {info.dtype}\n{info.sha256[:16]}…")
        lines.append(_LOOKING)
        lines.append("Apache-2.0. Qt is used under the LGPL; the font Inter under the SIL Open Font License.")
        box = QVBoxLayout(self)
        box.setContentsMargins(24, 20, 24, 20)
        box.setSpacing(12)
        box.addWidget(title)
        for text in lines:
            label = QLabel(text)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setObjectName("dim" if text is not lines[0] else "")
            box.addWidget(label)
            if text is _LOOKING:
                self.plugins = label
        box.addStretch(1)
        box.addLayout(closing_row(self))
        self.setMinimumWidth(420)
        errand = Errand(self)
        self.finished.connect(lambda _code: errand.shut_down())
        errand.start(plugins.packages, self._show_plugins, lambda error: self.plugins.setText(f"Plug-ins: {error}"))

    def _show_plugins(self, packages: tuple[plugins.Package, ...]) -> None:
        lines = [f"{package.name} {package.version}: {', '.join(package.adds)}" for package in packages]
        self.plugins.setText("\n".join(["Plug-ins from installed packages:", *lines]) if lines else "No plug-ins.")
        self.resize(self.width(), max(self.minimumHeight(), self.heightForWidth(self.width())))
