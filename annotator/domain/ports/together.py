"""Several images asked about in one call of the model: what a graphics card needs to be busy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from annotator.domain.answering.everything import EverythingSettings, Proposal
from annotator.domain.ports.engine import Candidates, Embedding, RgbArray
from annotator.domain.prompt import Prompts


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One object of many that is asked for.

    Attributes:
        steps: one or more, the answer to each fed to the next where that extends it.
    """

    embedding: Embedding
    steps: tuple[Prompts, ...]


class AnswersTogether(Protocol):
    """Takes several images in one call. Answers are the same as one by one, to rounding."""

    def encode(self, images: Sequence[tuple[RgbArray, str]]) -> list[Embedding]:
        """Encode images (H x W x 3 uint8, each of its own size) under their keys.

        Raises:
            DeviceMemoryError, ImageError.
        """
        ...

    def decode(self, asked: Sequence[Asked], *, most: int) -> list[Candidates]:
        """The answers to the last steps.

        Args:
            most: images, pieces of images or prompts in one call.

        Raises:
            PromptError, DeviceMemoryError.
        """
        ...

    def everything(
        self, work: Sequence[tuple[Embedding, RgbArray]], settings: EverythingSettings, *, most: int
    ) -> list[tuple[Proposal, ...]]:
        """What :meth:`annotator.domain.ports.engine.AnswersEverything.everything` finds in each.

        Raises:
            DeviceMemoryError, UserError: settings that make no sense.
        """
        ...

    def staying(self) -> AbstractContextManager[None]:
        """While it lasts the model does not leave a graphics card that is full: DeviceMemoryError says so, and the
        caller asks about fewer images."""
        ...


@runtime_checkable
class TakesSeveral(Protocol):
    """A segmenter that can be asked about several images in one call."""

    @property
    def together(self) -> AnswersTogether: ...
