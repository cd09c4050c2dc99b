"""Which questions about several images go through the decoder in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from annotator.domain.errors import PromptError
from annotator.domain.ports.engine import Candidates, Embedding, LogitsArray
from annotator.domain.ports.together import Asked
from annotator.domain.prompt import Prompts


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One decode; ``logits`` (L x L) of the step before, or None for prompts that begin."""

    embedding: Embedding
    prompts: Prompts
    logits: LogitsArray | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Of one kind are those whose tensors have one shape."""
        has_mask = self.logits is not None or self.prompts.base_mask is not None
        return len(self.prompts.points), self.prompts.box is None, has_mask, self.prompts.is_ambiguous


def in_rounds(
    asked: Sequence[Asked], decode: Callable[[Sequence[Question]], Sequence[Candidates]], *, most: int
) -> list[Candidates]:
    """The answers to the last steps: all first steps, then all second ones, ...

    Args:
        decode: answers questions of one kind, at most ``most``.

    Raises:
        PromptError: one asks nothing.
    """
    found: dict[int, Candidates] = {}
    for step in range(max((len(one.steps) for one in asked), default=0)):
        questions = {at: _question(one, step, found.get(at)) for at, one in enumerate(asked) if step < len(one.steps)}
        for places in _joined(questions.items(), most=most):
            found.update(zip(places, decode([questions[place] for place in places]), strict=True))
    return [found[at] for at in range(len(asked))]


def _question(one: Asked, step: int, before: Candidates | None) -> Question:
    prompts = one.steps[step]
    if prompts.is_empty:
        raise PromptError("There is nothing to decode.", "Click the object or draw a box.")
    goes_on = before is not None and prompts.extends(one.steps[step - 1])
    return Question(one.embedding, prompts, before.chosen.logits if before is not None and goes_on else None)


def _joined(questions: Iterable[tuple[int, Question]], *, most: int) -> Iterator[list[int]]:
    """Places of questions of one kind, in the order of the first of each."""
    kinds: dict[tuple[object, ...], list[int]] = {}
    for place, question in questions:
        kinds.setdefault(question.kind, []).append(place)
    for places in kinds.values():
        for start in range(0, len(places), most):
            yield places[start : start + most]
