"""The question for all that is like examples, as it crosses to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from annotator.domain.errors import PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Embedding, EverythingStep, RgbArray
from annotator.domain.project import Annotation
from annotator.domain.sight import Sight

LEAST_LIKE_SCORE = 0.4
"""What suits most images when something was found by examples: see docs/like.md."""


LEAST_SHOWN = 0.3
"""What is rated lower is not shown, wherever the sliders are."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Objects of one image that others are to be like.

    Attributes:
        image: H x W x 3 uint8; image_key names its pixels.
        masks: of these objects, none empty.
        boxes: round further ones, in image pixels, whose masks the model makes.
        unlike: what was found and is not like them, none empty.
    """

    image: RgbArray
    image_key: str
    masks: tuple[Mask, ...]
    boxes: tuple[Box, ...] = ()
    unlike: tuple[Mask, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class LikeQuestion:
    """What to look for. The engine learns it once and keeps it as long as the same question is asked.

    Attributes:
        least_score: what is rated lower, 0..1, is not answered.

    Raises:
        PromptError: there is no example, or one without pixels.
    """

    examples: tuple[Examples, ...]
    least_score: float = LEAST_SHOWN

    def __post_init__(self) -> None:
        if not any(one.masks or one.boxes for one in self.examples):
            raise PromptError("There is no example to look for.", "Select an object, or draw a box round one.")
        if any(mask.is_empty for one in self.examples for mask in (*one.masks, *one.unlike)):
            raise PromptError("An example has no pixels.", "Choose another one.")


@dataclass(frozen=True, slots=True, eq=False)
class LikeRequest:
    """Ask for all that is like examples in an image; answered in steps, as the question for everything.

    Attributes:
        known: objects that are there and must not come again.
        is_ahead: of an image that the person may come to later: everything else goes first.
        sight: which part of a very large image ``image`` is; ``known`` and the answers are of the whole one.
    """

    epoch: int
    generation: int
    image_key: str
    image: RgbArray
    question: LikeQuestion
    known: tuple[Annotation, ...] = ()
    is_ahead: bool = False
    sight: Sight | None = None


def masks_of(known: Iterable[Annotation]) -> list[Mask]:
    """Of objects that are there; one whose runs are damaged, or that has no pixels, is passed over."""
    found = []
    for one in known:
        try:
            mask = one.mask()
        except ValueError:
            continue
        if not mask.is_empty:
            found.append(mask)
    return found


class FindsLike(Protocol):
    """Finds all that is like examples."""

    def steps(
        self,
        embedding: Embedding,
        image: RgbArray,
        image_key: str,
        question: LikeQuestion,
        known: Sequence[Mask],
        *,
        has_to_yield: Callable[[], bool] | None = None,
    ) -> Iterator[EverythingStep]:
        """Ask place by place, the most promising first. To give it up, ask for no more steps.

        ``predicted_iou`` of the proposals is the IoU to be expected with an object like the examples. As long as the
        examples are being learned, steps have a total of 0.

        Args:
            embedding: of ``image`` (H x W x 3); image_key names its pixels.
            known: objects that must not come again.
            has_to_yield: as of :meth:`~annotator.domain.ports.engine.AnswersEverything.everything`.

        Raises:
            PromptError: the model makes nothing of a box.
            DeviceMemoryError: there is no room for it.
        """
        ...


@runtime_checkable
class AnswersLike(Protocol):
    """A segmenter that can be asked for all that is like examples."""

    @property
    def likeness(self) -> FindsLike: ...
