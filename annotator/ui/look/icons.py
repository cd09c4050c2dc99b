"""The program's own icons: one stroke, ``currentColor``, tinted by the theme."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from annotator.ui.look.theme import Tokens, resource_path

# Every size a tool bar or menu asks for at 1x, 1.5x, 2x and 3x, so that an icon is never scaled up.
_SIZES_PX = (16, 24, 32, 48, 72)
_LARGEST_AT_1X_PX = 24


def tinted_pixmap(name: str, colour: str, size_px: int) -> QPixmap:
    """One icon in one colour, ``size_px`` device pixels square. Call it on the GUI thread.

    Raises:
        FileNotFoundError: no such icon.
        ValueError: the file is not SVG.
    """
    return _rendered(_renderer(name, _source(name), colour), size_px)


def _source(name: str) -> bytes:
    return resource_path(f"icons/{name}.svg").read_bytes()


def _renderer(name: str, source: bytes, colour: str) -> QSvgRenderer:
    renderer = QSvgRenderer(QByteArray(source.replace(b"currentColor", colour.encode())))
    if not renderer.isValid():
        raise ValueError(f"icon {name!r} is not valid SVG")
    return renderer


def _rendered(renderer: QSvgRenderer, size_px: int) -> QPixmap:
    pixmap = QPixmap(size_px, size_px)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, size_px, size_px))
    painter.end()
    return pixmap


def _wanted_sizes_px() -> tuple[int, ...]:
    """What the screens that are there can show: drawing the others would double the time that a theme takes."""
    ratio = max((screen.devicePixelRatio() for screen in QGuiApplication.screens()), default=max(_SIZES_PX))
    enough = next((size for size in _SIZES_PX if size >= _LARGEST_AT_1X_PX * ratio), max(_SIZES_PX))
    return tuple(size for size in _SIZES_PX if size <= enough)


def icon(name: str, tokens: Tokens) -> QIcon:
    """An icon for buttons and menus: text colour, faint when disabled, ``on_accent`` when switched on."""
    result = QIcon()
    mode, state = QIcon.Mode, QIcon.State
    source = _source(name)
    for colour, places in (
        (tokens.text, ((mode.Normal, state.Off), (mode.Active, state.Off), (mode.Selected, state.Off))),
        (tokens.faint, ((mode.Disabled, state.Off),)),
        (tokens.on_accent, ((mode.Normal, state.On), (mode.Active, state.On), (mode.Disabled, state.On))),
    ):
        renderer = _renderer(name, source, colour)
        for size_px in _wanted_sizes_px():
            pixmap = _rendered(renderer, size_px)
            for place in places:
                result.addPixmap(pixmap, *place)
    return result


def plain_icon(name: str, colour: str) -> QIcon:
    """An icon in one colour, whatever its state."""
    result = QIcon()
    renderer = _renderer(name, _source(name), colour)
    for size_px in _SIZES_PX:
        pixmap = _rendered(renderer, size_px)
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
            result.addPixmap(pixmap, mode)
    return result
