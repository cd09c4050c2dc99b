"""``annotator models list | download NAME | import FILE | verify | card NAME``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


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
    from annotator.commands.job_bar import run_with_bar
    from annotator.engine import weights
    from annotator.jobs.job import Job

    if args.action == "card":
        print(weights.card_text(args.name), end="")
        return 0
    if args.action in ("list", "verify"):
        statuses = weights.list_models()
        for status in statuses:
            mark = "*" if status.is_usable else " "
            print(f"{mark} {status.name:18} {status.note:24} {status.entry.licence}")
        is_bad = any(status.is_present and not status.is_usable for status in statuses)
        return 2 if args.action == "verify" and is_bad else 0
    if args.action == "import":
        job = Job(f"Import {args.file.name}", unit="B")
        status = run_with_bar(job, lambda job: weights.import_file(args.file, progress=job.progress))
    else:
        job = Job(f"Download {args.name}", unit="B")
        try:
            status = run_with_bar(job, lambda job: weights.download(args.name, progress=job.progress), stays=True)
        except KeyboardInterrupt:
            print("\nannotator: the part that came is kept; the same command goes on from there", file=sys.stderr)
            raise
    print(f"{status.name}: {status.note} ({status.path})")
    return 0
