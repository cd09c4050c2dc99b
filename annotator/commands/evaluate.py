"""``annotator evaluate``: clicks-to-IoU of an engine on COCO sets, or a benchmark's own protocol."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.commands.adapter_option import add_adapter_argument, load_named_adapter, model_for
from annotator.domain.counting import counted
from annotator.domain.errors import ModelError, UserError

if TYPE_CHECKING:
    from annotator.domain.ports.engine import Segmenter
    from annotator.evaluate.run import Conditions, EvaluationResult, ObjectResult

_SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)
_CLICKS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--coco", type=Path, action="append", metavar="ANN.json", help="a COCO file; may be repeated")
    parser.add_argument("--images", type=Path, action="append", metavar="DIR", help="its images; once for every --coco")
    parser.add_argument(
        "--dataset",
        choices=("hqseg44k",),
        help="in place of --coco: the four test sets of HQ-SAM and PA-SAM, and their table",
    )
    parser.add_argument(
        "--found",
        type=Path,
        metavar="F.json",
        help="what `annotator auto`, `text` or `find` wrote, or another program, with scores: compare it with --coco",
    )
    parser.add_argument("--any-class", action="store_true", help="with --found: whatever class an object has")
    parser.add_argument(
        "--score", type=float, default=0.0, metavar="S", help="with --found: precision and recall from this score on"
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the --dataset's folders are")
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    parser.add_argument("--engine", choices=("sam2", "grabcut"), default="sam2", help="grabcut: the classical baseline")
    add_adapter_argument(
        parser, help_text="a prompt adapter of the model; with --dataset the model is also judged without it"
    )
    parser.add_argument("--clicks", type=_positive, help=f"most clicks per object (default {_CLICKS})")
    parser.add_argument("--max-objects", type=_positive, metavar="N", help="a fixed subset of each set")
    parser.add_argument("--seed", type=int, default=0, help="of the subset (default 0)")
    parser.add_argument(
        "--degrade",
        metavar="NAME",
        help="change the images first: blur, noise, low-contrast, inverted, turned, jpeg20, window",
    )
    parser.add_argument(
        "--jitter", type=_share, default=0.0, metavar="SHARE", help="boxes and clicks off by this share of the object"
    )
    parser.add_argument(
        "--zoom", choices=("on", "off"), help="look closer at small objects (default: as the model was trained)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="OUT",
        help="write all figures, also per object; until then finished objects are kept in OUT.state, and the same "
        "command goes on from them",
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="OUT.png",
        help="draw the objects with the worst masks from the box: true outline green, answer orange",
    )
    parser.add_argument("--worst", type=_positive, default=8, metavar="N", help="so many of them (default 8)")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="keep finished objects here, for good, and go on from them"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate every set, print one row for each and their mean; or a benchmark's own table.

    Raises:
        UserError: a set, model, image or output cannot be used.
    """
    from annotator.commands.output import check_output

    if args.dataset is not None:
        from annotator.commands import evaluate_hqseg44k

        return evaluate_hqseg44k.run(args)
    if args.found is not None:
        from annotator.commands import evaluate_found

        return evaluate_found.run(args)
    _check_sets(args)
    for output in (args.json, args.pictures, args.resume):
        if output is not None:
            check_output(output, sources=(*args.coco, args.model, args.adapter))
    names = set_names(args.coco)
    if args.pictures is not None and (args.degrade or args.jitter):
        raise UserError("--pictures shows the images as they are.", "Leave out --degrade and --jitter.")
    conditions_of(args)
    state_path = state_of(args)
    segmenter: Any = make_segmenter(args)
    if args.adapter is not None:
        segmenter.set_adapter(load_named_adapter(args.adapter, segmenter))
    try:
        results = {name: _evaluate(segmenter, args, n, state_path) for n, name in enumerate(names)}
    except KeyboardInterrupt:
        print(f"\nannotator: {how_to_go_on(state_path)}", file=sys.stderr)
        raise
    print(table(results))
    for name, result in results.items():
        for line in result.remarks:
            print(f"{name}: {line}")
    if args.pictures is not None:
        _draw_worst(segmenter, args, results)
    finish(args, state_path, json.dumps(to_json(results), indent=1))
    return 0


def _check_sets(args: argparse.Namespace) -> None:
    """Raises:
    UserError: there is no set, the files and folders do not pair, or an option goes with another one.
    """
    if args.any_class or args.score:
        raise UserError("--any-class and --score go with --found.", "Give --found, too.")
    if args.root is not None:
        raise UserError("--root goes with --dataset.", "Give --dataset hqseg44k, too.")
    if not args.coco or not args.images:
        raise UserError("There is nothing to evaluate on.", "Give --coco and --images, or --dataset and --root.")
    if len(args.coco) != len(args.images):
        raise UserError(f"{len(args.coco)} --coco and {len(args.images)} --images do not pair.", "Give one of each.")


def _draw_worst(segmenter: Segmenter, args: argparse.Namespace, results: dict[str, EvaluationResult]) -> None:
    """Write the sheet of ``--pictures``.

    Raises:
        ExportError: it cannot be written.
    """
    import cv2

    from annotator.evaluate.objects import read_evaluation_set
    from annotator.evaluate.worst_pictures import sheet, worst_of
    from annotator.files.atomic import export_errors, write_atomic

    sets = zip(results, args.coco, args.images, strict=True)
    objects = {name: read_evaluation_set(coco, images).objects for name, coco, images in sets}
    worst = worst_of(objects, {name: r.per_object for name, r in results.items()}, count=args.worst)
    encoded = cv2.imencode(".png", sheet(segmenter, worst)[..., ::-1])[1].tobytes()
    with export_errors(args.pictures):
        write_atomic(args.pictures, encoded)
    print(f"wrote {args.pictures} ({counted(len(worst))}, the worst first)")


def finish(args: argparse.Namespace, state_path: Path | None, text: str) -> None:
    """Write the figures where ``--json`` wants them; then the state beside them is not needed any more.

    Raises:
        ExportError: they cannot be written; the state stays.
    """
    from annotator.files.atomic import export_errors, write_atomic

    if args.json is None:
        return
    with export_errors(args.json):
        write_atomic(args.json, text.encode())
        if args.resume is None and state_path is not None:
            state_path.unlink(missing_ok=True)  # the figures are all in OUT now


def state_of(args: argparse.Namespace) -> Path | None:
    """Where finished objects are kept: the file of ``--resume``, else one beside the JSON, else nowhere."""
    if args.resume is not None:
        return Path(args.resume)
    return None if args.json is None else args.json.with_name(args.json.name + ".state")


def how_to_go_on(state_path: Path | None) -> str:
    """What is said to a person who stopped a run."""
    if state_path is None:
        return "nothing was kept; with --json OUT or --resume FILE the next run can go on where it stopped"
    return f"finished objects are kept in {state_path}; the same command goes on from there"


def conditions_of(args: argparse.Namespace) -> Conditions:
    """What the options make harder.

    Raises:
        UserError: no such degradation.
    """
    from annotator.evaluate.degrade import DEGRADATIONS
    from annotator.evaluate.run import Conditions

    if args.degrade is not None and args.degrade not in DEGRADATIONS:
        raise UserError(f"There is no degradation {args.degrade!r}.", f"Known: {', '.join(DEGRADATIONS)}.")
    return Conditions(DEGRADATIONS[args.degrade] if args.degrade else None, args.jitter)


def set_names(coco_files: list[Path]) -> list[str]:
    """A short name for each set: file stem, folder or path, the first that tells all apart (not "annotations")."""
    stems, folders = [path.stem for path in coco_files], [path.resolve().parent.name for path in coco_files]
    for names in (stems, folders):
        if len(set(names)) == len(names) and "annotations" not in names:
            return names
    if len(set(coco_files)) < len(coco_files):
        raise UserError("The same --coco file is given twice.", "Give each set once.")
    return [str(path) for path in coco_files]


def to_json(results: dict[str, EvaluationResult]) -> dict[str, Any]:
    """One set: its figures. Several: ``{"model", "sets": {name: figures}, "mean": unweighted mean of the figures}``."""
    if len(results) == 1:
        return next(iter(results.values())).to_json()
    model = next(iter(results.values())).model
    return {"model": model, "sets": {name: r.to_json() for name, r in results.items()}, "mean": mean_of(results)}


def mean_of(results: dict[str, EvaluationResult]) -> dict[str, Any]:
    """Every figure's mean over the sets, each set counting the same; ``objects`` is their sum."""
    all_of = list(results.values())

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    return {
        "objects": sum(r.objects for r in all_of),
        **{key: {k: mean([getattr(r, key)[k] for r in all_of]) for k in all_of[0].miou} for key in ("miou", "mbiou")},
        **{key: mean([getattr(r, key) for r in all_of]) for key in ("box_miou", "box_mbiou")},
        "noc": {k: mean([r.noc[k] for r in all_of]) for k in all_of[0].noc},
        **{key: mean([getattr(r, key) for r in all_of]) for key in ("encode_ms", "decode_ms")},
    }


def table(results: dict[str, EvaluationResult]) -> str:
    """Rows of text: IoU from the box and after clicks, boundary IoU, clicks needed, milliseconds."""
    rows = {name: {"objects": r.objects, **_figures(r)} for name, r in results.items()}
    if len(results) > 1:
        rows["mean"] = mean_of(results)
    last = str(max(int(k) for k in next(iter(results.values())).miou))
    shown = [str(k) for k in _SHOWN_CLICKS if k < int(last)] + [last]
    head = ["set", "objects", "box", *shown, "box bIoU", f"bIoU@{last}", "NoC80", "NoC85", "NoC90", "enc ms", "dec ms"]
    lines = [head]
    for name, row in rows.items():
        ious = [row["box_miou"], *(row["miou"][k] for k in shown), row["box_mbiou"], row["mbiou"][last]]
        counts = [row["noc"][k] for k in ("80", "85", "90")]
        times = [f"{row['encode_ms']:.0f}", f"{row['decode_ms']:.0f}"]
        lines.append([name, str(row["objects"]), *map("{:.3f}".format, ious), *map("{:.2f}".format, counts), *times])
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Rows of cells under each other: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _figures(result: EvaluationResult) -> dict[str, Any]:
    keys = ("miou", "mbiou", "box_miou", "box_mbiou", "noc", "encode_ms", "decode_ms")
    return {key: getattr(result, key) for key in keys}


def make_segmenter(args: argparse.Namespace) -> Segmenter:
    """The engine that the options name, without an adapter.

    Raises:
        ModelError: there is no such model, or GrabCut is given one.
    """
    if args.engine == "grabcut":
        if any(given is not None for given in (args.model, args.config, args.zoom, args.adapter)):
            raise ModelError("GrabCut has no models.", "Leave out --model, --config, --zoom and --adapter.")
        from annotator.engine.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    from annotator.engine.load import load_segmenter

    zoom = None if args.zoom is None else args.zoom == "on"
    model = model_for(args.model, args.adapter)
    return load_segmenter(model, device=args.device, config=args.config, zoom=zoom)


def _evaluate(segmenter: Segmenter, args: argparse.Namespace, index: int, state_path: Path | None) -> EvaluationResult:
    from annotator.commands.job_bar import run_with_bar
    from annotator.evaluate.run import evaluate_coco
    from annotator.jobs.job import Job

    def work(job: Job) -> EvaluationResult:
        def advance(done: int, total: int, newest: ObjectResult) -> None:
            job.note(f"IoU {newest.iou[0]:.2f} > {newest.iou[-1]:.2f}, box {newest.box_iou:.2f}")
            job.progress(done, total)

        return evaluate_coco(
            segmenter,
            args.coco[index],
            args.images[index],
            clicks=args.clicks or _CLICKS,
            max_objects=args.max_objects,
            seed=args.seed,
            progress=advance,
            state_path=state_path,
            conditions=conditions_of(args),
        )

    return run_with_bar(Job(set_names(args.coco)[index], unit="object"), work, stays=True, is_named=True)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 0.5")
    return value
