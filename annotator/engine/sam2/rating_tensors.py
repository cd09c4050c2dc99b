"""The rating network in an embedded model's file: float32 tensors beside the model's own, and the columns it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from annotator.domain.answering.evidence import EVIDENCE
from annotator.domain.answering.rating_network import RatingNetwork
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.engine.sam2.nano import RATING_PREFIX as PREFIX

COLUMNS_KEY = "rating_columns"
"""Under it the metadata name the columns: a network of other evidence than this version's says nothing."""
_NAMES = tuple(field.name for field in fields(RatingNetwork))


def rating_tensors(network: RatingNetwork) -> dict[str, Tensor]:
    """Float32, by their names in the file."""
    return {PREFIX + name: torch.from_numpy(np.array(getattr(network, name), np.float32)) for name in _NAMES}


def columns_text() -> str:
    """What stands under :data:`COLUMNS_KEY`."""
    return ",".join(EVIDENCE)


def read_rating_network(path: Path, metadata: Mapping[str, str]) -> RatingNetwork | None:
    """The network of an embedded model's file; None where it has none.

    Args:
        metadata: the file's (:func:`annotator.engine.sam2.nano.read_nano_metadata`).

    Raises:
        ModelError: it is incomplete, reads other columns, or is not of finite numbers and shapes that fit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys() if name.startswith(PREFIX)}  # noqa: SIM118
        if not found:
            return None
        if set(found) != {PREFIX + name for name in _NAMES} or metadata.get(COLUMNS_KEY) != columns_text():
            raise ValueError("a rating network of other columns or parts")
        network = RatingNetwork(**{name: found[PREFIX + name].double().numpy() for name in _NAMES})
        if network.columns != len(EVIDENCE):
            raise ValueError("a rating network of other columns")
    except (ValueError, SafetensorError) as error:
        raise ModelError(
            f"{brief(path.name)} does not hold the model it names.", "Copy it again from its source."
        ) from error
    return network
