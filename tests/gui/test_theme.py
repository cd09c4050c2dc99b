"""The theme: contrast over the whole table, resources, icons."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from PySide6.QtGui import QFontInfo, QGuiApplication
from PySide6.QtWidgets import QApplication

from annotator.domain.palette import colours_after
from annotator.files.resources import resource_path
from annotator.ui.look import icons, theme

GROUNDS = ("background", "surface", "raised", "field")


@pytest.mark.parametrize("tokens", theme.THEMES.values(), ids=str)
@pytest.mark.parametrize("ink", ["text", "dim", "danger", "warn", "ok", "accent"])
@pytest.mark.parametrize("ground", GROUNDS)
def test_text_contrast(tokens, ink, ground):
    needed = 3.0 if ink == "accent" else 4.5
    assert theme.contrast(getattr(tokens, ink), getattr(tokens, ground)) >= needed


@pytest.mark.parametrize("tokens", theme.THEMES.values(), ids=str)
@pytest.mark.parametrize("ground", GROUNDS)
def test_what_cannot_be_used_now_is_faint_but_seen(tokens, ground):
    faint = theme.contrast(tokens.faint, getattr(tokens, ground))
    assert 2.5 <= faint < theme.contrast(tokens.dim, getattr(tokens, ground))


@pytest.mark.parametrize("tokens", theme.THEMES.values(), ids=str)
def test_text_on_filled_parts(tokens):
    assert theme.contrast(tokens.on_accent, tokens.accent) >= 4.5
    assert theme.contrast(tokens.text, tokens.selection) >= 4.5
    assert theme.contrast(tokens.dim, tokens.selection) >= 3.0
    assert theme.contrast(tokens.accent, tokens.selection) >= 3.0


def test_contrast_against_known_values():
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_chip_letters_are_readable_on_every_class_colour():
    for colour in itertools.islice(colours_after(()), 200):
        assert theme.contrast(theme.readable_on(colour), colour) >= 4.5


@pytest.mark.parametrize("tokens", theme.THEMES.values(), ids=str)
def test_stylesheet_has_no_open_tokens(tokens):
    sheet = theme.stylesheet(tokens)
    assert "@" not in sheet.split("*/", 1)[1]
    assert tokens.surface in sheet


def test_missing_resource_is_named():
    with pytest.raises(FileNotFoundError, match="no-such-thing"):
        resource_path("no-such-thing")


def test_every_icon_renders_in_its_colour(qapp):
    names = [path.stem for path in sorted(resource_path("icons").glob("*.svg"))]
    assert len(names) >= 20
    for name in names:
        image = icons.tinted_pixmap(name, "#ff0000", 48).toImage()
        inked = [image.pixelColor(x, y) for x in range(48) for y in range(48) if image.pixelColor(x, y).alpha() > 200]
        assert inked, f"{name} draws nothing"
        if not name.endswith(("app", "-dark", "-light")):
            assert all(c.red() > 200 and c.green() < 60 for c in inked), f"{name} is not tinted"


def test_icons_are_never_scaled_up_on_the_screens_there_are(qapp):
    ratio = max(screen.devicePixelRatio() for screen in qapp.screens())
    found = icons.icon("accept", theme.DARK)
    widths = {size.width() for size in found.availableSizes()}
    assert max(widths) >= 24 * ratio
    assert 16 in widths


def test_the_font_that_ships_is_used_on_every_system(qapp, monkeypatch):
    for platform in ("xcb", "windows", "cocoa", "wayland", "offscreen"):
        monkeypatch.setattr(QGuiApplication, "platformName", lambda platform=platform: platform)
        font = theme.work_font(10)
        assert font.families()[0] == "Inter"
        assert QFontInfo(font).family() == "Inter"
        assert len(font.families()) > 1, "the system's own has what it lacks"


def test_text_is_drawn_with_a_real_font(qapp):
    look = theme.Theme(qapp, "dark")
    assert QFontInfo(QApplication.font()).family() == "Inter"
    assert look.tokens is theme.DARK


def test_switching_tells_subscribers(qapp):
    seen: list[str] = []
    look = theme.Theme(qapp, "dark")
    look.subscribe(lambda tokens: seen.append(tokens.name))
    look.apply("light")
    assert seen == ["dark", "light"]
    assert qapp.palette().window().color().name() == theme.LIGHT.surface


CYCLES = """
import gc
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget
from annotator.ui.look.theme import Theme

class Collecting(QWidget):
    def changeEvent(self, event):
        if event.type() == QEvent.Type.StyleChange and gc.isenabled():
            gc.collect()
        super().changeEvent(event)

app = QApplication([])
theme = Theme(app, "dark")
kept = Collecting()
kept.show()
gc.collect()
gc.set_threshold(10**9)
for _ in range(100):
    widget = QWidget()
    box = QVBoxLayout(widget)
    for _ in range(10):
        box.addWidget(QLabel("x"))
    widget.me = widget
    widget.show()
    widget.hide()
    del widget, box
theme.apply("light")
print("alive")
"""


def test_a_collection_in_the_middle_of_a_new_look_does_not_end_the_process():
    """In a process of its own: without care it ends by a fault in Qt."""
    ended = subprocess.run([sys.executable, "-c", CYCLES], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "alive"
