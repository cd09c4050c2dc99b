"""``annotator export``: write a project's objects to a format that other programs read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_SEGMENTATIONS = """\
segmentations (COCO):
  auto     polygons, and run lengths for objects with holes and for crowds (default); for pycocotools, torchvision,
           FiftyOne, and detectron2 with INPUT.MASK_FORMAT "bitmask"
  rle      run lengths, exact to the pixel; the same readers
  polygon  polygons only: holes are filled, and such objects named; for detectron2's default and mmdetection with
           poly2mask=False
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from annotator import plugins
    from annotator.io.formats.registry import EXPORTERS

    formats = [plugin.name for plugin in plugins.find("annotator.exporters", EXPORTERS)]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _SEGMENTATIONS
    parser.add_argument("project", type=Path, help="project file (.annot), or the image folder that holds it")
    parser.add_argument("--format", choices=formats, default="coco", help="default: coco")
    parser.add_argument("--out", type=Path, required=True, help="file to write (polygons: a folder)")
    parser.add_argument("--segmentation", choices=("auto", "rle", "polygon"), help="for COCO, see below")
    parser.add_argument("--all-images", action="store_true", help="also images without objects that nobody finished")
    parser.add_argument("--finished-only", action="store_true", help="only images marked done or empty")


def run(args: argparse.Namespace) -> int:
    from typing import cast

    from tqdm import tqdm

    from annotator import plugins
    from annotator.commands.output import check_output
    from annotator.domain.errors import ExportError, ProjectError
    from annotator.io.formats.registry import EXPORTERS
    from annotator.io.project.place import find_project
    from annotator.io.project.store import ProjectStore

    if args.segmentation is not None and args.format == "polygons":
        raise ExportError("--segmentation is for COCO only.", "Leave it out.")
    if args.format == "coco":
        check_output(args.out)
    path = find_project(args.project) if args.project.is_dir() else args.project
    if path is None:
        raise ProjectError(f"There is no project in {args.project}.", "Open that folder first, or name a .annot file.")
    options: dict[str, Any] = {"all_images": args.all_images, "include_unfinished": not args.finished_only}
    if args.segmentation is not None:
        options["segmentation"] = args.segmentation
    formats = plugins.load_all("annotator.exporters", EXPORTERS)
    export = cast(Any, formats[args.format])
    # Reading only: the project may be open in the window meanwhile.
    with ProjectStore.open(path, read_only=True) as store, tqdm(unit="object", leave=False, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = export(store, args.out, progress=show, **options)
    print("\n".join(report.lines()))
    return 0
