"""``annotator statistics``: objects per class, sizes, and what became of the proposals of a project."""

from __future__ import annotations

import argparse
from pathlib import Path

from annotator.domain.brevity import brief


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, help="project file (.annot), or its image folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write them as a .csv, .json or .png file")


def run(args: argparse.Namespace) -> int:
    """Count and print. The project may be open in the window.

    Raises:
        UserError: there is no such project, it cannot be read, or the file cannot be written.
    """
    from annotator.commands.job_bar import run_with_bar
    from annotator.commands.output import check_output
    from annotator.domain.errors import ProjectError
    from annotator.io.figures_report import check_suffix, lines_of, write_figures
    from annotator.io.project.figures import read_figures
    from annotator.io.project.place import find_project
    from annotator.io.project.store import ProjectStore
    from annotator.jobs.job import Job

    out: Path | None = args.out
    if out is not None:
        check_suffix(out)
        check_output(out, sources=(args.project,))
    path = find_project(args.project) if args.project.is_dir() else args.project
    if path is None:
        raise ProjectError(
            f"There is no project in {brief(args.project)}.", "Open that folder first, or name a .annot file."
        )
    with ProjectStore.open(path, read_only=True) as store:
        job = Job(f"Statistics of {path.name}", unit="object")
        figures = run_with_bar(job, lambda job: read_figures(store, job.progress))
    for line in lines_of(figures):
        print(line)
    if out is not None:
        from annotator.files.resources import resource_path

        write_figures(out, figures, path.stem, fonts=resource_path("fonts"))
        print(f"Written: {out}")
    return 0
