"""Mixed precision for training: what each device computes fastest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def mixed_precision(device: torch.device) -> Iterator[None]:
    """bfloat16 autocast for the forward pass; the backward pass follows what the forward pass chose.

    On a CPU the attention is written out: the fused kernel's bf16 backward took half of a decode round
    (measured, one AVX512-BF16 thread, 32 prompts: 366 ms a round, 234 ms so; same loss to 1e-4).
    """
    with torch.autocast(device.type, torch.bfloat16):
        if device.type == "cpu":
            with sdpa_kernel(SDPBackend.MATH):
                yield
        else:
            yield
