"""``annotator export``: write a project's objects to a format that other programs read."""

from __future__ import annotations

import argparse
from pathlib import Path

from annotator.domain.brevity import brief


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from annotator.commands.format_options import add_format_options, add_list_formats, choices_text
    from annotator.io.formats.registry import export_formats

    rows = export_formats()
    folders = ", ".join(spec.id for spec in rows if spec.is_folder)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = choices_text(rows)
    parser.add_argument("project", type=Path, help="project file (.annot), or the image folder that holds it")
    parser.add_argument("--format", choices=[spec.id for spec in rows], default="coco", help="default: coco")
    parser.add_argument("--out", type=Path, required=True, help=f"file to write ({folders}: a folder)")
    parser.add_argument("--all-images", action="store_true", help="also images without objects that nobody finished")
    parser.add_argument("--finished-only", action="store_true", help="only images marked done or empty")
    add_list_formats(parser, export_formats, reads=False)
    add_format_options(parser, rows)


def run(args: argparse.Namespace) -> int:
    """Write, and say what was written.

    Raises:
        UserError: the project cannot be read, an option does not fit, or the export cannot be written.
    """
    from annotator.commands.format_options import given_options
    from annotator.commands.job_bar import run_with_bar
    from annotator.commands.output import check_output
    from annotator.domain.drafts.held import held_text
    from annotator.domain.errors import ProjectError
    from annotator.io.formats.registry import export_formats, exporter
    from annotator.io.project.place import find_project
    from annotator.io.project.store import ProjectStore
    from annotator.jobs.job import Job

    rows = export_formats()
    spec = next(row for row in rows if row.id == args.format)
    options = given_options(args, spec, rows)
    if not spec.is_folder:
        check_output(args.out)
    path = find_project(args.project) if args.project.is_dir() else args.project
    if path is None:
        raise ProjectError(
            f"There is no project in {brief(args.project)}.", "Open that folder first, or name a .annot file."
        )
    export = exporter(spec)
    # Reading only: the project may be open in the window meanwhile.
    with ProjectStore.open(path, read_only=True) as store:
        wish = {"include_unfinished": not args.finished_only, "all_images": args.all_images, **options}
        job = Job(f"Export {args.out.name}", unit="object")
        report = run_with_bar(job, lambda job: export(store, args.out, progress=job.progress, **wish))
        held = held_text(store.images(), store.draft_counts())
    print("\n".join(report.lines()))
    if held:
        print(f"warning: {held}; this is not in the export")
    return 0
