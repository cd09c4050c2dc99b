"""Memory that ends: how torch says so on each device, and what the person is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from annotator.domain.errors import DeviceMemoryError


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that there is no room: only some such errors have a class of their own."""
    text = str(error).lower()
    is_told = "alloc" in text and ("memory" in text or "cublas" in text)
    return isinstance(error, torch.OutOfMemoryError) or is_told


@contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Tell the end of memory in words of the person's world.

    Raises:
        DeviceMemoryError: in place of torch's error; ``advice`` says what can be done.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceMemoryError("There is not enough memory for this.", advice) from error
