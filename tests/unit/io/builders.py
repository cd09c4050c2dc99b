"""Small projects and objects for the tests of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, accept_edit
from annotator.io.project.store import ProjectStore

WIDTH, HEIGHT = 64, 48


def image_folder(root: Path, names: tuple[str, ...] = ("1.png", "2.png", "sub/1.png")) -> Path:
    """A folder of 64 x 48 images, each of its own grey."""
    folder = root / "set"
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (10 * number, 20, 30)).save(file)
    return folder


def disc(cx: float, cy: float, r: float, *, hole: float = 0.0) -> Mask:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distance = np.hypot(x - cx, y - cy)
    return Mask.from_full((distance < r) & (distance >= hole))


def annotation(store: ProjectStore, image_id: int, mask: Mask, **fields: Any) -> Annotation:
    values: dict[str, Any] = {
        **{"id": store.new_id("annotation"), "image_id": image_id, "category_id": 1, "x": 0, "y": 0, "w": 0, "h": 0},
        **{"area": 0, "rle": b"", "image_width": mask.width, "image_height": mask.height},
        **fields,
    }
    return Annotation(**values).with_mask(mask)


def accept(store: ProjectStore, image_id: int, mask: Mask, **fields: Any) -> Annotation:
    """Accept an object as the window does."""
    made = annotation(store, image_id, mask, **fields)
    store.apply(accept_edit(made, store.image(image_id)))
    return made


def document(store: ProjectStore) -> tuple[Any, ...]:
    """Everything that undo has to restore, comparable."""
    return store.images(), store.categories(), list(store.all_annotations())
