"""Devices: which there are, and what is said when their memory ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from annotator.domain.brevity import brief
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


class DeviceMemory:
    """What a device has left, and what a piece of work took of it."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._before = device, 0

    def start(self) -> None:
        """The work begins."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        elif self._device.type == "mps":
            torch.mps.empty_cache()
            self._before = torch.mps.driver_allocated_memory()

    def taken_bytes(self) -> int:
        """The most that was taken at once since the start; 0 where that is not known."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._before
        if self._device.type == "mps":  # what was freed stays with torch, so the most is what it has now
            return torch.mps.driver_allocated_memory() - self._before
        return 0

    def free_bytes(self) -> int:
        """What can be taken now, with what torch holds back for later; 0 where that is not known."""
        if self._device.type == "cuda":
            free, _total = torch.cuda.mem_get_info(self._device)
            held = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
            return int(free) + held
        if self._device.type == "mps":
            return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return 0

    def give_back(self) -> None:
        """What torch holds back for later goes to the device: pieces of it may be too small for what comes."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        elif self._device.type == "mps":
            torch.mps.empty_cache()


def pick_device(name: str | None) -> torch.device:
    """The named device, or the best of CUDA, MPS and the CPU.

    Raises:
        ModelError: the named device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name is None or name in ("", "auto"):
        return torch.device(next(kind for kind, is_there in available.items() if is_there))
    if not available.get(name, False):
        raise ModelError(f"There is no device {brief(name)!r} on this computer.", "Leave --device out, or use cpu.")
    return torch.device(name)
