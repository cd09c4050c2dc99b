"""``annotator similar``: objects that look alike, objects that look unlike their class, images that are near copies."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted

if TYPE_CHECKING:
    from annotator.io.project.store import ProjectStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, help="project file (.annot), or the image folder that holds it")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", type=int, metavar="ID", help="the objects most like this one")
    what.add_argument("--mislabelled", action="store_true", help="objects that look most unlike their class")
    what.add_argument("--near-copies", action="store_true", help="images that are the same picture, or nearly")
    what.add_argument("--forget", action="store_true", help="delete what is kept of how the objects look")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--rebuild", action="store_true", help="look at every object anew")
    parser.add_argument("--json", type=Path, dest="out", metavar="FILE", help="write them as JSON, too")


def run(args: argparse.Namespace) -> int:
    """Look at what is new or has changed, then answer.

    Raises:
        UserError: the project cannot be read, there is no such object, or the file cannot be written.
    """
    from annotator.commands.output import check_output
    from annotator.domain.errors import ProjectError, UserError
    from annotator.files.atomic import export_errors, write_atomic
    from annotator.io.project.looks import forget_looks, forget_lost
    from annotator.io.project.place import find_project
    from annotator.io.project.store import ProjectStore

    path = find_project(args.project) if args.project.is_dir() else args.project
    if path is None or (not path.is_file() and not args.forget):
        raise ProjectError(
            f"There is no project in {brief(args.project)}.", "Open that folder first, or name a .annot file."
        )
    if args.count < 1:
        raise UserError(f"--count is {args.count}.", "Give a number from 1 on.")
    forget_lost()
    if args.forget:
        print("forgotten" if forget_looks(path) else "there was nothing to forget")
        return 0
    if args.out is not None:
        check_output(args.out, sources=(path,))
    if args.rebuild:
        forget_looks(path)
    with ProjectStore.open(path, read_only=True) as store:
        _update(store, path)
        rows = _answer(args, store, path)
    for row in rows:
        print("  ".join(str(value) for value in row.values()))
    print(counted(len(rows), "pair" if args.near_copies else "object"))
    if args.out is not None:
        with export_errors(args.out):
            write_atomic(args.out, json.dumps(rows, indent=1).encode())
    return 0


def _update(store: ProjectStore, path: Path) -> None:
    import sys

    from annotator.commands.job_bar import run_with_bar
    from annotator.io.project.looks import update_looks
    from annotator.io.project.windows import AsShown
    from annotator.jobs.job import Job

    as_shown = AsShown()
    done = run_with_bar(
        Job("Look at objects", unit="image"),
        lambda job: update_looks(
            store, path, lambda image: as_shown.load(store.image_path(image), frame=image.frame), job.progress
        ),
    )
    print(f"annotator: looked at {counted(done.made)}, {done.known} known", file=sys.stderr)
    for line in done.failed:
        print(f"annotator: left out: {line}", file=sys.stderr)


def _answer(args: argparse.Namespace, store: ProjectStore, path: Path) -> list[dict[str, Any]]:
    from annotator.domain.errors import UserError
    from annotator.domain.likeness.near_copies import near_copies
    from annotator.io.project.looks import read_hashes, read_neighbours

    names = {image.id: image.path for image in store.images()}
    if args.near_copies:
        pairs = [one for one in near_copies(read_hashes(path)) if one.first in names and one.second in names]
        return [
            {"kind": "same" if one.is_same else "nearly", "first": names[one.first], "second": names[one.second],
             "bits": one.bits}
            for one in pairs[: args.count]
        ]  # fmt: skip
    classes = {one.id: one.name for one in store.categories()}
    neighbours = read_neighbours(store, path)
    if args.mislabelled:
        return [
            {"object": one.annotation_id, "image": names[one.image_id], "class": classes.get(one.category_id, ""),
             "looks_like": classes.get(one.likely_id, ""), "share": round(one.share, 2)}
            for one in neighbours.suspects()[: args.count]
        ]  # fmt: skip
    if args.to not in neighbours:
        raise UserError(f"There is no object {args.to} that could be looked at.", "Name the id of an object.")
    return [
        {"object": one.annotation_id, "image": names[one.image_id], "class": classes.get(one.category_id, ""),
         "score": round(one.score, 3)}
        for one in neighbours.like(args.to, args.count)
    ]  # fmt: skip
