"""``annotator models list | download NAME | import PATH | accept NAME | remove NAME | verify | card NAME``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.domain.brevity import brief

if TYPE_CHECKING:
    from annotator.engine.weights import ModelStatus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="known models, what they can, their size and licence, and what is here")
    download = actions.add_parser("download", help="fetch a model (goes on where it stopped)")
    download.add_argument("name")
    take = actions.add_parser("import", help="take a weights file, a model hub's folder or a zip of it")
    take.add_argument("file", type=Path, metavar="PATH")
    take.add_argument("--as", dest="name", default="", metavar="NAME", help="the model that it is")
    accept = actions.add_parser("accept", help="accept the licence of a model that has one of its own")
    accept.add_argument("name")
    remove = actions.add_parser("remove", help="take a model off this computer")
    remove.add_argument("name")
    actions.add_parser("verify", help="check every file's SHA-256")
    card = actions.add_parser("card", help="what a model is, what it was trained on and how good it is")
    card.add_argument("name")


def run(args: argparse.Namespace) -> int:
    """Do the action and say what came of it.

    Raises:
        UserError: no such model or card, no network, a file that cannot be read or written, or is not the right one.
    """
    from annotator.domain.budget import in_words
    from annotator.engine import weights

    if args.action == "card":
        print(weights.card_text(args.name), end="")
        return 0
    if args.action in ("list", "verify"):
        return _list(weights.list_models(is_thorough=args.action == "verify"), is_verify=args.action == "verify")
    if args.action == "accept":
        return _accept(args.name)
    if args.action == "remove":
        print(f"{args.name}: removed, {in_words(weights.remove(args.name))} are free again")
        return 0
    status = _import(args.file, args.name) if args.action == "import" else _download(args.name)
    print(f"{status.name}: {status.note} ({status.path})")
    return 0


def _list(statuses: list[ModelStatus], *, is_verify: bool) -> int:
    from annotator.domain.budget import in_words
    from annotator.engine import bundles
    from annotator.engine.registry import families

    known, on_disk = families(), {}
    for status in statuses:
        entry, family = status.entry, known.get(status.entry.kind)
        is_here = status.is_usable and not (family and family.missing)
        size = bundles.size_of(status.path) if status.path is not None else entry.bytes
        if status.path is not None:
            on_disk[status.path] = size
        note = status.note
        if family is not None and family.missing:
            note = f"{note}; needs {' and '.join(family.missing)}"
        words = in_words(size) if size else ""
        print(f"{'*' if is_here else ' '} {status.name:24} {words:>8}  {note:24} {entry.licence}")
        if entry.good_at:
            print(f"  {'':24} {'':>8}  good at {entry.good_at}")
    if on_disk and not is_verify:
        print(f"  {'on the disk':24} {in_words(sum(on_disk.values())):>8}")
    return 2 if is_verify and any(status.is_present and not status.is_usable for status in statuses) else 0


def _accept(name: str) -> int:
    from annotator.domain.errors import ModelError
    from annotator.engine import terms, weights

    entry = weights.registry().get(name)
    if entry is None:
        raise ModelError(f"There is no model {brief(name)!r}.", f"Known: {', '.join(weights.registry())}.")
    terms.accept(entry)
    print(f"{name}: the licence is noted as accepted ({entry.licence}; {entry.page or 'it comes with the program'})")
    return 0


def _import(path: Path, name: str) -> ModelStatus:
    from annotator.commands.job_bar import run_with_bar
    from annotator.engine import weights
    from annotator.jobs.job import Job

    job = Job(f"Import {path.name}", unit="B")
    return run_with_bar(job, lambda job: weights.import_file(path, name=name, progress=job.progress))


def _download(name: str) -> ModelStatus:
    from annotator.commands.job_bar import run_with_bar
    from annotator.engine import weights
    from annotator.jobs.job import Job

    job = Job(f"Download {name}", unit="B")
    try:
        return run_with_bar(job, lambda job: weights.download(name, progress=job.progress), stays=True)
    except KeyboardInterrupt:
        print("\nannotator: the part that came is kept; the same command goes on from there", file=sys.stderr)
        raise
