"""One arithmetic for all workers of a batch: each processor would choose the faster one for itself, and masks would
differ by some pixels from machine to machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def chosen_here(args: argparse.Namespace) -> str:
    """The name of what the model runs in here, such as "float32"; it is tried once and remembered."""
    from annotator.commands.adapter_option import model_for
    from annotator.engine.load import load_segmenter

    model = args.model if args.adapter is None else model_for(args.model, args.adapter)
    return load_segmenter(model, device=args.device, config=args.config).info.dtype


def dtype_of(args: argparse.Namespace) -> torch.dtype | None:
    """What all agreed on; None: each as it suits it."""
    name = getattr(args, "dtype", "")
    if not name:
        return None
    import torch

    found: torch.dtype = getattr(torch, name)
    return found
