"""How prompts that are all known from the start, in a script, are put to a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from annotator.domain.answering.everything import Proposal
from annotator.domain.errors import PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidates, Embedding, EverythingStep, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts

_PIXELS = "Coordinates are pixels from the top left corner, x to the right, y down."


def check_prompts(points: Sequence[PointPrompt], box: Box | None, *, width: int, height: int) -> None:
    """A script's prompt outside the image is a mistake: say so instead of moving it.

    Raises:
        PromptError: there is none, one is not finite or outside the image, or the box is reversed or empty.
    """
    if not points and box is None:
        raise PromptError("There is no prompt.", "Give a point or a box.")
    if box is not None and (box.width <= 0 or box.height <= 0):
        corners = ",".join(f"{value:g}" for value in box.as_xyxy())
        raise PromptError(
            f"{corners} is an empty box.", "X2 and Y2 are its lower right corner, not a width and height."
        )
    corner = [] if box is None else [("box corner", box.x0, box.y0), ("box corner", box.x1, box.y1)]
    for kind, x, y in [*(("point", p.x, p.y) for p in points), *corner]:
        if not (math.isfinite(x) and math.isfinite(y)):
            raise PromptError(f"The {kind} {x:g},{y:g} is not a place.", _PIXELS)
        if not (0 <= x <= width and 0 <= y <= height):
            raise PromptError(f"The {kind} {x:g},{y:g} is outside the image of {width} x {height} pixels.", _PIXELS)


def ask_stepwise(
    segmenter: Segmenter, embedding: Embedding, points: Sequence[PointPrompt], box: Box | None
) -> Candidates:
    """What the window shows after the same box and then clicks in this order, each answer fed to the next question.

    Raises:
        PromptError: there is no prompt.
    """
    return ask_steps(segmenter, embedding, steps_of(points, box))


def steps_of(points: Sequence[PointPrompt], box: Box | None) -> tuple[Prompts, ...]:
    """The box, then one more point a step.

    Raises:
        PromptError: there is no prompt.
    """
    prompts = Prompts(box=box)
    steps = [] if box is None else [prompts]
    for point in points:
        prompts = prompts.with_point(point)
        steps.append(prompts)
    if not steps:
        raise PromptError("There is no prompt.", "Give a point or a box.")
    return tuple(steps)


def ask_steps(
    segmenter: Segmenter, embedding: Embedding, steps: Sequence[Prompts], first: Candidates | None = None
) -> Candidates:
    """The answer to the last step.

    Args:
        first: the answer to the first one, where it is known.
    """
    found = first or segmenter.decode(embedding, steps[0])
    for before, prompts in pairwise(steps):
        previous = found.chosen if prompts.extends(before) else None
        found = segmenter.decode(embedding, prompts, continue_from=previous)
    return found


def proposals_of(steps: Iterable[EverythingStep]) -> tuple[Proposal, ...]:
    """Take all steps. Returns: what was found in the end."""
    found: tuple[Proposal, ...] = ()
    for step in steps:
        found = found if step.proposals is None else step.proposals
    return found


def ask_at_once(
    segmenter: Segmenter, embedding: Embedding, points: Sequence[PointPrompt], box: Box | None
) -> Candidates:
    """The answer to all prompts in one question, as SAM 2's own predictor gives it: three candidates for one positive
    click alone, else one mask.

    Raises:
        PromptError: there is no prompt.
    """
    return segmenter.decode(embedding, Prompts(tuple(points), box))
