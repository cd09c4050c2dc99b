"""How prompts that are all known from the start, in a script, are put to a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from annotator.domain.errors import PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidates, Embedding, Segmenter
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
    prompts = Prompts(box=box)
    found = None if box is None else segmenter.decode(embedding, prompts)
    for point in points:
        extended = prompts.with_point(point)
        previous = found.chosen if found is not None and extended.extends(prompts) else None
        found = segmenter.decode(embedding, extended, continue_from=previous)
        prompts = extended
    if found is None:
        raise PromptError("There is no prompt.", "Give a point or a box.")
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
