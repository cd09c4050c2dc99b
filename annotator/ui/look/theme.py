"""Dark and light from one token table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from annotator.domain.collecting import no_collection
from annotator.files.resources import resource_path


@dataclass(frozen=True, slots=True)
class Tokens:
    """All colours of the window, as ``#rrggbb``.

    ``background`` surrounds the image, ``surface`` is a panel, ``raised`` a control or a popped up strip, ``field``
    takes typed text, ``line`` parts areas, ``text`` and ``dim`` are read on all of them, ``faint`` is what cannot be
    used now, ``on_accent`` is read on ``accent``.
    """

    name: str
    background: str
    surface: str
    raised: str
    field: str
    line: str
    text: str
    dim: str
    faint: str
    accent: str
    on_accent: str
    selection: str
    danger: str
    warn: str
    ok: str


DARK = Tokens(
    name="dark",
    background="#111315",
    surface="#191c1f",
    raised="#25292e",
    field="#0d0f11",
    line="#343a41",
    text="#e6e9ec",
    dim="#a2abb5",
    faint="#69727c",
    accent="#5aa9ff",
    on_accent="#06182b",
    selection="#1f3d5e",
    danger="#ff8177",
    warn="#f2b84b",
    ok="#58c98f",
)
LIGHT = Tokens(
    name="light",
    background="#dfe2e6",
    surface="#f3f4f6",
    raised="#ffffff",
    field="#ffffff",
    line="#c3c9d0",
    text="#1a1e23",
    dim="#4d565f",
    faint="#848d96",
    accent="#0a5cb8",
    on_accent="#ffffff",
    selection="#c8def8",
    danger="#a81f1f",
    warn="#744900",
    ok="#0d6236",
)
THEMES = {"dark": DARK, "light": LIGHT}

RADIUS_PX = 4
GRID_PX = 4


def contrast(a: str, b: str) -> float:
    """WCAG 2 contrast of two ``#rrggbb`` colours, 1..21."""

    def luminance(colour: str) -> float:
        def linear(value: float) -> float:
            return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

        red, green, blue = (linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def readable_on(colour: str) -> str:
    """Black or white, whichever reads better on ``colour``; one of them always has 4.5 : 1."""
    return max("#000000", "#ffffff", key=lambda ink: contrast(ink, colour))


def palette(tokens: Tokens) -> QPalette:
    """Qt's palette for the tokens."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    result = QPalette()
    for where, colour in (
        (role.Window, tokens.surface),
        (role.Base, tokens.field),
        (role.AlternateBase, tokens.surface),
        (role.Button, tokens.raised),
        (role.ToolTipBase, tokens.raised),
        (role.WindowText, tokens.text),
        (role.Text, tokens.text),
        (role.ButtonText, tokens.text),
        (role.ToolTipText, tokens.text),
        (role.BrightText, tokens.danger),
        (role.PlaceholderText, tokens.dim),
        (role.Highlight, tokens.selection),
        (role.HighlightedText, tokens.text),
        (role.Accent, tokens.accent),
        (role.Link, tokens.accent),
        (role.LinkVisited, tokens.accent),
        (role.Light, tokens.raised),
        (role.Midlight, tokens.raised),
        (role.Mid, tokens.line),
        (role.Dark, tokens.line),
        (role.Shadow, tokens.background),
    ):
        result.setColor(where, QColor(colour))
    for where in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText):
        result.setColor(group.Disabled, where, QColor(tokens.faint))
    return result


def stylesheet(tokens: Tokens) -> str:
    """``resources/style.qss`` with ``@token`` replaced by its value.

    Raises:
        ValueError: the sheet names a token that does not exist.
    """
    values = {field.name: str(getattr(tokens, field.name)) for field in fields(tokens)}
    values["radius"] = f"{RADIUS_PX}px"
    values["icons"] = resource_path("icons").as_posix()

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ValueError(f"style.qss names an unknown token @{match[1]}")
        return values[match[1]]

    return re.sub(r"@(\w+)", value, resource_path("style.qss").read_text(encoding="utf-8"))


_FONT_FILES = ("Inter-Regular.otf", "Inter-SemiBold.otf")


@cache
def _bundled_family() -> str:
    """The family that ships, made known to Qt once.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: Qt cannot read one.
    """
    for name in _FONT_FILES:
        if QFontDatabase.addApplicationFont(str(resource_path(f"fonts/{name}"))) < 0:
            raise ValueError(f"the font {name} cannot be read; install the program again")
    return "Inter"


def work_font(size_pt: float) -> QFont:
    """The font of the window, with tabular figures: the one that ships, so that the program looks the same on every
    machine. What it lacks (other scripts) comes from the system's own.
    """
    font = QFont([_bundled_family(), QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family()])
    font.setPointSizeF(size_pt)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


class Theme:
    """The theme in use. Widgets that paint themselves read ``tokens`` when they paint and subscribe to changes."""

    def __init__(self, app: QApplication, name: str = "dark", *, size_pt: float = 10.0) -> None:
        self._app = app
        self._listeners: list[Callable[[Tokens], None]] = []
        self.tokens = DARK
        if (style := QStyleFactory.create("Fusion")) is not None:
            app.setStyle(style)
        app.setFont(work_font(size_pt))
        self._name = name
        self.apply(name)
        app.styleHints().colorSchemeChanged.connect(self._on_system)

    def apply(self, name: str) -> None:
        """Switch to ``dark``, ``light`` or ``system`` (which follows the system's wish from then on)."""
        self._name = name
        # A new style sheet goes through a list of all widgets, and some run Python while it does. A collection there
        # may delete a widget that is further down the list; Qt goes on to it and the process dies.
        with no_collection():
            self._restyle(name)
        for listener in self._listeners:
            listener(self.tokens)

    @contextmanager
    def styled_at_the_end(self) -> Iterator[None]:
        """For building a window: a part that is put into another is styled anew with all that is in it. Without a sheet
        meanwhile, each is styled once."""
        sheet = self._app.styleSheet()
        with no_collection():
            self._app.setStyleSheet("")
        try:
            yield
        finally:
            with no_collection():
                self._app.setStyleSheet(sheet)

    def _restyle(self, name: str) -> None:
        hints = self._app.styleHints()
        scheme = Qt.ColorScheme
        if name == "system":
            hints.unsetColorScheme()
            name = "light" if hints.colorScheme() == scheme.Light else "dark"
        else:
            hints.setColorScheme(scheme.Light if name == "light" else scheme.Dark)
        self.tokens = THEMES.get(name, DARK)
        # Without its sheet the program takes the palette and then the new sheet in half the time.
        self._app.setStyleSheet("")
        self._app.setPalette(palette(self.tokens))
        self._app.setStyleSheet(stylesheet(self.tokens))

    def _on_system(self, scheme: Qt.ColorScheme) -> None:
        wanted = LIGHT if scheme == Qt.ColorScheme.Light else DARK
        if self._name == "system" and wanted is not self.tokens:
            self.apply("system")

    def subscribe(self, listener: Callable[[Tokens], None]) -> None:
        """Call ``listener`` now and after every change; it must live as long as the theme."""
        self._listeners.append(listener)
        listener(self.tokens)
