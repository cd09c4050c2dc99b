"""What runs in a process of Ray's: an engine that is loaded once, and asked about a few images a call."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annotator.commands.batch.work_list import WorkItem
from annotator.commands.precision_option import PRECISIONS, precision_in
from annotator.domain.errors import UserError

if TYPE_CHECKING:
    from annotator.commands.batch.prompts import PromptFile


@dataclass(frozen=True, slots=True)
class Recipe:
    """What every worker is made from. Images and the model are read where the worker is: from a disk that all share.

    Attributes:
        items: all of the batch; prompts are matched with them.
    """

    args: argparse.Namespace
    items: Sequence[WorkItem]
    prompts: PromptFile | None


@dataclass(frozen=True, slots=True)
class Begun:
    """``about``: what the answers depend on, as JSON, and the arithmetic; or why there will be none."""

    about: str = ""
    precision: str = ""
    message: str = ""
    advice: str = ""


class BatchWorker:
    """Its methods are called one after the other, by the driver."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._ask: Any = None

    def begin(self, precision: str) -> Begun:
        """Load the model.

        Args:
            precision: the arithmetic; empty: what suits this processor, which the others then take.
        """
        from annotator.commands.batch.command import engine_of

        args = self._recipe.args
        try:
            args.precision = precision or args.precision
            about, self._ask = engine_of(args, self._recipe.items, self._recipe.prompts)
        except UserError as error:
            return Begun(message=error.message, advice=error.advice)
        kept = [name for name, value in PRECISIONS.items() if value == precision_in(about)]
        return Begun(json.dumps(about, sort_keys=True), kept[0] if kept else "")

    def ask(self, items: Sequence[WorkItem]) -> list[Mapping[str, Any]]:
        """The rows of the journal for these images; one that cannot be read or asked has an error in its row."""
        from annotator.commands.batch.pipeline import run_pipeline
        from annotator.io.project.windows import AsShown

        rows, as_shown = _Rows(), AsShown()
        run_pipeline(
            items,
            rows,
            load=lambda item: as_shown.load(item.path, frame=item.frame),
            ask=self._ask,
            on_asked=lambda _item, _count: None,
            readers=self._recipe.args.readers,
        )
        return rows.rows


class _Rows:
    """A journal in memory: the driver has the one on the disk."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)
