"""``annotator predict``: one object of one image from prompts, for scripts."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.answering.asking import ask_at_once, ask_stepwise, check_prompts
from annotator.domain.brevity import brief
from annotator.domain.cues.cue import Cue
from annotator.domain.cues.rows import KINDS, cue_from_json, cue_to_json
from annotator.domain.errors import ExportError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt

if TYPE_CHECKING:
    from annotator.domain.ports.engine import Candidate, ModelInfo

_SUFFIXES = (".png", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE", help="an image file")
    parser.add_argument(
        "--point",
        type=parse_point,
        action="append",
        default=[],
        metavar="X,Y[,0|1]",
        help="a click in image pixels; 1 (default) on the object, 0 on what is not part of it; may be repeated",
    )
    parser.add_argument("--box", type=parse_box, metavar="X1,Y1,X2,Y2", help="a box round the object in image pixels")
    parser.add_argument(
        "--cue",
        type=parse_cue,
        action="append",
        default=[],
        metavar="JSON",
        help="a prompt of another kind, after the points: "
        + ", ".join(json.dumps(cue_to_json(kind.example())) for kind in KINDS)
        + "; may be repeated",
    )
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="ask all prompts in one question, exactly as SAM 2's own predictor answers it; without this, as in the "
        "window: the box first, then one click after the other, each answer fed to the next question",
    )
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="mask.png|objects.json",
        help="a PNG (0 outside, 255 inside) or COCO's JSON with the mask as run lengths",
    )


def run(args: argparse.Namespace) -> int:
    """Segment, write, and say what was found.

    Raises:
        UserError: no prompts or some outside the image, an unreadable image or model, an output that cannot be written.
    """
    from annotator.commands.output import check_output
    from annotator.files.atomic import export_errors, write_atomic
    from annotator.io.project.windows import AsShown

    out: Path = args.out
    if out.suffix.lower() not in _SUFFIXES:
        raise ExportError(f"{brief(out)} has an unknown kind.", "Name a .png or a .json file.")
    points = [*args.point, *(click for cue in args.cue for click in cue.clicks())]
    if not points and args.box is None:
        raise PromptError("There is no prompt.", "Give --point X,Y, --box X1,Y1,X2,Y2 or --cue JSON.")
    check_output(out, sources=(args.image, args.model))
    image = AsShown().load(args.image)
    check_prompts(points, args.box, width=image.width, height=image.height)
    if image.note:
        print(f"annotator: {brief(args.image.name)}: {image.note}", file=sys.stderr)

    from annotator.engine.load import load_segmenter

    segmenter = load_segmenter(args.model, device=args.device, config=args.config)
    for note in notes_on(segmenter.info):
        print(f"annotator: {note}", file=sys.stderr)
    ask = ask_at_once if args.at_once else ask_stepwise
    chosen = ask(segmenter, segmenter.encode(image.rgb, image.image_key), points, args.box).chosen
    if out.suffix.lower() == ".png":
        data = _png(chosen)
    else:
        data = json.dumps(_coco(chosen, args.image.name, segmenter.info), indent=1).encode()
    with export_errors(out):
        write_atomic(out, data)
    if chosen.mask.is_empty:
        print("The model found nothing at these prompts: the mask is empty.", file=sys.stderr)
    x, y, w, h = chosen.mask.bbox_xywh
    print(f"{out}: {chosen.mask.area} px, box {x},{y},{x + w},{y + h}, predicted IoU {chosen.predicted_iou:.2f}")
    return 0


def parse_point(text: str) -> PointPrompt:
    """``X,Y`` or ``X,Y,0|1``.

    Raises:
        argparse.ArgumentTypeError
    """
    parts = text.split(",")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2].strip() not in ("0", "1")):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y or X,Y,0 or X,Y,1")
    x, y = _numbers(parts[:2], text)
    return PointPrompt(x, y, len(parts) == 2 or parts[2].strip() == "1")


def parse_cue(text: str) -> Cue:
    """``{"kind": name, ...}``, as in project files and over HTTP.

    Raises:
        argparse.ArgumentTypeError
    """
    try:
        return cue_from_json(json.loads(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no prompt: {error}") from None


def parse_box(text: str) -> Box:
    """``X1,Y1,X2,Y2``: two opposite corners, the first one above and left of the second.

    Raises:
        argparse.ArgumentTypeError
    """
    parts = text.split(",")
    if len(parts) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not X1,Y1,X2,Y2")
    box = Box(*_numbers(parts, text))
    if box.width <= 0 or box.height <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is an empty box: X2 and Y2 are a corner, not a width and height")
    return box


def notes_on(model: ModelInfo) -> list[str]:
    """What a person should know of the model before relying on its masks; usually nothing."""
    unverified = f"{model.name} is not verified: its SHA-256 {model.sha256[:12]}… is that of no known model."
    notes = [] if model.is_verified else [unverified]
    # The engine's own note says the same of an unverified file; another one (the device) stands beside it.
    return notes + ([model.note] if model.note and "not verified" not in model.note else [])


def _numbers(parts: list[str], text: str) -> list[float]:
    try:
        values = [float(part) for part in parts]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} holds something that is not a number") from None
    if not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(f"{text!r} holds a number that is not finite")
    return values


def _png(chosen: Candidate) -> bytes:
    import cv2
    import numpy as np

    is_encoded, data = cv2.imencode(".png", chosen.mask.full().astype(np.uint8) * 255)
    if not is_encoded:
        raise ExportError("The mask cannot be encoded as PNG.", "Write a .json file instead.")
    return bytes(data)


def _coco(chosen: Candidate, file_name: str, model: ModelInfo) -> dict[str, Any]:
    mask = chosen.mask
    annotation = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "area": mask.area,
        "bbox": list(mask.bbox_xywh),
        "segmentation": {"size": [mask.height, mask.width], "counts": mask.rle().decode("ascii")},
        "score": round(float(chosen.predicted_iou), 4),
    }
    return {
        "info": {"description": "annotator predict", "model": model.name, "model_sha256": model.sha256},
        "images": [{"id": 1, "file_name": file_name, "width": mask.width, "height": mask.height}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [annotation],
    }
