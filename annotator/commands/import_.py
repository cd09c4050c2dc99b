"""``annotator import``: take the objects of a COCO file into a project."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from annotator import plugins
    from annotator.io.formats.registry import IMPORTERS

    formats = [plugin.name for plugin in plugins.find("annotator.importers", IMPORTERS)]
    parser.add_argument("project", type=Path, help="project file (.annot), or an image folder (its project is made)")
    parser.add_argument("annotations", type=Path, help="file to take in")
    parser.add_argument("--format", choices=formats, default="coco", help="default: coco")
    parser.add_argument("--project", dest="place", type=Path, metavar="FILE", help="where a folder's project shall be")
    parser.add_argument("--author", default="", help="name to keep with the objects")


def run(args: argparse.Namespace) -> int:
    """Take in what fits, and say what did not.

    Raises:
        UserError: the project or the file cannot be used, or nothing of the file fits.
    """
    from typing import cast

    from tqdm import tqdm

    from annotator import plugins
    from annotator.domain.errors import ImportFormatError
    from annotator.io.formats.registry import IMPORTERS
    from annotator.io.project.store import ProjectStore

    formats = plugins.load_all("annotator.importers", IMPORTERS)
    take_in = cast(Any, formats[args.format])
    if args.project.is_dir():
        opened = ProjectStore.open_folder(args.project, project_path=args.place, author=args.author)
    else:
        opened = ProjectStore.open(args.project, author=args.author)
    with opened as store, tqdm(unit="entry", leave=False, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = take_in(store, args.annotations, progress=show)
    print("\n".join(report.lines()))
    if report.skipped and not report.objects and not report.already_there:
        raise ImportFormatError(f"Nothing of {args.annotations} could be imported.", "The problems are listed above.")
    return 0
