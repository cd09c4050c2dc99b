"""The tool strip at the window's left edge. It makes room: smaller buttons in a low window, two columns in a very low
one, three in the lowest, so that no tool ever hides behind an overflow button."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QGridLayout, QSizePolicy, QToolBar, QToolButton, QWidget


@dataclass(frozen=True, slots=True)
class _Look:
    """How the strip looks, where there is room for all its buttons. Buttons have a fixed height: left to itself one
    grows by two pixels when the theme is changed."""

    icon_px: int
    button_px: int
    spacing_px: int
    line_px: int = 3
    columns: int = 1
    shows_keys: bool = True

    @property
    def least_width_px(self) -> int:
        return 56 if self.columns == 1 else 34

    def height_px(self, groups: Sequence[int]) -> int:
        """Of a strip with groups of so many buttons, and a line between them."""
        rows, lines = sum(-(-count // self.columns) for count in groups), len(groups) - 1
        return rows * self.button_px + lines * self.line_px + (rows + lines - 1) * self.spacing_px


_LOOKS = (
    _Look(22, 51, 2, line_px=9),
    _Look(16, 40, 0),
    _Look(16, 34, 0, shows_keys=False),
    _Look(16, 34, 0, columns=2, shows_keys=False),
    _Look(16, 28, 0, columns=2, shows_keys=False),
    _Look(16, 28, 0, columns=3, shows_keys=False),
)
_AROUND_PX = 62
"""Menu bar, status bar and the strip's own edges."""


class ToolStrip(QToolBar):
    """One button per action, under it the key that does the same.

    Args:
        names: the actions' ids in their order; an empty one is a line between groups.
        actions: the actions by id.
    """

    def __init__(self, names: Sequence[str], actions: dict[str, QAction], parent: QWidget) -> None:
        super().__init__("Tools", parent)
        self.setObjectName("tools")
        self.setMovable(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self._names, self._look = tuple(names), _LOOKS[0]
        self._key_texts: dict[str, str] = {}
        self._rows = QWidget()
        self._grid = QGridLayout(self._rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._buttons = {name: self._make_button(name, actions[name]) for name in names if name}
        self._lines = [self._make_line() for name in names if not name]
        self.addWidget(self._rows)
        self._apply()

    def button(self, name: str) -> QToolButton:
        """The button of an action.

        Raises:
            KeyError: the strip has none.
        """
        return self._buttons[name]

    @property
    def first_button(self) -> QToolButton:
        """The first that can be pressed now."""
        buttons = list(self._buttons.values())
        return next((button for button in buttons if button.isEnabled()), buttons[0])

    def set_key_text(self, name: str, text: str) -> None:
        self._key_texts[name] = text
        self._buttons[name].setText(text)

    def fit(self, window_height_px: int) -> None:
        """Look as a window of this height needs it."""
        look = next((look for look in _LOOKS[:-1] if self._from_height_px(look) <= window_height_px), _LOOKS[-1])
        if look is not self._look:
            self._look = look
            self._apply()

    @property
    def thresholds_px(self) -> tuple[int, ...]:
        """Heights of the window from which it looks otherwise, the largest first; they follow the number of buttons."""
        return tuple(self._from_height_px(look) for look in _LOOKS[:-1])

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make_button(self, name: str, action: QAction) -> QToolButton:
        button = QToolButton(self._rows)
        button.setDefaultAction(action)
        button.setAccessibleName(action.iconText())
        button.setObjectName(f"tool:{name}")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the focus where it is
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        # The button shows the key, not the title; an action that changes would bring the title back.
        action.changed.connect(lambda: button.setText(self._key_texts.get(name, "")))
        return button

    def _make_line(self) -> QFrame:
        line = QFrame(self._rows)
        line.setObjectName("rule")
        return line

    def _apply(self) -> None:
        look, under = self._look, Qt.ToolButtonStyle.ToolButtonTextUnderIcon
        is_compact = look is not _LOOKS[0]
        for part in (self, *self._buttons.values()):
            part.setProperty("compact", is_compact)
            part.style().unpolish(part)
            part.style().polish(part)
        self._grid.setSpacing(look.spacing_px)
        for button in self._buttons.values():
            button.setIconSize(QSize(look.icon_px, look.icon_px))
            button.setFixedHeight(look.button_px)
            button.setMinimumWidth(look.least_width_px)
            button.setToolButtonStyle(under if look.shows_keys else Qt.ToolButtonStyle.ToolButtonIconOnly)
        self._arrange()

    def _from_height_px(self, look: _Look) -> int:
        groups = [0]
        for name in self._names:
            if name:
                groups[-1] += 1
            else:
                groups.append(0)
        return look.height_px(groups) + _AROUND_PX

    def _arrange(self) -> None:
        while self._grid.takeAt(0) is not None:
            pass
        for row in range(self._grid.rowCount()):
            self._grid.setRowMinimumHeight(row, 0)  # where a line was
        columns, row, column = self._look.columns, 0, 0
        lines = iter(self._lines)
        for name in self._names:
            if name:
                self._grid.addWidget(self._buttons[name], row, column)
                row, column = (row, column + 1) if column + 1 < columns else (row + 1, 0)
                continue
            row, column = (row + 1 if column else row), 0
            line = next(lines)
            line.setFixedHeight(1)
            self._grid.addWidget(line, row, 0, 1, columns)
            self._grid.setRowMinimumHeight(row, self._look.line_px)
            row += 1
