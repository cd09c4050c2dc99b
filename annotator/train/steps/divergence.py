"""A training that has gone wrong says so, instead of writing weights that are not numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from annotator.domain.brevity import brief
from annotator.domain.errors import DivergedError


def check_step(values: Sequence[Tensor], *, step: int, learning_rate: float) -> None:
    """See that losses and gradients are numbers, before the optimiser makes weights of them.

    Raises:
        DivergedError: one is not finite.
    """
    if not all(bool(torch.isfinite(value).all()) for value in values):
        raise DivergedError(
            f"The loss is not a number any more at step {step}: this training has failed.",
            f"Begin anew with a smaller --lr (it was {learning_rate:g}).",
        )


def check_weights(weights: Mapping[str, Tensor]) -> None:
    """See that weights can be written in half precision, as models are.

    Raises:
        DivergedError: one is not finite there.
    """
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.half()).all()):
            raise DivergedError(
                f"{brief(name)} of the trained model is not a number any more, or too large: nothing was written.",
                "Begin anew with a smaller --lr.",
            )
