"""A damaged COCO file into a sound project, which stays sound."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.attack import damage
from tests.attack.guard import Guard
from tests.attack.kinds.importing import import_files
from tests.unit.io.builders import disc


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """A damaged COCO file into a sound project, which stays sound."""
    document = damage.damaged_document(_coco(dice), dice)
    import_files(guard, dice, work, "coco", {"in.json": damage.as_json(document, dice)}, "in.json")


def _coco(dice: random.Random) -> dict[str, Any]:
    counts = disc(20, 20, 8).rle().decode()
    return {
        "info": {"description": damage.HTML},
        "licenses": [{"id": 1, "name": "x", "url": "http://host.invalid/"}],
        "images": [
            {"id": 1, "file_name": "1.png", "width": 64, "height": 48, "license": 1, "date_captured": "x"},
            {"id": 2, "file_name": "sub/1.png", "width": 64, "height": 48},
            {"id": 3, "file_name": dice.choice(damage.PATHS), "width": 64, "height": 48},
        ],
        "categories": [{"id": 1, "name": "cell", "supercategory": "x"}, {"id": 2, "name": damage.HTML}],
        "annotations": [
            {
                **{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 9, 9], "area": 81, "iscrowd": 0},
                "segmentation": [[10, 10, 19, 10, 19, 19, 10, 19]],
            },
            {
                **{"id": 2, "image_id": 2, "category_id": 2, "bbox": [12, 12, 16, 16], "area": 200, "iscrowd": 0},
                "segmentation": {"size": [48, 64], "counts": counts},
                "attributes": {"a": [1, {"b": None}], "score": 0.5},
            },
            {
                **{"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 1},
                "segmentation": {"size": [48, 64], "counts": [100, 20, 28, 20, 48 * 64 - 168]},
                "score": 0.7,
            },
        ],
    }
