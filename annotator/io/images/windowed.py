"""An image that was read, through another window than its file asks for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from annotator.domain import budget
from annotator.domain.errors import ImageError
from annotator.domain.window import Window
from annotator.domain.windowing import WINDOWING_VERSION, Spread, bytes_for, is_blank, show, spread_of
from annotator.io.images.reader import LoadedImage

SHOWS_NOTHING = "the stored window shows nothing of this image"


def windowed(image: LoadedImage, window: Window | None) -> LoadedImage:
    """The image through a window; its native numbers stay with it.

    Args:
        image: with its native numbers, unless it has 8 bits; whatever window it is shown through now.
        window: None: as the file asks.

    Returns:
        With another ``image_key``: embeddings belong to what the person sees.

    Raises:
        ImageError: it needs more memory than an image may take.
    """
    native = image.source
    if window == native.default and (native.plain is None or not native.is_deep):
        window = None  # the very pixels that the file asks for
    if window == image.window:
        return image
    budget.ask("This window", bytes_for(native, window or native.default), error=ImageError)
    rgb = show(native, window)
    if window is None:
        return replace(image, rgb=rgb, image_key=image.file_key, window=None, native=native)
    named = f"{image.file_key}|window{WINDOWING_VERSION}|{window.key()}"
    key = hashlib.sha256(named.encode("ascii")).hexdigest()
    return replace(image, rgb=rgb, image_key=key, window=window, native=native)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A window that was kept for an image.

    Attributes:
        of_slices: nobody chose it: it holds for all slices of a series, also for those in which nothing is to be seen.
    """

    window: Window
    of_slices: bool = False


def through_stored(image: LoadedImage, kept: Remembered | None, spread: Spread | None = None) -> LoadedImage:
    """As :func:`windowed`, for a window that was remembered: one that somebody chose and that would blank this picture
    is passed over, and the note says so."""
    if kept is None:
        return windowed(image, None)
    window = kept.window
    if not kept.of_slices and is_blank(window, spread or spread_of(image.source)):
        plain = windowed(image, None)
        return replace(plain, note=", ".join(filter(None, (plain.note, SHOWS_NOTHING))))
    shown = windowed(image, window)
    if shown.window is None:
        return shown
    return replace(shown, note=shown.window.words(image.source.unit))
