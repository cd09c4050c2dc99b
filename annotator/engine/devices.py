"""Devices: which there are, and what is said when their memory ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from annotator.domain.errors import DeviceMemoryError, ModelError


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


def pick_device(name: str | None) -> torch.device:
    """The named device, or the best of CUDA, MPS and the CPU.

    Raises:
        ModelError: the named device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name is None or name in ("", "auto"):
        return torch.device(next(kind for kind, is_there in available.items() if is_there))
    if not available.get(name, False):
        raise ModelError(f"There is no device {name!r} on this computer.", "Leave --device out, or use cpu.")
    return torch.device(name)
