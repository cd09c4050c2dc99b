"""``--precision``: which arithmetic a model runs in, and that a batch keeps to one.

By itself each processor takes the faster one, so the same work on two machines may differ by some pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.brevity import brief

if TYPE_CHECKING:
    import torch

    from annotator.domain.ports.engine import Segmenter

AUTO = "auto"
PRECISIONS = {"fp32": "float32", "bf16": "bfloat16"}
"""As they are typed, and as they are called in results."""


def add_precision_argument(parser: Any) -> None:
    """``parser`` is one, or a group of one."""
    parser.add_argument(
        "--precision",
        choices=(AUTO, *PRECISIONS),
        default=AUTO,
        help="arithmetic of the model (default: the faster one here that gives the same masks)",
    )


def dtype_of(args: argparse.Namespace) -> torch.dtype | None:
    """What was asked for; None: as it suits the model here."""
    name = PRECISIONS.get(getattr(args, "precision", AUTO))
    if name is None:
        return None
    from annotator.engine.precision import dtype_named

    return dtype_named(name)


def checked_precision(segmenter: Segmenter, args: argparse.Namespace) -> Segmenter:
    """The model itself.

    Raises:
        ModelError: it does not run in what was asked for.
    """
    from annotator.domain.errors import ModelError

    wanted = PRECISIONS.get(getattr(args, "precision", AUTO), segmenter.info.dtype)
    if segmenter.info.dtype != wanted:
        raise ModelError(
            f"{brief(segmenter.info.name)} runs in {segmenter.info.dtype} here, not in {wanted}.",
            "Leave out --precision.",
        )
    return segmenter


def keep_to_precision_of(places: list[Path], args: argparse.Namespace) -> None:
    """Where nothing was asked for, take what earlier work in the same folder was done in.

    Args:
        places: journals of batches, the one that is gone on with first; what is none of them is passed over.
    """
    from annotator.commands.batch.journal import read_about

    if args.precision != AUTO:
        return
    for place in places:
        known = precision_in(read_about(place) or {})
        named = [name for name, value in PRECISIONS.items() if value == known]
        if named:
            args.precision = named[0]
            return


def precision_in(about: Mapping[str, Any]) -> str:
    """What stands in a journal's head; empty in those of earlier versions."""
    info = about.get("info")
    return str(info.get("precision", "")) if isinstance(info, dict) else ""
