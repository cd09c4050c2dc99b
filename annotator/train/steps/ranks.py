"""Several processes that train one network: torch's launcher starts them, each takes its share of every step.

Gradients are added up by hand instead of by ``DistributedDataParallel``: a step is several passes with prompts of
different kinds, not every pass reaches every weight, and a weight that none has reached must stay as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

PATIENCE = timedelta(hours=12)
"""The others wait while the first one validates, or while one of them still encodes."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together: ``index`` of ``count``. Alone it costs nothing."""

    index: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    is_joined: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes, validates, judges and prints."""
        return self.index == 0

    def own(self, items: Sequence[_T]) -> Sequence[_T]:
        """This process's share."""
        return items[self.index :: self.count]

    def wait(self) -> None:
        """Until all are here."""
        if self.is_joined:
            dist.barrier()

    def told(self, values: Sequence[float]) -> list[float]:
        """The first process's values, in all of them."""
        if not self.is_joined:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return tensor.tolist()

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add up all processes' gradients; a parameter that no process has reached keeps None."""
        if not self.is_joined:
            return
        trained = [p for p in parameters if p.requires_grad]
        reached = torch.tensor([p.grad is not None for p in trained], dtype=torch.float32, device=self.device)
        gradients = [
            (torch.zeros_like(p) if p.grad is None else p.grad).float().flatten().to(self.device) for p in trained
        ]
        together = torch.cat([reached, *gradients])
        dist.all_reduce(together)
        flags, total = together[: len(trained)].tolist(), together[len(trained) :]
        for parameter, flag, found in zip(trained, flags, total.split([p.numel() for p in trained]), strict=True):
            if flag:
                parameter.grad = found.view_as(parameter).to(parameter)


ALONE = Ranks()


@contextmanager
def joined(device_name: str | None = None) -> Iterator[Ranks]:
    """This process's place in the group that ``torchrun`` has started, or :data:`ALONE` without it.

    Args:
        device_name: as for the model; graphics cards are given out one per process, everything else talks by gloo.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched():
        yield ALONE
        return
    is_cuda = torch.cuda.is_available() and device_name in (None, "", "auto", "cuda")
    if is_cuda:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=PATIENCE, device_id=device)
    else:
        device = torch.device("cpu")
        dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device, is_joined=True)
    finally:
        dist.destroy_process_group()
