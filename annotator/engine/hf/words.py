"""Phrases as the ids that a model reads, cut where it would read no further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def token_ids(tokenizer: Any, phrases: Sequence[str], *, most: int) -> tuple[Tensor, Tensor]:
    """N x ``most`` ids and their mask, padded and cut to what the model reads."""
    how = {"padding": "max_length", "truncation": True, "max_length": most, "return_tensors": "pt"}
    found = tokenizer(list(phrases), **how)
    mask = found.get("attention_mask")
    return found["input_ids"], torch.ones_like(found["input_ids"]) if mask is None else mask
