"""``annotator study-clicks``: are the proposed clicks worth following? Simulated annotators on real objects."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.commands.adapter_option import adapter_path, add_adapter_argument, model_for
from annotator.domain.errors import UserError

if TYPE_CHECKING:
    from annotator.engine.sam2.segmenter import Sam2Segmenter
    from annotator.engine.zoom.segmenter import ZoomSegmenter
    from annotator.studies.next_click_study import ObjectStudy
    from annotator.train.data.sources import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sets", nargs="+", type=Path, metavar="SET", help="COCO sets (annotations.json + images) or projects"
    )
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    add_adapter_argument(parser, help_text="decode with this adapter, and use its proposals")
    parser.add_argument("--max-objects", type=int, metavar="N", help="a fixed subset of each set")
    parser.add_argument("--clicks", type=int, default=20, help="most clicks per object (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the subset and the random annotators (default 0)")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="OUT",
        help="write all figures, also per object; until then finished objects are kept in OUT.state, and the same "
        "command goes on from them",
    )


def run(args: argparse.Namespace) -> int:
    """Study every set and print its tables; with several sets also those of all together.

    Raises:
        UserError: a set, model, adapter, image or output cannot be used.
    """
    from annotator.commands.output import check_output
    from annotator.engine.load import load_sam2_segmenter
    from annotator.files.atomic import export_errors, write_atomic
    from annotator.studies.next_click_table import figures
    from annotator.train.data.sources import read_source

    if args.clicks < 1 or (args.max_objects is not None and args.max_objects < 1):
        raise UserError("At least one click and one object are needed.", "Give --clicks and --max-objects above 0.")
    if args.json is not None:
        annotations = [path / "annotations.json" for path in args.sets]
        check_output(args.json, sources=(*args.sets, *annotations, args.model, args.adapter))
    sources = [read_source(path) for path in args.sets]
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UserError("Two of the sets have the same name.", "Give each set once, in folders of different names.")
    segmenter = load_sam2_segmenter(model_for(args.model, args.adapter), device=args.device, config=args.config)
    adapter = None if args.adapter is None else adapter_path(args.adapter)
    adapter_sha256 = "" if adapter is None else _put_in(adapter, segmenter)
    state_path = None if args.json is None else args.json.with_name(args.json.name + ".state")
    found = {source.name: _studied(args, segmenter, source, adapter_sha256, state_path) for source in sources}
    tables = {name: figures([results], clicks=args.clicks) for name, results in found.items()}
    if len(found) > 1:
        tables["all"] = figures(list(found.values()), clicks=args.clicks)
    print("\n\n".join(table.markdown(name) for name, table in tables.items()))
    if args.json is not None:
        data = {
            "model": segmenter.info.name,
            "adapter": None if adapter is None else adapter.stem,
            "figures": {name: table.to_json() for name, table in tables.items()},
            "per_object": {name: [_plain(item) for item in results] for name, results in found.items()},
        }
        with export_errors(args.json):
            write_atomic(args.json, json.dumps(data, indent=1).encode())
            if state_path is not None:
                state_path.unlink(missing_ok=True)  # the figures are all in OUT now
    return 0


def _put_in(path: Path, segmenter: Sam2Segmenter | ZoomSegmenter) -> str:
    """Put the adapter into the segmenter; its file's SHA-256."""
    from annotator.engine.sam2.adapter_files import load_adapter
    from annotator.engine.weights import sha256_of

    segmenter.set_adapter(load_adapter(path, base=segmenter.info, device=segmenter.device))
    return sha256_of(path)


def _studied(
    args: argparse.Namespace,
    segmenter: Sam2Segmenter | ZoomSegmenter,
    source: Source,
    adapter_sha256: str,
    state_path: Path | None,
) -> list[ObjectStudy]:
    from annotator.commands.job_bar import run_with_bar
    from annotator.evaluate.objects import EvaluationSet
    from annotator.jobs.job import Job
    from annotator.studies.next_click_study import study_set

    def work(job: Job) -> list[ObjectStudy]:
        return study_set(
            segmenter,
            EvaluationSet(source.objects, source.digest),
            clicks=args.clicks,
            max_objects=args.max_objects,
            seed=args.seed,
            progress=lambda done, total, _newest: job.progress(done, total),
            state_path=state_path,
            adapter_sha256=adapter_sha256,
        )

    return run_with_bar(Job(source.name, unit="object"), work, stays=True, is_named=True)


def _plain(item: ObjectStudy) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(item)
