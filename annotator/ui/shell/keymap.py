"""Which key does what: the rows' own keys, presets that differ (``resources/keymap.toml``), conflicts, and the gate
that keeps text fields safe."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

import shiboken6
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from annotator.files.resources import resource_path
from annotator.ui.shell.action_rows import ACTIONS, ActionRow

DEFAULT_PRESET = "annotator"
_log = logging.getLogger(__name__)
_TEXT_WIDGETS = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox)
_PLAIN = (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.KeypadModifier)
_ARROWS = ("Left", "Right", "Up", "Down")
RESERVED = {
    **dict.fromkeys(_ARROWS, "move the cross-hair"),
    **{f"Shift+{arrow}": "ten pixels" for arrow in _ARROWS},
    **{f"Ctrl+{arrow}": "one pixel" for arrow in _ARROWS},
    "Shift+Space": "remove at the cross-hair",
    **{str(digit): "class by its number" for digit in range(1, 10)},
    **{f"Ctrl+{digit}": "adapter by its number" for digit in range(1, 10)},
    "Ctrl+0": "no adapter",
}


@dataclass(frozen=True, slots=True)
class Keymap:
    """Keys by action id, in Qt's portable notation ("Ctrl+Z", "D", "PgDown")."""

    name: str
    bindings: Mapping[str, tuple[str, ...]]

    def keys(self, action: str) -> tuple[str, ...]:
        return self.bindings.get(action, ())

    def label(self, action: str) -> str:
        """The first key as the person's system writes it; empty when there is none."""
        keys = self.keys(action)
        return native(keys[0]) if keys else ""

    def with_added(self, rows: Iterable[ActionRow]) -> Keymap:
        """With the keys of other packages' actions, as far as nothing has them; the first of two packages has one."""
        bindings = {**self.bindings}
        taken = {QKeySequence(key).toString() for keys in (RESERVED, *bindings.values()) for key in keys}
        for row in rows:
            if row.id in bindings:
                continue
            free = []
            for key in row.keys:
                portable = QKeySequence(key).toString()
                if not portable or portable in taken:
                    _log.warning("the key %s of the action %s is taken, or none", key, row.id)
                else:
                    taken.add(portable)
                    free.append(portable)
            bindings[row.id] = tuple(free)
        return Keymap(self.name, bindings)

    def conflicts(self) -> list[str]:
        """One sentence per key that two actions, or an action and a reserved key, want."""
        owners: dict[str, list[str]] = {
            QKeySequence(key).toString(): [f"({purpose})"] for key, purpose in RESERVED.items()
        }
        problems = []
        for action, keys in self.bindings.items():
            for key in keys:
                portable = QKeySequence(key).toString()
                if not portable:
                    problems.append(f"{action}: {key!r} is not a key")
                    continue
                owners.setdefault(portable, []).append(action)
        problems += [f"{key} is wanted by {', '.join(who)}" for key, who in owners.items() if len(who) > 1]
        return problems


def presets() -> dict[str, Keymap]:
    """All presets: the default one of the action rows, and those of the bundled file, which differ from it."""
    base = {row.id: row.keys for row in ACTIONS if row.keys}
    own = {name: Keymap(name, {**base, **differing}) for name, differing in differences().items()}
    return {DEFAULT_PRESET: Keymap(DEFAULT_PRESET, base), **own}


def differences() -> dict[str, dict[str, tuple[str, ...]]]:
    """What the other presets have in another place: keys by action id, by preset."""
    data = tomllib.loads(resource_path("keymap.toml").read_text(encoding="utf-8"))
    return {name: {action: tuple(keys) for action, keys in own.items()} for name, own in data.items()}


@cache
def native(key: str) -> str:
    """A key as it is written on the person's system, with signs for the long names."""
    text = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
    for name, sign in (("Return", "Enter"), ("PgDown", "Page ↓"), ("PgUp", "Page ↑")):
        text = text.replace(name, sign)
    return text


def is_text_input(widget: QObject | None) -> bool:
    """Whether typed keys belong to this widget: text fields, item editors, spin boxes, editable combo boxes."""
    return isinstance(widget, _TEXT_WIDGETS) or (isinstance(widget, QComboBox) and widget.isEditable())


class KeyGate(QObject):
    """Decides, before Qt looks for a shortcut, whether a key belongs to the widget that has the focus.

    It filters the events of the focused widget only, so no other event of the program passes through Python.

    Args:
        is_canvas: tells whether a widget is the canvas, where ``Tab`` switches candidates and never moves the focus.
        claims: asked on the canvas, whether a key that is an action's elsewhere is the canvas's own now.
        on_held: called with (action id, is pressed) for keys that act while they are held.
    """

    def __init__(
        self,
        window: QWidget,
        *,
        is_canvas: Callable[[QObject], bool],
        on_held: Callable[[str, bool], object],
        claims: Callable[[QKeyEvent], bool] = lambda _event: False,
    ) -> None:
        super().__init__(window)
        self._claims = claims
        self._window = window
        self._is_canvas = is_canvas
        self._on_held = on_held
        self._held: dict[str, str] = {}
        self._down: set[str] = set()
        """Actions whose key is held now."""
        self._watched: QWidget | None = None
        cast(QApplication, QApplication.instance()).focusChanged.connect(self._follow)

    def set_held(self, keys: Mapping[str, str]) -> None:
        """Keys that act while held, as {key: action id}."""
        self._held = {QKeySequence(key).toString(): action for key, action in keys.items()}

    def _follow(self, old: QWidget | None, new: QWidget | None) -> None:
        if self._watched is not None and shiboken6.isValid(self._watched):
            self._watched.removeEventFilter(self)
        self._watched = None
        if new is not None and shiboken6.isValid(self._window) and new.window() is self._window:
            new.installEventFilter(self)
            self._watched = new
        else:
            self._let_go()  # the release of a held key goes to another window

    def _let_go(self) -> None:
        for action in sorted(self._down):
            self._on_held(action, False)
        self._down.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            return False
        key_event = cast(QKeyEvent, event)
        if kind == QEvent.Type.ShortcutOverride:
            if self._belongs_to(watched, key_event):
                event.accept()
                return True
            return False
        if kind == QEvent.Type.KeyRelease:
            return self._serve_release(key_event)
        if is_text_input(watched) or (self._is_canvas(watched) and self._claims(key_event)):
            return False
        return self._serve_held(watched, key_event) or self._keep_tab(watched, key_event)

    def _belongs_to(self, widget: QObject, event: QKeyEvent) -> bool:
        plain = (event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier) in _PLAIN
        if is_text_input(widget):
            is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            return (plain and not Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F35) or is_enter
        if self._is_canvas(widget):
            return self._claims(event)
        if event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            return True
        return isinstance(widget, QAbstractItemView) and event.matches(QKeySequence.StandardKey.SelectAll)

    def _serve_held(self, widget: QObject, event: QKeyEvent) -> bool:
        """Also after a click in a list; a button is pressed by Space, whatever else that does."""
        action = self._held.get(QKeySequence(event.key()).toString())
        if action is None or event.modifiers() != Qt.KeyboardModifier.NoModifier:
            return False
        if event.key() == Qt.Key.Key_Space and isinstance(widget, QAbstractButton):
            return False
        if not event.isAutoRepeat():
            self._down.add(action)
            self._on_held(action, True)
        return True

    def _serve_release(self, event: QKeyEvent) -> bool:
        """A key that was pressed alone may be released with another one, or in a text field."""
        action = self._held.get(QKeySequence(event.key()).toString())
        if action is None or action not in self._down:
            return False
        if not event.isAutoRepeat():
            self._down.discard(action)
            self._on_held(action, False)
        return True

    def _keep_tab(self, widget: QObject, event: QKeyEvent) -> bool:
        is_tab = event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)
        return is_tab and self._is_canvas(widget)
