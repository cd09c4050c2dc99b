"""Small generated COCO sets for training tests: bright ellipses on dark, textured ground."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from annotator.domain.mask import Mask


def write_set(root: Path, *, images: int = 4, side: int = 96, seed: int = 0) -> Path:
    """``root/annotations.json`` (compressed RLE) and ``root/images/*.png`` with two objects each."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        picture = rng.integers(20, 60, (side, side, 3), dtype=np.uint8)
        for quarter in (0.28, 0.72):
            full = np.zeros((side, side), np.uint8)
            center = (int(side * quarter), int(side * rng.uniform(0.3, 0.7)))
            axes = tuple(int(v) for v in rng.uniform(0.12, 0.2, 2) * side)
            cv2.ellipse(full, center, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
            picture[full > 0] = (200, 210, 220)
            mask = Mask.from_full(full)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "segmentation": {"size": [side, side], "counts": mask.rle().decode()},
                }
            )
        name = f"{image_id}.png"
        cv2.imwrite(str(root / "images" / name), picture)
        records.append({"id": image_id, "file_name": name, "width": side, "height": side})
    text = json.dumps({"images": records, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]})
    (root / "annotations.json").write_text(text, encoding="utf-8")
    return root
