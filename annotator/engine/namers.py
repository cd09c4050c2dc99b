"""Holds the model that names or describes objects, beside everything else; it is loaded when it is asked first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from annotator.domain.errors import DeviceMemoryError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.naming import Describer, Description, NameGuess, Namer
from annotator.engine.finders import load_named

KEPT_S = 300.0
"""A model that nobody asked for so long gives its memory back."""


class NamerShelf:
    """The best model for names that is here. For one thread at a time, which may be another one each time: not the
    engine's, so that loading and asking it delay no click.

    Args:
        load: as :func:`annotator.engine.finders.load_named`.
    """

    def __init__(self, load: Callable[[str, str], object] = load_named) -> None:
        self._load = load
        self._namer: Namer | None = None
        self._describer: Describer | None = None

    def names(self, image: RgbArray, mask: Mask, classes: Sequence[str]) -> tuple[NameGuess, ...]:
        """See :class:`annotator.domain.ports.naming.Namer`.

        Raises:
            ModelError: there is no model for names, or it cannot be loaded; DeviceMemoryError: there is no room.
        """
        if self._namer is None:
            self._describer = None
            self._namer = cast(Namer, self._load("", "namer"))
        try:
            return self._namer.names(image, mask, classes)
        except DeviceMemoryError:
            self.release()
            raise

    def describes(self, image: RgbArray, mask: Mask, *, is_cancelled: Callable[[], bool]) -> Description:
        """See :class:`annotator.domain.ports.naming.Describer`.

        Raises:
            EncodeCancelled; ModelError, DeviceMemoryError: as :meth:`names`.
        """
        if self._describer is None:
            self._namer = None  # two at once are more than many computers hold
            self._describer = cast(Describer, self._load("", "describer"))
        try:
            return self._describer.describes(image, mask, is_cancelled=is_cancelled)
        except DeviceMemoryError:
            self.release()
            raise

    def release(self) -> None:
        """Let the models go."""
        self._namer = self._describer = None
