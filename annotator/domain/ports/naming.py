"""The question what an object is, and who answers it. Nothing of it is ever applied without the person."""

from __future__ import annotations

from collections.abc import Sequence
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
