"""``annotator evaluate --found``: objects that something found, against those that are annotated."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING

from annotator.commands.evaluate import aligned
from annotator.domain.counting import counted
from annotator.domain.errors import UserError

if TYPE_CHECKING:
    from annotator.evaluate.found import FoundFigures

_HEAD = ("class", "objects", "found", "precision", "recall", "AP50", "best IoU")


def run(args: argparse.Namespace) -> int:
    """Print a row a class, and their mean.

    Raises:
        UserError: a file or option cannot be used.
    """
    from annotator.commands.output import check_output
    from annotator.evaluate.found import found_figures
    from annotator.files.atomic import export_errors, write_atomic

    if len(args.coco or ()) != 1 or len(args.images or ()) != 1:
        raise UserError("--found is compared with one file.", "Give one --coco and one --images.")
    asks = ("model", "config", "device", "adapter", "clicks", "max_objects", "degrade", "zoom", "pictures", "resume")
    if any(getattr(args, name) is not None for name in asks) or args.jitter:
        raise UserError("--found asks no model.", "Leave out --model and what is asked of one.")
    if args.json is not None:
        check_output(args.json, sources=(args.coco[0], args.found))
    figures = found_figures(
        args.coco[0], args.found, args.images[0], is_class_blind=args.any_class, least_score=args.score
    )
    print(table(figures))
    print(f"IoU from 0.5 on, precision and recall from score {args.score:g} on; {counted(figures.images, 'image')}")
    for line in figures.remarks:
        print(line)
    if args.json is not None:
        text = json.dumps({name: asdict(row) for name, row in figures.classes.items()}, indent=1)
        with export_errors(args.json):
            write_atomic(args.json, text.encode())
        print(f"wrote {args.json}")
    return 0


def table(figures: FoundFigures) -> str:
    """Rows of text; the last is the mean over classes, where there are several."""
    rows = [(name, *astuple(row)) for name, row in figures.classes.items()]
    if len(rows) > 1:
        columns = list(zip(*(row[1:] for row in rows), strict=True))
        means = [sum(column) / len(rows) for column in columns[2:]]
        rows.append(("mean", sum(columns[0]), sum(columns[1]), *means))
    lines = [_HEAD, *((name, str(n), str(m), *map("{:.3f}".format, rest)) for name, n, m, *rest in rows)]
    return aligned(lines)
