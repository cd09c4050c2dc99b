"""Damaged objects of videos (COCO video, YouTube-VIS, DAVIS) into a sound project."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests import fuzz_images
from tests.attack import damage
from tests.attack.guard import Guard
from tests.attack.kinds.importing import import_files
from tests.unit.io.builders import disc

_FRAMES = ("1.png", "2.png")


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """Damaged objects of videos into a sound project."""
    kind = dice.choice(("coco-video", "youtube-vis", "davis"))
    if kind == "davis":
        import_files(guard, dice, work, kind, _davis(dice), "Annotations")
        return
    document = _coco(dice) if kind == "coco-video" else _youtube(dice)
    if dice.random() < 0.9:
        document = damage.damaged_document(document, dice)
    import_files(guard, dice, work, kind, {"in.json": damage.as_json(document, dice)}, "in.json")


def _mask() -> dict[str, Any]:
    return {"size": [48, 64], "counts": disc(20, 20, 8).rle().decode()}


def _coco(dice: random.Random) -> dict[str, Any]:
    name = dice.choice(("set", "", *damage.PATHS))
    return {
        "videos": [{"id": 1, "name": name, "length": dice.choice((2, 0, *damage.NUMBERS))}],
        "images": [
            {"id": at + 1, "file_name": file, "width": 64, "height": 48, "video_id": 1, "frame_id": at}
            for at, file in enumerate((*_FRAMES, dice.choice(damage.PATHS)))
        ],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": damage.HTML}],
        "annotations": [
            {
                **{"id": at, "image_id": 1 + at % 2, "video_id": 1, "category_id": 1, "segmentation": _mask()},
                **{"track_id": dice.choice((1, 2, *damage.NUMBERS)), "bbox": [12, 12, 16, 16], "iscrowd": 0},
            }
            for at in range(4)
        ],
    }


def _youtube(dice: random.Random) -> dict[str, Any]:
    names = [*_FRAMES, *([dice.choice(damage.PATHS)] if dice.random() < 0.4 else [])]
    return {
        "videos": [{"id": 1, "file_names": names, "width": 64, "height": 48, "length": len(names)}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {
                **{"id": at + 1, "video_id": 1, "category_id": 1, "iscrowd": 0},
                "segmentations": [_mask(), dice.choice((None, _mask(), damage.any_value(dice)))] * dice.choice((1, 2)),
                "bboxes": [[12, 12, 16, 16], None],
                "areas": [200, None],
            }
            for at in range(2)
        ],
    }


def _davis(dice: random.Random) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    folder = dice.choice(("set", "sub", "x"))
    for number in range(dice.randint(1, 3)):
        values = np.zeros((48, 64), np.uint8)
        values[10:20, 10:30] = dice.choice((1, 2, 254, 255))
        out = io.BytesIO()
        picture = Image.fromarray(values if dice.random() < 0.7 else np.repeat(values, 2, 1))
        picture.convert(dice.choice(("P", "L", "I;16", "RGB"))).save(out, "PNG")
        data = out.getvalue()
        if dice.random() < 0.5:
            data = fuzz_images.damaged([data], np.random.default_rng(dice.getrandbits(32)))
        files[f"Annotations/{folder}/{number + 1}.png"] = data
    if dice.random() < 0.6:
        objects = {"1": {"category": dice.choice(damage.TEXTS), "track_id": dice.choice(damage.NUMBERS)}}
        meta = {"videos": {folder: {"objects": objects}}}
        files["meta.json"] = damage.as_json(damage.damaged_document(meta, dice), dice)
    return files
