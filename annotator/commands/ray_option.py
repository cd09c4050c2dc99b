"""``--ray-gpus``: how much of a graphics card each process on a Ray cluster takes."""

from __future__ import annotations

import argparse
from typing import Any


def add_share_argument(parser: Any, *, of: str) -> None:
    """``parser`` is one, or a group of one; ``of`` a worker or a replica."""
    parser.add_argument(
        "--ray-gpus",
        type=_share,
        metavar="N",
        help=f"cards of {of}; 0.5: two share one (default: 1 with --device cuda, else 0)",
    )


def share_of(args: argparse.Namespace) -> float:
    """Cards of each process; 0 for none."""
    given: float | None = args.ray_gpus
    return given if given is not None else float(args.device == "cuda")


def most_by_cards(cards: float, share: float) -> int:
    """How many processes have room: one is never split over what is left of two cards."""
    return int(cards) * int(1 / share + 1e-9) if share < 1 else int(cards / share)


def _share(text: str) -> float:
    value = float(text)
    if value != 0 and not (0.01 <= value < 1 or (1 <= value <= 64 and value.is_integer())):
        raise argparse.ArgumentTypeError(f"{text} is neither a part of a card, such as 0.5, nor a number of cards")
    return value
