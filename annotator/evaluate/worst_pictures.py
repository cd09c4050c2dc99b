"""A sheet of the worst answers of an evaluation: the object's true outline and the model's, from the box alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray, Segmenter
from annotator.domain.prompt import Prompts
from annotator.evaluate.objects import EvaluationObject
from annotator.evaluate.run import ObjectResult
from annotator.io.project.windows import AsShown

TILE_PX = 240
CAPTION_PX = 26
GAP_PX = 6
COLUMNS = 4
CONTEXT = 1.5
"""Side of what is shown over the longer side of the object's box."""
TRUE_RGB, ANSWER_RGB = (60, 220, 90), (255, 90, 40)
PAPER_RGB, INK_RGB = (250, 250, 250), (30, 36, 44)


@dataclass(frozen=True, slots=True)
class WorstAnswer:
    """One object of a set with what the evaluation found."""

    set_name: str
    item: EvaluationObject
    result: ObjectResult


def worst_of(
    objects: Mapping[str, Sequence[EvaluationObject]], results: Mapping[str, Sequence[ObjectResult]], *, count: int
) -> list[WorstAnswer]:
    """The lowest IoU from the box, at most one object per image, over all sets.

    Args:
        objects, results: by set name; objects without a result are passed over.
    """
    found: list[WorstAnswer] = []
    for name, items in objects.items():
        by_id = {result.annotation_id: result for result in results[name]}
        found += [WorstAnswer(name, item, by_id[item.id]) for item in items if item.id in by_id]
    found.sort(key=lambda one: one.result.box_iou)
    chosen: list[WorstAnswer] = []
    seen: set[str] = set()
    for one in found:
        if str(one.item.image.path) not in seen:
            seen.add(str(one.item.image.path))
            chosen.append(one)
    return chosen[:count]


def sheet(segmenter: Segmenter, worst: Sequence[WorstAnswer]) -> RgbArray:
    """The objects beside each other, worst first, each with its set and its IoU; H x W x 3 uint8.

    Raises:
        ImageError: an image cannot be read any more.
    """
    tiles, as_shown = [], AsShown()
    for one in worst:
        image = as_shown.load(one.item.image.path, frame=one.item.image.frame)
        truth = one.item.mask()
        x, y, w, h = truth.bbox_xywh
        embedding = segmenter.encode(image.rgb, image.image_key)
        answer = segmenter.decode(embedding, Prompts(box=Box(x, y, x + w, y + h))).chosen.mask
        tiles.append(_tile(image.rgb, truth, answer, f"{one.set_name[:20]}  {answer.iou(truth):.2f}"))
    while len(tiles) % COLUMNS and len(tiles) > COLUMNS:
        tiles.append(np.full_like(tiles[0], PAPER_RGB[0]))
    rows = [np.hstack(tiles[first : first + COLUMNS]) for first in range(0, len(tiles), COLUMNS)]
    return np.ascontiguousarray(np.vstack(rows))


def _tile(image: RgbArray, truth: Mask, answer: Mask, caption: str) -> npt.NDArray[np.uint8]:
    x, y, w, h = truth.bbox_xywh
    side = max(8, round(max(w, h) * CONTEXT))
    x0, y0 = max(0, x + w // 2 - side // 2), max(0, y + h // 2 - side // 2)
    cut = image[y0 : y0 + side, x0 : x0 + side]
    scale = TILE_PX / max(cut.shape[:2])
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    shown = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    for mask, colour in ((truth, TRUE_RGB), (answer, ANSWER_RGB)):
        bits = mask.full()[y0 : y0 + side, x0 : x0 + side].astype(np.uint8)
        resized = cv2.resize(bits, size, interpolation=cv2.INTER_NEAREST)
        rings, _ = cv2.findContours(resized, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shown, rings, -1, colour, 2, cv2.LINE_AA)
    tile = np.empty((TILE_PX + CAPTION_PX + GAP_PX, TILE_PX + GAP_PX, 3), np.uint8)
    tile[:] = PAPER_RGB
    top, left = (TILE_PX - shown.shape[0]) // 2, (TILE_PX - shown.shape[1]) // 2
    tile[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    cv2.putText(tile, caption, (4, TILE_PX + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK_RGB, 1, cv2.LINE_AA)
    return tile
