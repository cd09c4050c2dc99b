"""``annotator text``: what words name in images, as COCO."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from annotator.commands.batch.words import add_word_arguments
from annotator.commands.frame_options import add_frame_options, pick_of
from annotator.commands.predict import parse_point
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.frame_pick import ALL_FRAMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="IMAGE", help="images, videos, folders, patterns")
    add_frame_options(parser)
    parser.add_argument("--text", required=True, metavar="WORDS", help='what is looked for: "nucleus, not debris"')
    parser.add_argument(
        "--out", type=Path, required=True, metavar="F.json", help="COCO with scores, a category a phrase"
    )
    add_word_arguments(parser)
    parser.add_argument(
        "--point",
        type=parse_point,
        action="append",
        default=[],
        metavar="X,Y[,0|1]",
        help="a click beside the words, in one image: which object is meant, as of predict; may be repeated",
    )
    parser.add_argument(
        "--model",
        metavar="NAME|PATH",
        help="makes masks of boxes, and answers clicks where the model for words has none of its own "
        "(default: the best one here)",
    )
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the models run (default: the best)")


def run(args: argparse.Namespace) -> int:
    """Ask image by image. The same command goes on after a stop. Exit code 1 when an image failed.

    Raises:
        UserError: no images, no words, no model for them, or an unwritable output.
    """
    from annotator.commands.batch.command import ask_here, ask_images
    from annotator.commands.batch.journal import open_journal
    from annotator.commands.batch.results import write_results
    from annotator.commands.batch.words import asked_in_words, words_of
    from annotator.commands.batch.work_list import list_work
    from annotator.commands.output import check_output
    from annotator.domain.errors import ExportError, PromptError

    out: Path = args.out
    if out.suffix.lower() != ".json":
        raise ExportError(f"{brief(out)} has an unknown kind.", "Name a .json file.")
    phrases = words_of(args)
    items = list_work(args.sources, images=None, pick=pick_of(args) or ALL_FRAMES)
    if args.point and len(items) != 1:
        raise PromptError("Clicks are about one image.", "Name one image with --point.")
    check_output(out, sources=(*(item.path for item in items), args.model))

    from annotator.engine.load import load_segmenter

    segmenter = load_segmenter(args.model, device=args.device, config=args.config)
    words, names, ask = asked_in_words(args, segmenter, phrases, items)
    info = {"description": "annotator text", "model": segmenter.info.name, "model_sha256": segmenter.info.sha256}
    about = {"info": info | words, "categories": [{"id": n, "name": name} for n, name in names.items()]}
    part = out.with_name(f"{out.name}.part")
    with open_journal(part, about) as journal:
        ask_images(items, journal, partial(ask_here, ask), title="Words", retries=True)
        totals = write_results(out, None, items, journal, journal.about)
        failed = [(item.key, journal.row(item.key)["error"]) for item in items if journal.has_failed(item.key)]
    if not failed:
        part.unlink(missing_ok=True)
    print(f"{out}: {counted(totals.objects)} in {counted(totals.done, 'image')}")
    return _tell(failed)


def _tell(failed: list[tuple[str, str]]) -> int:
    import sys

    for key, reason in failed:
        print(f"annotator: left out: {brief(key)}: {reason}", file=sys.stderr)
    return 1 if failed else 0
