"""The question for all that words name, as it crosses to the engine, and who answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from annotator.domain.geometry import Box
from annotator.domain.phrase import Phrases
from annotator.domain.ports.engine import Embedding, EverythingStep, ModelInfo, RgbArray, Segmenter
from annotator.domain.prompt import PointPrompt
from annotator.domain.sight import Sight

MOST_FOUND = 300
"""Of one image: what is worth a person's look."""
LEAST_SCORE = 0.05
"""What is less likely than this is not reported at all; the sliders begin higher."""


@dataclass(frozen=True, slots=True)
class ExampleBox:
    """A box round an object that is meant, or around one that is not."""

    box: Box
    is_positive: bool = True


@dataclass(frozen=True, slots=True)
class ConceptAsk:
    """What to look for.

    Attributes:
        phrases: the words; none wanted where examples alone say what is meant, for models that take them.
        examples: boxes in the same image, for models that take them; else they say nothing.
        limit: so many objects at most.
        clicks: on the object that the words are about, in the same image, for models that take both; else they say
            nothing.
    """

    phrases: Phrases
    examples: tuple[ExampleBox, ...] = ()
    limit: int = MOST_FOUND
    clicks: tuple[PointPrompt, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ConceptImage:
    """An image with what answers clicks in it: some models find boxes only, and others look through masks.

    Attributes:
        rgb: H x W x 3 uint8; key names its pixels.
        segmenter: the model in use; embedding: makes or recalls what it knows of the image.
    """

    rgb: RgbArray
    key: str
    segmenter: Segmenter
    embedding: Callable[[], Embedding]


class Finder(Protocol):
    """Finds what words name. Calls come from one thread at a time."""

    @property
    def info(self) -> ModelInfo: ...

    def steps(
        self, image: ConceptImage, ask: ConceptAsk, *, has_to_yield: Callable[[], bool] | None = None
    ) -> Iterator[EverythingStep]:
        """Ask piece by piece; the proposals carry their phrase. To give it up, ask for no more steps.

        Args:
            has_to_yield: asked where a step can be ended early, with no news; it is begun anew with the next one.

        Raises:
            PromptError: words that the model cannot read; DeviceMemoryError: there is no room for it.
        """
        ...


@dataclass(frozen=True, slots=True)
class WordsQuestion:
    """What a person looks for by words.

    Attributes:
        finder: the model of the registry that is asked.
        by_phrase: the class of what a phrase has found, in lower case, where that is not the class in use.
    """

    ask: ConceptAsk
    finder: str
    by_phrase: Mapping[str, int] = field(default_factory=dict)

    @property
    def elsewhere(self) -> WordsQuestion | None:
        """For another image: boxes are of one image only. None where nothing is left to ask."""
        if not self.ask.phrases.wanted:
            return None
        return replace(self, ask=replace(self.ask, examples=(), clicks=()))


@dataclass(frozen=True, slots=True, eq=False)
class ConceptRequest:
    """Ask for all that words name in an image. Answered in steps, as the question for everything.

    ``finder`` is a model of the registry; empty for the best that is there. ``sight``: which part of a very large image
    ``image`` is; the boxes and clicks of the question, and the answers, are of the whole one.
    """

    epoch: int
    generation: int
    image_key: str
    image: RgbArray
    ask: ConceptAsk
    finder: str = ""
    sight: Sight | None = None
