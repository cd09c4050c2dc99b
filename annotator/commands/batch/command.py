"""``annotator batch``: many images without a person, that goes on after a stop or a kill where it was."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.commands.adapter_option import add_adapter_argument
from annotator.commands.batch.together import add_size_argument
from annotator.commands.batch.words import add_word_arguments
from annotator.commands.batch.work_list import PROJECT_SUFFIX, Shard, WorkItem, parse_shard
from annotator.commands.frame_options import add_frame_options, pick_of
from annotator.commands.precision_option import add_precision_argument
from annotator.commands.ray_option import add_share_argument
from annotator.domain.answering.everything import EverythingSettings
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.frame_pick import ALL_FRAMES

if TYPE_CHECKING:
    from annotator.commands.batch.journal import Journal
    from annotator.commands.batch.pipeline import Answer
    from annotator.commands.batch.prompts import PromptFile
    from annotator.commands.batch.results import HasRows
    from annotator.domain.ports.engine import Segmenter
    from annotator.io.images.reader import LoadedImage

    Ask = Callable[[WorkItem, LoadedImage], Answer]
    OnAsked = Callable[[int], object]
    AskAll = Callable[[Sequence[WorkItem], Journal, OnAsked], None]

_GRID = [field for field in dataclasses.fields(EverythingSettings) if not isinstance(field.default, bool)]
_SOURCES = (
    "images, videos, folders, patterns such as 'photos/**/*.jpg', lists (.txt), COCO files (.json), projects (.annot)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=_SOURCES)
    add_frame_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results; made if missing")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where a COCO file's images are; default: beside it")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--auto", action="store_true", help="every object of every image (default)")
    asked.add_argument(
        "--boxes", type=Path, metavar="FILE", help="an object in each box: COCO, results, CSV or a project"
    )
    asked.add_argument("--text", metavar="WORDS", help='all that words name: "nucleus, not debris"')
    asked.add_argument(
        "--refine", type=Path, metavar="FILE", help="the masks of a COCO file or a project, each refined by the model"
    )
    asked.add_argument("--points", type=Path, metavar="CSV", help="an object at each point, or group of points")
    parser.add_argument("--masks", action="store_true", help="a PNG of labels for every image, too, in DIR/masks")
    parser.add_argument("--parquet", action="store_true", help="a table of all objects, too (needs annotator[parquet])")
    parser.add_argument(
        "--parquet-images", type=int, metavar="N", help="of the table: a file for every N images, in DIR/objects"
    )
    parser.add_argument(
        "--into", type=Path, metavar="PROJECT", help="take the objects into a project, or that of a folder"
    )
    parser.add_argument("--shard", type=_shard, default=Shard(), metavar="I/N", help="part I of N, for N machines")
    parser.add_argument("--merge", action="store_true", help="make one result of those of all shards; asks no model")
    parser.add_argument("--retry-failed", action="store_true", help="try images again that failed before")
    parser.add_argument("--readers", type=int, choices=(1, 2, 3), default=2, help="images read at once (default: 2)")
    parser.add_argument("--ray", metavar="ADDRESS", help="workers of a Ray cluster (needs annotator[ray]), or `local`")
    parser.add_argument("--ray-workers", type=int, metavar="N", help="at most; default: as many as there is room for")
    add_share_argument(parser, of="a worker")
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    add_precision_argument(parser)
    add_size_argument(parser)
    add_adapter_argument(parser, help_text="a prompt adapter of the model")
    add_word_arguments(parser.add_argument_group("words"))
    grid = parser.add_argument_group("everything", "as in `annotator auto --help`; default: what suits the model")
    for field in _GRID:
        kind = int if isinstance(field.default, int) else float
        grid.add_argument(f"--{field.name.replace('_', '-')}", type=kind, metavar="N")
    grid.add_argument("--no-border", action="store_true", help="leave out objects that touch the image's border")


def run(args: argparse.Namespace) -> int:
    """Ask image by image; the same command goes on after a stop. Exit code 1 when an image failed, or a prompt of it
    gave no object.

    Raises:
        UserError: no images, prompts or a model that cannot be used, settings that make no sense, an unwritable
            folder or a full disk.
    """
    from annotator.commands.batch.more_results import check_parquet, check_project
    from annotator.commands.batch.work_list import list_work
    from annotator.commands.output import check_output
    from annotator.commands.precision_option import keep_to_precision_of
    from annotator.domain.errors import UserError
    from annotator.files.atomic import export_errors

    if args.merge and args.shard.of > 1:
        raise UserError("--merge is about all shards.", "Leave out --shard.")
    items = list_work(args.sources, images=args.images, pick=pick_of(args) or ALL_FRAMES)
    out: Path = args.out
    with export_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    check_output(_place(args, "objects", "json"))
    if args.parquet_images is not None and args.parquet_images < 1:
        raise UserError("--parquet-images is at least 1.", "Leave it out for one file.")
    if args.parquet or args.parquet_images:
        check_parquet()
    check_project(args.into)
    if args.merge:
        return _merge(args, items)
    prompts = _prompts(args, items)
    own = [item for item in items if args.shard.has(item.key)]
    keep_to_precision_of([_place(args, "journal", "jsonl"), *sorted(out.glob("journal*.jsonl"))], args)
    if args.ray is not None:
        from annotator.commands.batch.on_ray import begun_on_ray

        with begun_on_ray(args, items, prompts) as (about, ask_all):
            return _asked(args, own, about, ask_all)
    about, ask = engine_of(args, items, prompts)
    return _asked(args, own, about, partial(ask_here, ask, readers=args.readers))


def _asked(args: argparse.Namespace, own: Sequence[WorkItem], about: Mapping[str, Any], ask_all: AskAll) -> int:
    """Ask for what is not in the journal yet, and write the files at the end."""
    from annotator.commands.batch.journal import open_journal

    with open_journal(_place(args, "journal", "jsonl"), about) as journal:
        try:
            ask_images(own, journal, ask_all, retries=args.retry_failed)
        except KeyboardInterrupt:
            done = sum(item.key in journal for item in own)
            kept = f"{done} of {counted(len(own), 'image')} are done and kept in {args.out}"
            print(f"\nannotator: {kept}\nannotator: the same command goes on from there", file=sys.stderr)
            raise
        return _finish(args, own, journal, journal.about)


def _shard(text: str) -> Shard:
    try:
        return parse_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _place(args: argparse.Namespace, name: str, suffix: str) -> Path:
    out: Path = args.out
    return out / f"{name}{args.shard.ending}.{suffix}"


def _prompts(args: argparse.Namespace, items: Sequence[WorkItem]) -> PromptFile | None:
    """Of the file that was named; None: everything is asked for."""
    from annotator.commands.batch.mask_prompts import read_masks, read_project
    from annotator.commands.batch.prompts import read_boxes, read_points
    from annotator.domain.errors import UserError

    if args.text is not None and (args.batch_size or 1) > 1:
        raise UserError("Words are looked for image by image.", "Leave out --batch-size.")
    given = [field.name for field in _GRID if getattr(args, field.name) is not None]
    given += ["no_border"] if args.no_border else []
    if args.text is None and (args.finder or args.min_score is not None or args.examples is not None):
        instead = 'Leave them out, or name the words (with --examples: "" for none).'
        raise UserError("--finder, --min-score and --examples are about --text.", instead)
    if given and (args.boxes or args.points or args.refine or args.text is not None):
        instead = "--boxes, --points, --refine or --text"
        raise UserError(f"--{given[0].replace('_', '-')} is about --auto.", f"Leave it out with {instead}.")
    for named, as_boxes in ((args.refine, False), (args.boxes, True)):
        if named is not None and named.suffix.lower() == PROJECT_SUFFIX:
            return read_project(named, as_boxes=as_boxes)
    if args.refine is not None:
        return read_masks(args.refine)
    if args.boxes is None and args.points is None:
        return None
    if args.points is not None:
        return read_points(args.points)
    is_coco = len(args.sources) == 1 and Path(args.sources[0]).suffix.lower() == ".json"
    return read_boxes(args.boxes, has_coco_ids=is_coco)


def engine_of(
    args: argparse.Namespace, items: Sequence[WorkItem], prompts: PromptFile | None
) -> tuple[dict[str, Any], Ask]:
    """What the answers depend on, and how the model is asked."""
    from annotator.commands.batch.asking import AskEverything, AskQuestions
    from annotator.commands.batch.prompts import OBJECT
    from annotator.commands.batch.words import asked_in_words, words_of
    from annotator.commands.predict import notes_on
    from annotator.domain.errors import ModelError
    from annotator.domain.ports.engine import AnswersEverything
    from annotator.engine.at_once import at_once

    questions = {} if prompts is None else _matched(prompts, items)
    phrases = None if args.text is None else words_of(args)
    segmenter, adapter = _loaded(args)
    for note in notes_on(segmenter.info):
        _say(note)
    together = at_once(segmenter, args.batch_size, _say) if phrases is None else None
    info: dict[str, Any] = {
        "description": "annotator batch",
        "model": segmenter.info.name,
        "model_sha256": segmenter.info.sha256,
        "precision": segmenter.info.dtype,
    }
    if adapter:
        info["adapter"] = adapter
    if phrases is not None:
        words, named, ask = asked_in_words(args, segmenter, phrases, items)
        return {"info": info | words, "categories": [{"id": n, "name": name} for n, name in named.items()]}, ask
    names = OBJECT if prompts is None else prompts.categories
    about: dict[str, Any] = {"info": info, "categories": [{"id": n, "name": name} for n, name in names.items()]}
    if prompts is not None:
        kind = "masks" if args.refine else "boxes" if args.points is None else "points"
        info["prompts"] = {"kind": kind, "sha256": prompts.sha256}
        return about, AskQuestions(segmenter, questions, at_once=together)
    if not isinstance(segmenter, AnswersEverything):
        raise ModelError(f"{brief(segmenter.info.name)} cannot segment everything.", "Name another model.")
    given = {field.name: getattr(args, field.name) for field in _GRID if getattr(args, field.name) is not None}
    if args.no_border:
        given["keeps_border"] = False
    settings = dataclasses.replace(segmenter.everything_settings, **given).checked()
    info["settings"] = dataclasses.asdict(settings)
    return about, AskEverything(segmenter, settings, at_once=together)


def _say(line: str) -> None:
    print(f"annotator: {line}", file=sys.stderr)


def _matched(prompts: PromptFile, items: Sequence[WorkItem]) -> Any:
    questions, strangers = prompts.matched(items)
    if strangers:
        print(f"annotator: prompts of {counted(strangers, 'image')} that this batch has not", file=sys.stderr)
    if prompts.skipped:
        print(f"annotator: no box or mask, left out: {counted(prompts.skipped, 'row')} of the prompts", file=sys.stderr)
    return questions


def _loaded(args: argparse.Namespace) -> tuple[Segmenter, str]:
    """The model, and its adapter as "name@sha256" or nothing."""
    import hashlib

    from annotator.commands.adapter_option import adapter_path, load_named_adapter, model_for
    from annotator.commands.precision_option import checked_precision, dtype_of
    from annotator.engine.load import load_sam2_segmenter, load_segmenter

    dtype = dtype_of(args)
    if args.adapter is None:
        found = load_segmenter(args.model, device=args.device, config=args.config, dtype=dtype)
        return checked_precision(found, args), ""
    model = model_for(args.model, args.adapter)
    segmenter = load_sam2_segmenter(model, device=args.device, config=args.config, dtype=dtype)
    segmenter.set_adapter(load_named_adapter(args.adapter, segmenter))
    file = adapter_path(args.adapter)
    return segmenter, f"{file.stem}@{hashlib.sha256(file.read_bytes()).hexdigest()}"


def ask_images(
    items: Sequence[WorkItem], journal: Journal, ask_all: AskAll, *, title: str = "Batch", retries: bool
) -> None:
    """Ask for what is not in the journal yet, with a bar.

    Args:
        ask_all: puts every image into the journal, and tells how many there were.
        retries: whether what failed before is tried again.

    Raises:
        UserError: the journal cannot be written.
    """
    from annotator.commands.job_bar import run_with_bar
    from annotator.jobs.job import Job

    left = _left(items, journal, retries=retries)
    before = len(items) - len(left)
    if before:
        print(f"annotator: done before: {counted(before, 'image')}", file=sys.stderr)
    started = time.monotonic()

    def work(job: Job) -> None:
        job.progress(before, len(items))
        ask_all(left, journal, lambda count: job.progress(before + count, len(items)))

    if left:
        run_with_bar(Job(title, unit="image"), work, stays=True, everywhere=False)
        seconds = time.monotonic() - started
        print(f"{counted(len(left), 'image')} in {seconds:.1f} s: {len(left) / max(seconds, 1e-3):.2f} images/s")


def ask_here(ask: Ask, left: Sequence[WorkItem], journal: Journal, on_asked: OnAsked, *, readers: int = 2) -> None:
    """An :data:`AskAll` with the model of this process."""
    from annotator.commands.batch.pipeline import run_pipeline
    from annotator.io.images.reading import interrupt
    from annotator.io.project.windows import AsShown

    as_shown = AsShown()
    run_pipeline(
        left,
        journal,
        load=lambda item: as_shown.load(item.path, frame=item.frame),
        ask=ask,
        on_asked=lambda _item, count: on_asked(count),
        readers=readers,
        interrupt=interrupt,
    )


def _left(items: Sequence[WorkItem], journal: Journal, *, retries: bool) -> list[WorkItem]:
    """What has no row yet, or one of another file; with ``retries`` also what failed."""
    from annotator.commands.batch.pipeline import stamp_of

    def is_done(item: WorkItem) -> bool:
        is_wanted_again = retries and journal.has_failed(item.key)
        return item.key in journal and not is_wanted_again and journal.stamp(item.key) == stamp_of(item)

    return [item for item in items if not is_done(item)]


def _finish(args: argparse.Namespace, items: Sequence[WorkItem], rows: HasRows, about: Any) -> int:
    """Write the files at the end from the journal."""
    from annotator.commands.batch.results import write_results

    coco, report = _place(args, "objects", "json"), _place(args, "report", "csv")
    totals = write_results(coco, report, items, rows, about)
    print(f"{coco}: {counted(totals.objects)} in {counted(totals.done, 'image')}")
    _finish_more(args, items, rows, about, coco)
    for count, what in ((totals.failed, "failed"), (totals.partly, "had a prompt without an object")):
        if count:
            print(f"annotator: {counted(count, 'image')} {what}; why stands in {report}", file=sys.stderr)
    return 1 if totals.failed or totals.partly else 0


def _finish_more(args: argparse.Namespace, items: Sequence[WorkItem], rows: HasRows, about: Any, coco: Path) -> None:
    """What was asked for beside COCO."""
    from annotator.commands.batch.more_results import (
        put_into_project,
        write_label_maps,
        write_parquet,
        write_parquet_parts,
    )

    if args.masks:
        folder = args.out / "masks"
        print(f"{folder}: {counted(write_label_maps(folder, items, rows), 'picture')}")
    if args.parquet_images:
        folder = args.out / f"objects{args.shard.ending}"
        print(f"{folder}: {counted(write_parquet_parts(folder, items, rows, about, args.parquet_images), 'row')}")
    elif args.parquet:
        table = _place(args, "objects", "parquet")
        print(f"{table}: {counted(write_parquet(table, items, rows, about), 'row')}")
    if args.into is not None:
        print("\n".join(put_into_project(args.into, coco)))


class _Merged:
    """The rows of several journals as those of one. Of an image that is in two, one that did not fail counts."""

    def __init__(self, journals: Sequence[Journal]) -> None:
        self._owner: dict[str, Journal] = {}
        for journal in journals:
            for key in journal:
                if key not in self._owner or self._owner[key].has_failed(key):
                    self._owner[key] = journal

    def __contains__(self, key: object) -> bool:
        return key in self._owner

    def row(self, key: str) -> dict[str, Any]:
        return self._owner[key].row(key)


def _merge(args: argparse.Namespace, items: Sequence[WorkItem]) -> int:
    from annotator.commands.batch.journal import is_same_work, merged_about, read_journal
    from annotator.domain.errors import ImportFormatError

    places = sorted(args.out.glob("journal*.jsonl"))
    if not places:
        raise ImportFormatError(
            f"There are no results in {brief(args.out)}.", "Run the shards first, with the same --out."
        )
    with ExitStack() as stack:
        journals = [stack.enter_context(read_journal(place)) for place in places]
        for journal in journals[1:]:
            if not is_same_work(journal.about, journals[0].about):
                raise ImportFormatError(
                    f"{brief(journal.path.name)} and {brief(journals[0].path.name)} are of other models, "
                    "settings or prompts.",
                    "Run all shards with the same ones.",
                )
        rows = _Merged(journals)
        missing = sum(item.key not in rows for item in items)
        if missing:
            raise ImportFormatError(
                f"{missing} of {counted(len(items), 'image')} are not done yet.", "Let all shards come to their end."
            )
        return _finish(args, items, rows, merged_about([journal.about for journal in journals]))
