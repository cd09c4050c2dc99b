"""``annotator models list | download NAME | import FILE | verify | card NAME``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="known models and what is here")
    download = actions.add_parser("download", help="fetch a model (goes on where it stopped)")
    download.add_argument("name")
    take = actions.add_parser("import", help="take a weights file copied from elsewhere")
    take.add_argument("file", type=Path)
    actions.add_parser("verify", help="check every file's SHA-256")
    card = actions.add_parser("card", help="what a model is, what it was trained on and how good it is")
    card.add_argument("name")


def run(args: argparse.Namespace) -> int:
    """Do the action and say what came of it.

    Raises:
        UserError: no such model or card, no network, a file that cannot be read or written, or is not the right one.
    """
    from annotator.engine import weights

    if args.action == "card":
        print(weights.card_text(args.name), end="")
        return 0
    if args.action in ("list", "verify"):
        statuses = weights.list_models()
        for status in statuses:
            mark = "*" if status.is_present and status.is_verified else " "
            print(f"{mark} {status.name:18} {status.note:24} {status.entry.licence}")
        is_bad = any(status.is_present and not status.is_verified for status in statuses)
        return 2 if args.action == "verify" and is_bad else 0
    with _ByteBar() as bar:
        if args.action == "download":
            try:
                status = weights.download(args.name, progress=bar.show)
            except KeyboardInterrupt:
                print("\nannotator: the part that came is kept; the same command goes on from there", file=sys.stderr)
                raise
        else:
            status = weights.import_file(args.file)
    print(f"{status.name}: {status.note} ({status.path})")
    return 0


class _ByteBar:
    """A progress bar that appears with the first bytes: a refused download has nothing to show."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> _ByteBar:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, total: int) -> None:
        """``total`` 0: not known."""
        if self._bar is None:
            # A file that is gone on with does not begin at nothing; its speed counts from here.
            self._bar = tqdm(unit="B", unit_scale=True, total=total or None, initial=done)
        else:
            self._bar.update(done - self._bar.n)
