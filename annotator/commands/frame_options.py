"""``--every N --from T --to T``: which frames of videos a command is about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.domain.frame_pick import FramePick


def add_frame_options(parser: argparse.ArgumentParser, *, what: str = "of a video") -> None:
    """The three options; ``what`` ends "every n-th frame"."""
    parser.add_argument("--every", type=_every, metavar="N", help=f"every n-th frame {what} (default: every one)")
    for name, word in (("from", "first"), ("to", "last")):
        parser.add_argument(
            f"--{name}",
            type=_time,
            dest=f"{name}_ms",
            metavar="T",
            help=f"the {word} time {what}, in seconds or as m:ss.mmm (included)",
        )


def pick_of(args: argparse.Namespace) -> FramePick | None:
    """What the options say; None when none is given.

    Raises:
        UserError: the range ends before it begins.
    """
    from annotator.domain.errors import UserError
    from annotator.domain.frame_pick import FramePick

    every, start, end = (getattr(args, name, None) for name in ("every", "from_ms", "to_ms"))
    if (every, start, end) == (None, None, None):
        return None
    try:
        return FramePick(every or 1, start or 0.0, end)
    except ValueError as error:
        raise UserError("--to is before --from.", "Give a later time.") from error


def _every(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _time(text: str) -> float:
    from annotator.domain.frame_pick import parse_time

    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
