"""The QActions of a window, made from the rows of ``action_rows.py`` and a keymap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from annotator.ui.look.icons import icon
from annotator.ui.look.theme import Tokens
from annotator.ui.shell.action_rows import ACTIONS, MENUS, ActionRow
from annotator.ui.shell.keymap import Keymap
from annotator.ui.shell.window_state import WindowState

_OWN = {row.id for row in ACTIONS}
_LAST = {"File": "quit", "Help": "about"}
"""What stays last in its menu."""
Run = Callable[[ActionRow, bool], object]
"""Does what a row says; the second is the new state of a switch, or whether a held key is down."""


class ActionSet(QObject):
    """One QAction per row. Held keys need their release, which a shortcut does not report: the key gate serves them."""

    def __init__(self, keymap: Keymap, run: Run, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows = {row.id: row for row in ACTIONS}
        self.actions: dict[str, QAction] = {}
        self.keymap = keymap
        self._run, self._parent = run, parent
        self._groups: dict[str, QActionGroup] = {}
        self._state = WindowState()
        self._is_on: dict[str, bool] = {}
        self._behind: dict[str, QAction | None] = {}
        """What stands behind the actions of other packages, by menu."""
        for row in ACTIONS:
            self._make(row)
        self.set_keymap(keymap)

    def _make(self, row: ActionRow) -> None:
        action = QAction(row.title, self)
        action.setObjectName(row.id)
        action.setCheckable(row.is_checkable)
        action.setAutoRepeat(row.repeats)
        action.setIconVisibleInMenu(not row.is_checkable)
        if row.group:
            self._groups.setdefault(row.group, QActionGroup(self)).addAction(action)
        if not row.is_held:
            action.triggered.connect(lambda is_on: self._run(row, is_on))
        self.actions[row.id] = action
        self._parent.addAction(action)

    def add(self, rows: Iterable[ActionRow], menus: Mapping[str, QMenu]) -> None:
        """Take in actions of other packages: at the end of their menus, but for what everybody looks for there."""
        for row in rows:
            if row.menu not in self._behind:
                self._behind[row.menu] = self._make_section(menus[row.menu], _LAST.get(row.menu))
            self.rows[row.id] = row
            self._make(row)
            action, behind = self.actions[row.id], self._behind[row.menu]
            if behind is None:
                menus[row.menu].addAction(action)
            else:
                menus[row.menu].insertAction(behind, action)
            self._is_on[row.id] = row.enabled(self._state)
            action.setEnabled(self._is_on[row.id])
        self.set_keymap(self.keymap)

    def _make_section(self, menu: QMenu, last: str | None) -> QAction | None:
        """Begin a section at the end of a menu, or before an action; returns what stands behind it."""
        if last is None:
            menu.addSeparator()
            return None
        entries = menu.actions()
        behind = self.actions[last]
        if not entries[entries.index(behind) - 1].isSeparator():
            menu.insertSeparator(behind)
        return menu.insertSeparator(behind)

    def __getitem__(self, name: str) -> QAction:
        return self.actions[name]

    def set_keymap(self, keymap: Keymap) -> None:
        """Use other keys; tooltips teach them."""
        self.keymap = keymap = keymap.with_added([row for row in self.rows.values() if row.id not in _OWN])
        for name, action in self.actions.items():
            row = self.rows[name]
            action.setShortcuts([] if row.is_held else _sequences(keymap.keys(name)))
            keys = keymap.label(name)
            action.setToolTip(f"{row.name}  {keys}\n{row.tip}" if keys else f"{row.title}\n{row.tip}")
            action.setStatusTip("")
            # Qt shows no key that is held, and calls the Enter key by its other name.
            action.setText(f"{row.title}\t{keys}" if row.is_held or "Enter" in keys else row.title)
            action.setIconText(row.title)

    def held_keys(self) -> dict[str, str]:
        """Action ids by the keys that act while they are down."""
        return {key: row.id for row in self.rows.values() if row.is_held for key in self.keymap.keys(row.id)}

    def set_tokens(self, tokens: Tokens) -> None:
        for name, action in self.actions.items():
            if self.rows[name].icon:
                action.setIcon(icon(self.rows[name].icon, tokens))

    def enable(self, state: WindowState) -> None:
        """Enable what can be done in this state."""
        before, self._state = self._state, state
        is_same = (before.document, before.hand) == (state.document, state.hand) and before.work is state.work
        if is_same and self._is_on:  # a step to the next slice asks seven times
            return
        answers: dict[Callable[[WindowState], bool], bool] = {}  # many rows ask the same
        for name, action in self.actions.items():
            asks = self.rows[name].enabled
            is_on = answers[asks] = answers[asks] if asks in answers else asks(state)
            if is_on != self._is_on.get(name):  # Qt is asked only for what differs: this is done after every click
                self._is_on[name] = is_on
                action.setEnabled(is_on)

    def fill_menu_bar(self, bar: QMenuBar) -> dict[str, QMenu]:
        """All menus; "Model" stays empty for the window to fill."""
        menus = {title: bar.addMenu(text) for title, text in zip(MENUS, with_mnemonics(MENUS), strict=True)}
        for row in ACTIONS:
            menu = menus[row.menu]
            if row.starts_section and menu.actions():
                menu.addSeparator()
            menu.addAction(self.actions[row.id])
        return menus


def with_mnemonics(titles: Iterable[str]) -> list[str]:
    """Titles with `&` before the letter that opens the menu with Alt: the first that no earlier title has taken."""
    taken: set[str] = set()
    found = []
    for title in titles:
        at = next((i for i, letter in enumerate(title) if letter.isalpha() and letter.lower() not in taken), None)
        if at is None:
            found.append(title)
            continue
        taken.add(title[at].lower())
        found.append(f"{title[:at]}&{title[at:]}")
    return found


def _sequences(keys: Iterable[str]) -> list[QKeySequence]:
    """Key sequences; a sign such as "?" also with Shift, which most keyboards need for it."""
    found = []
    for key in keys:
        found.append(QKeySequence(key))
        if len(key) == 1 and not key.isalnum():
            found.append(QKeySequence(f"Shift+{key}"))
    return found
