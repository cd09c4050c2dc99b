"""``annotator find``: all that is like some objects, in their image and in others; COCO with scores."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.ports.likeness import LEAST_LIKE_SCORE

if TYPE_CHECKING:
    from annotator.commands.batch.journal import Journal
    from annotator.commands.batch.pipeline import Answer
    from annotator.commands.batch.work_list import WorkItem
    from annotator.commands.find.examples import Objects
    from annotator.domain.ports.engine import Segmenter
    from annotator.domain.ports.likeness import LikeQuestion
    from annotator.io.images.reader import LoadedImage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="what has the examples: a project (.annot), its folder, or COCO")
    parser.add_argument("--like", default="", metavar="ID,...", help="ids of the objects that others are to be like")
    parser.add_argument(
        "--box", action="append", default=[], metavar="IMAGE:X,Y,W,H", help="a box round a further one (repeat it)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="found.json", help="COCO's JSON, with scores")
    parser.add_argument(
        "--in", nargs="+", default=[], dest="others", metavar="IMAGES",
        help="look in these images, folders, patterns or lists instead of all images of the source",
    )  # fmt: skip
    parser.add_argument("--here", action="store_true", help="look in the images of the examples alone")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the images of a COCO file")
    parser.add_argument("--class", dest="category", metavar="NAME", help="of what is found (default: the examples')")
    parser.add_argument(
        "--min-score", type=float, default=LEAST_LIKE_SCORE, metavar="N",
        help=f"leave out what is rated lower, 0 to 1 (default: {LEAST_LIKE_SCORE})",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")


def run(args: argparse.Namespace) -> int:
    """Look image by image, read ahead. After a stop or a kill the same command goes on from there. Exit code 1 when
    some images could not be read; the others are written.

    Raises:
        UserError: no examples, images that are not there, a model that cannot, an output that cannot be written.
    """
    from annotator.commands.batch.journal import open_journal
    from annotator.commands.batch.results import write_results
    from annotator.commands.find.examples import parse_box, parse_ids, question_of, read_objects
    from annotator.commands.output import check_output
    from annotator.domain.errors import ExportError, PromptError, UserError
    from annotator.io.project.windows import AsShown

    out: Path = args.out
    if out.suffix.lower() != ".json":
        raise ExportError(f"{brief(out)} has an unknown kind.", "Name a .json file.")
    if not 0 <= args.min_score <= 1:
        raise UserError(f"--min-score is {args.min_score}.", "Give a number from 0 to 1.")
    ids, boxes = parse_ids(args.like), [parse_box(text) for text in args.box]
    if not ids and not boxes:
        raise PromptError("There is no example to look for.", "Name objects (--like 3,17) or boxes (--box).")
    check_output(out, sources=(args.source, args.model))
    objects = read_objects(args.source, args.images)
    as_shown = AsShown()
    question = question_of(objects, ids, boxes, lambda path, frame: as_shown.load(path, frame=frame))
    question = replace(question, least_score=args.min_score)
    items = _items(args, objects, {*(objects.at[one] for one in ids)}, [name for name, _ in boxes])

    from annotator.engine.load import load_segmenter

    segmenter = load_segmenter(args.model, device=args.device, config=args.config)
    category = args.category or next((objects.category[one] for one in ids if objects.category[one]), "object")
    about = _about(args, segmenter, question, category)
    part = out.with_name(f"{out.name}.part")
    with open_journal(part, about) as journal:
        _work(items, journal, AskLike(segmenter, question, objects, least=args.min_score), as_shown)
        totals = write_results(out, out.with_suffix(".csv"), items, journal, about)
    part.unlink(missing_ok=True)
    print(f"{out}: {counted(totals.objects)} in {counted(totals.done, 'image')}")
    if totals.failed:
        print(f"annotator: {counted(totals.failed, 'image')} failed; why stands beside it", file=sys.stderr)
    return 1 if totals.failed else 0


class AskLike:
    """Asks an image for all that is like the examples, and is not there already.

    Raises:
        ModelError: the model cannot.
    """

    def __init__(self, segmenter: Segmenter, question: LikeQuestion, objects: Objects, *, least: float) -> None:
        from annotator.domain.errors import ModelError
        from annotator.domain.ports.likeness import AnswersLike

        if not isinstance(segmenter, AnswersLike):
            text = f"{segmenter.info.name} cannot look for objects like others."
            raise ModelError(text, "Name another model.")
        self._segmenter, self._search = segmenter, segmenter.likeness
        self._question, self._objects, self._least = question, objects, least

    def __call__(self, item: WorkItem, image: LoadedImage) -> Answer:
        """Raises:
        UserError: the model has no room for the image.
        """
        from annotator.commands.batch.pipeline import Answer, Found
        from annotator.commands.find.examples import place_of
        from annotator.domain.answering.asking import proposals_of

        known = self._objects.masks.get(place_of(item.path, item.frame), {})
        there = [mask for mask in known.values() if (mask.width, mask.height) == (image.width, image.height)]
        embedding = self._segmenter.encode(image.rgb, image.image_key)
        found = proposals_of(self._search.steps(embedding, image.rgb, image.image_key, self._question, there))
        return Answer(tuple(
            Found(one.mask, one.predicted_iou, extra={"stability_score": round(one.stability_score, 4)})
            for one in found
            if one.predicted_iou >= self._least
        ))  # fmt: skip


def _items(args: argparse.Namespace, objects: Objects, places: set[Any], boxed: Sequence[str]) -> list[WorkItem]:
    """The images to look in."""
    from annotator.commands.batch.work_list import WorkItem, list_work

    if args.others:
        return list_work(args.others)
    named = {place for place, name in objects.names.items() if name in boxed}
    chosen = {
        place: name for place, name in objects.names.items() if not args.here or place in places or place in named
    }
    rows = [WorkItem(name, Path(path), frame) for (path, frame), name in chosen.items()]
    return [WorkItem(one.name, one.path, one.frame, number) for number, one in enumerate(rows)]


def _about(args: argparse.Namespace, segmenter: Segmenter, question: LikeQuestion, category: str) -> Mapping[str, Any]:
    """What the answers depend on."""
    mark = hashlib.sha256()
    for one in question.examples:
        mark.update(one.image_key.encode())
        for mask in one.masks:
            mark.update(mask.rle() + b"|")
        mark.update(repr([box.as_xyxy() for box in one.boxes]).encode())
    info = {
        "description": "annotator find",
        "model": segmenter.info.name,
        "model_sha256": segmenter.info.sha256,
        "examples": mark.hexdigest(),
        "min_score": args.min_score,
    }
    return {"info": info, "categories": [{"id": 1, "name": category}]}


def _work(items: Sequence[WorkItem], journal: Journal, ask: AskLike, as_shown: Any) -> None:
    """Ask for what is not in the journal yet."""
    from annotator.commands.batch.pipeline import run_pipeline, stamp_of
    from annotator.commands.job_bar import run_with_bar
    from annotator.io.images.reading import interrupt
    from annotator.jobs.job import Job

    left = [one for one in items if one.key not in journal or journal.stamp(one.key) != stamp_of(one)]
    before = len(items) - len(left)
    if before:
        print(f"annotator: done before: {counted(before, 'image')}", file=sys.stderr)

    def work(job: Job) -> None:
        job.progress(before, len(items))
        run_pipeline(
            left,
            journal,
            load=lambda item: as_shown.load(item.path, frame=item.frame),
            ask=ask,
            on_asked=lambda _item, count: job.progress(before + count, len(items)),
            readers=1,
            interrupt=interrupt,
        )

    if left:
        run_with_bar(Job("Find", unit="image"), work, stays=True, everywhere=False)
