"""``annotator import``: take the objects of a file into a project."""

from __future__ import annotations

import argparse
from pathlib import Path

from annotator.domain.brevity import brief


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from annotator.commands.format_options import add_list_formats
    from annotator.io.formats.registry import import_formats

    rows = import_formats()
    parser.add_argument("project", type=Path, help="project file (.annot), or an image folder (its project is made)")
    parser.add_argument("annotations", type=Path, help="file or folder to take in")
    parser.add_argument("--format", choices=[spec.id for spec in rows], help="default: by the file's name")
    parser.add_argument("--project", dest="place", type=Path, metavar="FILE", help="where a folder's project shall be")
    parser.add_argument("--author", default="", help="name to keep with the objects")
    add_list_formats(parser, import_formats, reads=True)


def run(args: argparse.Namespace) -> int:
    """Take in what fits, and say what did not.

    Raises:
        UserError: the project or the file cannot be used, or nothing of the file fits.
    """
    from annotator.commands.job_bar import run_with_bar
    from annotator.domain.errors import ImportFormatError
    from annotator.io.formats.registry import import_format_of, import_formats, importer
    from annotator.io.project.store import ProjectStore
    from annotator.jobs.job import Job

    named = [spec for spec in import_formats() if spec.id == args.format]
    take_in = importer(named[0] if named else import_format_of(args.annotations))
    if args.project.is_dir():
        opened = ProjectStore.open_folder(args.project, project_path=args.place, author=args.author)
    else:
        opened = ProjectStore.open(args.project, author=args.author)
    with opened as store:
        job = Job(f"Import {args.annotations.name}", unit="entry")
        report = run_with_bar(job, lambda job: take_in(store, args.annotations, progress=job.progress))
    print("\n".join(report.lines()))
    if report.skipped and not report.objects and not report.already_there:
        raise ImportFormatError(
            f"Nothing of {brief(args.annotations)} could be imported.", "The problems are listed above."
        )
    return 0
