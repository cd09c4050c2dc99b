"""Where the embedded model fails, drawn on the sample images: ``python -m annotator.studies.failures OUT.jpg``.

The model card shows the sheet. The images are scikit-image's and pydicom's, so that it may be shown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.load import load_segmenter
from annotator.io.images.reading import load_image
from annotator.io.images.samples import write_samples

TILE_WIDTH_PX, TILE_HEIGHT_PX, CAPTION_PX, GAP_PX = 300, 240, 28, 10
COLUMNS = 4
PROMPT_RGB, ANSWER_RGB, INK_RGB, PAPER_RGB = (60, 220, 90), (255, 90, 40), (30, 36, 44), (250, 250, 250)


@dataclass(frozen=True, slots=True)
class Failure:
    """A prompt that the model answers badly, in the image's pixels, and what is wrong."""

    image: str
    prompts: Prompts
    caption: str


FAILURES = (
    Failure("motorcycle.png", Prompts(box=Box(60, 100, 650, 430)), "box: parts of many colours"),
    Failure("coffee.png", Prompts(box=Box(140, 60, 440, 330)), "box: like its surroundings"),
    Failure("rocket.jpg", Prompts((PointPrompt(90, 120),)), "click: lattice, thin parts"),
    Failure("astronaut.png", Prompts((PointPrompt(420, 180),)), "click: object in parts"),
    Failure("astronaut.png", Prompts((PointPrompt(100, 400),)), "click: cut by the image's edge"),
    Failure("coins.png", Prompts((PointPrompt(110, 80),)), "click: ground between objects"),
    Failure("ct-head.dcm", Prompts((PointPrompt(256, 256),)), "click: soft tissue in CT"),
    Failure("ihc.png", Prompts((PointPrompt(250, 250),)), "click: tissue without borders"),
)


def sheet(segmenter: Segmenter, folder: Path) -> npt.NDArray[np.uint8]:
    """All failures side by side, H x W x 3 RGB: prompt green, answer orange, its IoU as the model predicts it."""
    tiles = [_tile(segmenter, folder, failure) for failure in FAILURES]
    return np.vstack([np.hstack(tiles[first : first + COLUMNS]) for first in range(0, len(tiles), COLUMNS)])


def _tile(segmenter: Segmenter, folder: Path, failure: Failure) -> npt.NDArray[np.uint8]:
    image = load_image(folder / failure.image)
    answer = segmenter.decode(segmenter.encode(image.rgb, image.image_key), failure.prompts).chosen
    scale = min(TILE_WIDTH_PX / image.width, TILE_HEIGHT_PX / image.height)
    size = (round(image.width * scale), round(image.height * scale))
    shown = cv2.resize(image.rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    bits = cv2.resize(answer.mask.full().astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    rings, _ = cv2.findContours(bits, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, rings, -1, ANSWER_RGB, 2, cv2.LINE_AA)
    for point in failure.prompts.points:
        cv2.circle(shown, (round(point.x * scale), round(point.y * scale)), 5, PROMPT_RGB, -1, cv2.LINE_AA)
    if failure.prompts.box is not None:
        x0, y0, x1, y1 = (round(v * scale) for v in failure.prompts.box.as_xyxy())
        cv2.rectangle(shown, (x0, y0), (x1, y1), PROMPT_RGB, 2)
    tile = np.empty((TILE_HEIGHT_PX + CAPTION_PX + GAP_PX, TILE_WIDTH_PX + GAP_PX, 3), np.uint8)
    tile[:] = PAPER_RGB
    left, top = (TILE_WIDTH_PX - size[0]) // 2, (TILE_HEIGHT_PX - size[1]) // 2
    tile[top : top + size[1], left : left + size[0]] = shown
    caption = f"{failure.caption}; predicted {answer.predicted_iou:.2f}"
    cv2.putText(tile, caption, (4, TILE_HEIGHT_PX + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK_RGB, 1, cv2.LINE_AA)
    return tile


def main(argv: Sequence[str] | None = None) -> int:
    """Write the sheet to the file that the command line names."""
    parser = argparse.ArgumentParser(description="draw prompts that the embedded model answers badly")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="nano")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        pixels = sheet(load_segmenter(args.model), write_samples(Path(place) / "samples"))
    args.out.write_bytes(cv2.imencode(args.out.suffix, pixels[..., ::-1])[1].tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
