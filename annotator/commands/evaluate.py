"""``annotator evaluate``: clicks-to-IoU of an engine on COCO sets."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.errors import ModelError, UserError

if TYPE_CHECKING:
    from annotator.domain.ports import Segmenter
    from annotator.train.evaluate import Conditions, EvaluationResult, ObjectResult

_SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--coco", type=Path, action="append", required=True, metavar="ANN.json", help="a COCO file; may be repeated"
    )
    parser.add_argument(
        "--images", type=Path, action="append", required=True, metavar="DIR", help="its images; once for every --coco"
    )
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    parser.add_argument("--engine", choices=("sam2", "grabcut"), default="sam2", help="grabcut: the classical baseline")
    parser.add_argument("--clicks", type=_positive, default=20, help="most clicks per object (default 20)")
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
        "--resume", type=Path, metavar="FILE", help="keep finished objects here, for good, and go on from them"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate every set, print one row for each and their mean.

    Raises:
        UserError: a set, model, image or output cannot be used.
    """
    from annotator.commands.output import check_output
    from annotator.io.atomic import export_errors, write_atomic

    if len(args.coco) != len(args.images):
        raise UserError(f"{len(args.coco)} --coco and {len(args.images)} --images do not pair.", "Give one of each.")
    if args.json is not None:
        check_output(args.json)
    names = set_names(args.coco)
    conditions_of(args)
    state_path = state_of(args)
    segmenter = _segmenter(args)
    try:
        results = {name: _evaluate(segmenter, args, n, state_path) for n, name in enumerate(names)}
    except KeyboardInterrupt:
        print(f"\nannotator: {_how_to_go_on(state_path)}", file=sys.stderr)
        raise
    print(table(results))
    if args.json is not None:
        with export_errors(args.json):
            write_atomic(args.json, json.dumps(to_json(results), indent=1).encode())
            if args.resume is None and state_path is not None:
                state_path.unlink(missing_ok=True)  # the figures are all in OUT now
    return 0


def state_of(args: argparse.Namespace) -> Path | None:
    """Where finished objects are kept: the file of ``--resume``, else one beside the JSON, else nowhere."""
    if args.resume is not None:
        return Path(args.resume)
    return None if args.json is None else args.json.with_name(args.json.name + ".state")


def _how_to_go_on(state_path: Path | None) -> str:
    if state_path is None:
        return "nothing was kept; with --json OUT or --resume FILE the next run can go on where it stopped"
    return f"finished objects are kept in {state_path}; the same command goes on from there"


def conditions_of(args: argparse.Namespace) -> Conditions:
    """What the options make harder.

    Raises:
        UserError: no such degradation.
    """
    from annotator.train.degrade import DEGRADATIONS
    from annotator.train.evaluate import Conditions

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
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _figures(result: EvaluationResult) -> dict[str, Any]:
    keys = ("miou", "mbiou", "box_miou", "box_mbiou", "noc", "encode_ms", "decode_ms")
    return {key: getattr(result, key) for key in keys}


def _segmenter(args: argparse.Namespace) -> Segmenter:
    if args.engine == "grabcut":
        if args.model is not None or args.config is not None or args.zoom is not None:
            raise ModelError("GrabCut has no models.", "Leave out --model, --config and --zoom.")
        from annotator.engine.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    from annotator.engine.load import load_segmenter

    zoom = None if args.zoom is None else args.zoom == "on"
    return load_segmenter(args.model, device=args.device, config=args.config, zoom=zoom)


def _evaluate(segmenter: Segmenter, args: argparse.Namespace, index: int, state_path: Path | None) -> EvaluationResult:
    from tqdm import tqdm

    from annotator.train.evaluate import evaluate_coco

    with tqdm(desc=set_names(args.coco)[index], unit="object", file=sys.stderr) as bar:

        def advance(done: int, total: int, newest: ObjectResult) -> None:
            bar.total = total
            bar.set_postfix_str(
                f"IoU {newest.iou[0]:.2f} > {newest.iou[-1]:.2f}, box {newest.box_iou:.2f}", refresh=False
            )
            bar.update(done - bar.n)

        return evaluate_coco(
            segmenter,
            args.coco[index],
            args.images[index],
            clicks=args.clicks,
            max_objects=args.max_objects,
            seed=args.seed,
            progress=advance,
            state_path=state_path,
            conditions=conditions_of(args),
        )


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
