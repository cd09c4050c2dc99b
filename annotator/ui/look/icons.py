"""The program's own icons: one stroke, ``currentColor``, tinted by the theme."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QImage, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from annotator.files.resources import resource_path
from annotator.ui.look.theme import Tokens

# Every size a tool bar or menu asks for at 1x, 1.5x, 2x and 3x, so that an icon is never scaled up.
_SIZES_PX = (16, 24, 32, 48, 72)
_LARGEST_AT_1X_PX = 24


def tinted_pixmap(name: str, colour: str, size_px: int) -> QPixmap:
    """One icon in one colour, ``size_px`` device pixels square. Call it on the GUI thread.

    Raises:
        FileNotFoundError: no such icon.
        ValueError: the file is not SVG.
    """
    return QPixmap.fromImage(_drawn(name, colour, size_px))


@lru_cache(maxsize=1024)
def _drawn(name: str, colour: str, size_px: int) -> QImage:
    """Drawn once: every tool button, menu and window with this icon shares the pixels, and so does a theme that comes
    back. An image, because it may outlive the application."""
    image = QImage(size_px, size_px, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    _renderer(name, colour).render(painter, QRectF(0, 0, size_px, size_px))
    painter.end()
    return image


def _renderer(name: str, colour: str) -> QSvgRenderer:
    source = resource_path(f"icons/{name}.svg").read_bytes()
    renderer = QSvgRenderer(QByteArray(source.replace(b"currentColor", colour.encode())))
    if not renderer.isValid():
        raise ValueError(f"icon {name!r} is not valid SVG")
    return renderer


def _wanted_sizes_px() -> tuple[int, ...]:
    """What the screens that are there can show: drawing the others would double the time that a theme takes."""
    ratio = max((screen.devicePixelRatio() for screen in QGuiApplication.screens()), default=max(_SIZES_PX))
    enough = next((size for size in _SIZES_PX if size >= _LARGEST_AT_1X_PX * ratio), max(_SIZES_PX))
    return tuple(size for size in _SIZES_PX if size <= enough)


def icon(name: str, tokens: Tokens) -> QIcon:
    """An icon for buttons and menus: text colour, faint when disabled, ``on_accent`` when switched on."""
    result = QIcon()
    mode, state = QIcon.Mode, QIcon.State
    for colour, places in (
        (tokens.text, ((mode.Normal, state.Off), (mode.Active, state.Off), (mode.Selected, state.Off))),
        (tokens.faint, ((mode.Disabled, state.Off),)),
        (tokens.on_accent, ((mode.Normal, state.On), (mode.Active, state.On), (mode.Disabled, state.On))),
    ):
        for size_px in _wanted_sizes_px():
            pixmap = tinted_pixmap(name, colour, size_px)
            for place in places:
                result.addPixmap(pixmap, *place)
    return result


def plain_icon(name: str, colour: str) -> QIcon:
    """An icon in one colour, whatever its state."""
    result = QIcon()
    for size_px in _SIZES_PX:
        pixmap = tinted_pixmap(name, colour, size_px)
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
            result.addPixmap(pixmap, mode)
    return result
