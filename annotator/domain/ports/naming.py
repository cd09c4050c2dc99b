"""The question what an object is, and who answers it. Nothing of it is ever applied without the person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import ModelInfo, RgbArray


@dataclass(frozen=True, slots=True)
class NameGuess:
    """What an object may be.

    Attributes:
        text: the name of a class, or a new noun.
        score: 0..1.
        source: who says so: "like", "clip", "vlm"; model: and with which weights.
    """

    text: str
    score: float
    source: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of an object.

    Attributes:
        text: one line without control characters; may be empty.
        score: 0..1, how sure it was of its words.
        source, model: as of :class:`NameGuess`; model_sha256: of its weights.
    """

    text: str
    score: float
    source: str
    model: str
    model_sha256: str


class Describer(Protocol):
    """Says in a line what an object is. Calls come from one thread at a time, and take seconds."""

    @property
    def info(self) -> ModelInfo: ...

    def describes(self, image: RgbArray, mask: Mask, *, is_cancelled: Callable[[], bool]) -> Description:
        """Args as of :meth:`Namer.names`; ``is_cancelled`` is asked between its words.

        Raises:
            EncodeCancelled; DeviceMemoryError: there is no room for it.
        """
        ...


class Namer(Protocol):
    """Says what an object is. Calls come from one thread at a time."""

    @property
    def info(self) -> ModelInfo: ...

    def names(self, image: RgbArray, mask: Mask, classes: Sequence[str]) -> tuple[NameGuess, ...]:
        """The likeliest first.

        Args:
            image: H x W x 3 uint8; mask: of the object in it, not empty.
            classes: of the project, cleaned; may be empty.

        Raises:
            DeviceMemoryError: there is no room for it.
        """
        ...
