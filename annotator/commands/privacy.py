"""``annotator check --privacy``: does anything about a patient stand where it should not?"""

from __future__ import annotations

import argparse
from pathlib import Path

from annotator.domain.brevity import brief

FOUND_CODE = 1


def add_privacy_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``annotator check``."""
    parser.add_argument(
        "--privacy",
        action="store_true",
        help="search a project, file names, caches and logs for what names a patient or leads to one, and nothing else",
    )
    parser.add_argument(
        "--exports",
        type=Path,
        nargs="+",
        default=[],
        metavar="EXPORT",
        help="with --privacy: exported files or folders to be searched, too",
    )


def run_privacy(args: argparse.Namespace) -> int:
    """Say what was found, in kinds and places; the exit code is 1 when there is anything.

    Raises:
        UserError: there is no project, or it cannot be read; an export is not there.
    """
    from annotator.commands.job_bar import run_with_bar
    from annotator.domain.errors import ProjectError, UserError
    from annotator.io.project.place import find_project
    from annotator.io.project.privacy import check_privacy
    from annotator.io.project.store import ProjectStore
    from annotator.jobs.job import Job

    path = find_project(args.target) if args.target.is_dir() else args.target
    if path is None:
        raise ProjectError(
            f"There is no project in {brief(args.target)}.", "Open that folder first, or name a .annot file."
        )
    for export in args.exports:
        if not export.exists():
            raise UserError(f"There is no file or folder {brief(export)}.", "Check the name.")
    with ProjectStore.open(path, read_only=True) as store:
        job = Job("Search for patients' data", unit="B")
        report = run_with_bar(job, lambda job: check_privacy(store, others=args.exports, progress=job.progress))
    print("\n".join(report.lines()))
    return 0 if report.is_clean else FOUND_CODE
