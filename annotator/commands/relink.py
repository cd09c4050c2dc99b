"""``annotator relink``: find images that were moved or renamed after they were labelled."""

from __future__ import annotations

import argparse
from pathlib import Path

from annotator.domain.brevity import brief


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, help="project file (.annot), or the image folder that holds it")
    parser.add_argument("--apply", action="store_true", help="write the new paths into the project (else: only list)")


def run(args: argparse.Namespace) -> int:
    """List what was found, by content or by name and size; with ``--apply`` the project goes on with it.

    Raises:
        UserError: there is no project, its image folder is gone, or it cannot be written.
    """
    from annotator.commands.job_bar import run_with_bar
    from annotator.domain.errors import ProjectError, ProjectReadOnlyError
    from annotator.io.project.moved import find_moved, relink_edit
    from annotator.io.project.place import find_project
    from annotator.io.project.store import ProjectStore
    from annotator.jobs.job import Job

    path = find_project(args.project) if args.project.is_dir() else args.project
    if path is None:
        raise ProjectError(
            f"There is no project in {brief(args.project)}.", "Open that folder first, or name a .annot file."
        )
    with ProjectStore.open(path, read_only=not args.apply) as store:
        if args.apply and store.is_read_only:
            raise ProjectReadOnlyError(
                f"{brief(path.name)} cannot be written. {store.read_only_reason}", "Close it there."
            )
        job = Job("Find moved images", unit="file")
        found = run_with_bar(job, lambda job: find_moved(store, progress=job.progress))
        if args.apply and found.moves:
            store.apply(relink_edit(found.moves))
    print("\n".join(found.lines()))
    if found.moves:
        done = "re-linked" if args.apply else "nothing was changed; --apply re-links them"
        print(done)
    return 0
