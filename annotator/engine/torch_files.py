"""Checkpoints in torch's own format, read without running anything that they hold."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError

TORCH_LOAD_ERRORS = (
    *(OSError, RuntimeError, EOFError, pickle.UnpicklingError, struct.error),
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, OverflowError),
)
"""What ``torch.load`` raises on bytes that are no weights, because it takes any bytes for a program to run."""


def read_object(path: Path) -> Any:
    """What a checkpoint holds, on the processor; ask :func:`annotator.engine.weight_claims.check_checkpoint` first.

    Raises:
        ModelError: it is damaged, or holds more than plain weights.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except TORCH_LOAD_ERRORS as error:
        raise ModelError(
            f"{brief(path.name)} is damaged or not a plain weights file.", "Copy it again from its source."
        ) from error


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name.

    Raises:
        ModelError: as :func:`read_object`; or it holds something else.
    """
    state = read_object(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{brief(path.name)} does not hold weights by name.", "Choose another file.")
    return {str(name): value for name, value in state.items()}
