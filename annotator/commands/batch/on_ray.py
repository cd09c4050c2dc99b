"""The command's side of ``--ray``: what the answers depend on comes from a worker, the journal is written here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from annotator.commands.batch.ray_pool import RayPool, connected
from annotator.commands.batch.ray_worker import BatchWorker, Recipe
from annotator.commands.batch.work_list import WorkItem

if TYPE_CHECKING:
    from annotator.commands.batch.command import AskAll, OnAsked
    from annotator.commands.batch.journal import Journal
    from annotator.commands.batch.prompts import PromptFile


@contextmanager
def begun_on_ray(
    args: argparse.Namespace,
    items: Sequence[WorkItem],
    prompts: PromptFile | None,
    *,
    worker: type[BatchWorker] = BatchWorker,
) -> Iterator[tuple[dict[str, Any], AskAll]]:
    """What the answers depend on, and what asks the workers.

    Raises:
        UserError: no cluster, no Ray, or no model there.
    """
    recipe = Recipe(args, items, prompts)
    with connected(args.ray) as ray, RayPool(ray, recipe, most=args.ray_workers, worker=worker) as pool:
        about = json.loads(pool.begin())

        def ask_all(left: Sequence[WorkItem], journal: Journal, on_asked: OnAsked) -> None:
            count = 0

            def on_row(row: Mapping[str, Any]) -> None:
                nonlocal count
                journal.add(row)
                count += 1
                on_asked(count)

            pool.ask(left, on_row)

        yield about, ask_all
