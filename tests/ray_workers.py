"""A worker of a batch that ends as the kernel ends one: at an image that is poison, and once in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from annotator.commands.batch.ray_worker import BatchWorker
from annotator.commands.batch.work_list import WorkItem

POISON, ONCE = "poison.png", "097.png"


class MortalWorker(BatchWorker):
    """``ONCE`` ends the first worker that comes to it; which machines answered is written beside the images."""

    def ask(self, items: Sequence[WorkItem]) -> list[Mapping[str, Any]]:
        for item in items:
            marker = item.path.with_name("ended")
            if item.name == POISON or (item.name == ONCE and not marker.exists()):
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        with Path(items[0].path).with_name("workers").open("a", encoding="ascii") as file:
            file.write(f"{ray.get_runtime_context().get_node_id()} {len(items)}\n")
        return super().ask(items)
