"""When the model's object score says that there is nothing where the person pointed: a hint, never a refusal."""

from __future__ import annotations

from annotator.domain.prompt import Prompts

LEAST_CLICK_LOGIT, LEAST_BOX_LOGIT = -1.0, 0.5
"""Below these the hint is given. Chosen for ``nano`` on the dev sets (docs/studies/nano-log.md); the official models'
scores lie ten and more away on either side."""


def sees_no_object(prompts: Prompts, object_score: float) -> bool:
    """Whether the answer to a first click, or to a box alone, doubts that an object is there.

    Later clicks say that there is one; then the person is right.

    Args:
        object_score: logit of the answer to these prompts.
    """
    if prompts.is_ambiguous:
        return object_score < LEAST_CLICK_LOGIT
    is_box_alone = prompts.box is not None and not prompts.points and prompts.base_mask is None
    return is_box_alone and object_score < LEAST_BOX_LOGIT
