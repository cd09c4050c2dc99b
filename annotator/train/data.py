"""Training windows from COCO sets: images decoded once and kept, masks kept as crops, augmented on the fly.

A *window* is a piece of the model's virtual S x S canvas: the decoder's positional encoding is cut to it, so a model
can learn from cheap small windows what it will do on whole images.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask

RgbArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """A JPEG's bytes (decoded when drawn: 4 ms, against gigabytes of pixels) and its objects."""

    path: Path
    set_name: str
    masks: tuple[Mask, ...]

    def pixels(self) -> RgbArray:
        """H x W x 3 uint8 RGB."""
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise ImportFormatError(f"{self.path} cannot be decoded.", "Remove it from the training set.")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


@dataclass(frozen=True, slots=True)
class Window:
    """One augmented training example.

    Attributes:
        image: w x w x 3 float32 RGB in 0..1.
        targets: K x w x w uint8, K >= 1 objects.
        offset_xy: where the window lies on the S x S canvas, in pixels, multiples of 16.
    """

    image: npt.NDArray[np.float32]
    targets: npt.NDArray[np.uint8]
    offset_xy: tuple[int, int]


def read_coco_sets(roots: list[Path]) -> list[TrainingImage]:
    """Every image with objects of the sets ``ROOT/annotations.json`` + ``ROOT/images``; RLE masks only.

    Raises:
        ImportFormatError: a set cannot be read.
    """
    images = []
    for root in roots:
        try:
            data = json.loads((root / "annotations.json").read_text(encoding="utf-8"))
            by_image: dict[int, list[Mask]] = {}
            for annotation in data["annotations"]:
                rle = annotation["segmentation"]
                height, width = rle["size"]
                mask = Mask.from_rle(rle["counts"], width, height)
                if not mask.is_empty:
                    by_image.setdefault(annotation["image_id"], []).append(mask)
            for record in data["images"]:
                masks = by_image.get(record["id"])
                if masks:
                    images.append(TrainingImage(_image_path(root, record["file_name"]), root.name, tuple(masks)))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ImportFormatError(
                f"{root} is not a readable COCO set: {error}.", "Expected annotations.json + images/."
            ) from error
    if not images:
        raise ImportFormatError("The training sets hold no objects.", "Give at least one set with RLE masks.")
    return images


def _image_path(root: Path, file_name: str) -> Path:
    """COCO files name images from the set's folder or from its images/ folder; both are common."""
    return root / file_name if (root / file_name).is_file() else root / "images" / file_name


class WindowSampler:
    """Draws windows: the set by the square root of its images, then the image, then an anchor object.

    Args:
        canvas_px: S; window_px: side of a window, a multiple of 32, at most S.
        objects: K at most.
    """

    def __init__(self, images: list[TrainingImage], *, canvas_px: int, window_px: int, objects: int) -> None:
        self._images = images
        self._canvas_px, self._window_px, self._objects = canvas_px, window_px, objects
        names = sorted({image.set_name for image in images})
        self._by_set = [[image for image in images if image.set_name == name] for name in names]
        weights = np.array([len(group) ** 0.5 for group in self._by_set])
        self._weights = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> Window:
        """One window; draws again when an object was cut away by the window's edge."""
        while True:
            group = self._by_set[rng.choice(len(self._by_set), p=self._weights)]
            window = self._window(group[rng.integers(len(group))], rng)
            if window is not None:
                return window

    def _window(self, source: TrainingImage, rng: np.random.Generator) -> Window | None:
        pixels = source.pixels()
        height, width = pixels.shape[:2]
        anchor = source.masks[rng.integers(len(source.masks))]
        if (anchor.width, anchor.height) != (width, height):
            return None
        matrix = self._placement(anchor, width, height, rng)
        side = self._window_px
        step = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        if step > 1.4:  # shrinking: blur first, or fine texture aliases
            pixels = cv2.GaussianBlur(pixels, (0, 0), float(0.4 * step))
        flags = cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(pixels, matrix, (side, side), flags=flags | cv2.INTER_LINEAR)
        others = [m for m in source.masks if m is not anchor]
        order = rng.permutation(len(others))[: 3 * self._objects]
        targets = []
        for mask in [anchor, *(others[i] for i in order)]:
            target = warp_mask(mask, matrix, side)
            visible = int(target.sum()) * abs(np.linalg.det(matrix[:, :2])) / mask.area
            if 40 < target.sum() < 0.9 * side * side and visible > 0.4:
                targets.append(target)
            elif mask is anchor:
                return None
            if len(targets) == self._objects:
                break
        free = self._canvas_px - side
        offset = (16 * int(rng.integers(free // 16 + 1)), 16 * int(rng.integers(free // 16 + 1)))
        return Window(_colour_jitter(image, rng), np.stack(targets), offset)

    def _placement(self, anchor: Mask, width: int, height: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """2 x 3: window pixel -> image pixel (both with centres at integers, as warpAffine counts)."""
        side, canvas = self._window_px, self._canvas_px
        step_x, step_y = width / canvas, height / canvas  # the squash to the canvas
        x, y, w, h = anchor.bbox_xywh
        if side < canvas and rng.random() < 0.55:
            wanted_px = np.exp(rng.uniform(np.log(28), np.log(0.85 * side)))
            zoom = max(w / step_x, h / step_y) / wanted_px
            zoom = float(np.clip(zoom, 1 / 6, canvas / side))
        else:
            zoom = float(rng.uniform(0.7, 1.25)) if side < canvas else float(rng.uniform(0.75, 1.0))
        stretch = float(np.exp(rng.uniform(-0.2, 0.2)))
        step_x, step_y = step_x * zoom * stretch, step_y * zoom / stretch
        center_x = x + w / 2 + rng.uniform(-0.35, 0.35) * max(0.0, side * step_x - w * 0.5)
        center_y = y + h / 2 + rng.uniform(-0.35, 0.35) * max(0.0, side * step_y - h * 0.5)
        x0 = _inside(center_x - side * step_x / 2, side * step_x, width)
        y0 = _inside(center_y - side * step_y / 2, side * step_y, height)
        to_image = np.array([[step_x, 0, x0], [0, step_y, y0], [0, 0, 1.0]])
        turned = to_image @ _symmetry(side, rng)
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
        return np.asarray((np.linalg.inv(half) @ turned @ half)[:2])


def warp_mask(mask: Mask, matrix: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.uint8]:
    """The object in the window, side x side uint8 0/1; only its crop is warped, with soft edges cut at one half."""
    shifted = matrix.copy()
    shifted[:, 2] -= (mask.x - 1, mask.y - 1)
    crop = np.pad(mask.bits.astype(np.uint8) * 255, 1)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(crop, shifted, (side, side), flags=flags) > 127, np.uint8)


def _inside(start: float, length: float, size: int) -> float:
    """Move [start, start + length) into [0, size) when it fits, else centre it."""
    return (size - length) / 2 if length >= size else float(np.clip(start, 0, size - length))


def _symmetry(side: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A random flip or quarter turn of the window about its centre."""
    matrix = np.diag([rng.choice([-1.0, 1.0]), 1.0 if rng.random() < 0.7 else -1.0, 1.0])
    if rng.random() < 0.25:
        matrix = matrix @ np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]])
    center = np.array([[1, 0, side / 2], [0, 1, side / 2], [0, 0, 1.0]])
    return np.asarray(center @ matrix @ np.linalg.inv(center))


def _colour_jitter(image: RgbArray, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The looks of cameras, microscopes and X-ray: uint8 RGB -> float32 RGB 0..1."""
    if rng.random() < 0.1:
        quality = int(rng.integers(25, 80))
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if ok:
            image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    x = image.astype(np.float32) / 255.0
    if rng.random() < 0.25:
        x = np.repeat(x @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    elif rng.random() < 0.15:
        x = x[..., rng.permutation(3)]
    if rng.random() < 0.12:
        x = 1.0 - x
    if rng.random() < 0.7:
        gain = rng.uniform(0.7, 1.3, 3 if rng.random() < 0.3 else 1).astype(np.float32)
        x = x * gain + np.float32(rng.uniform(-0.12, 0.12))
    if rng.random() < 0.3:
        x = np.clip(x, 0.0, 1.0) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    if rng.random() < 0.12:
        x = cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.5, 1.8)))
    if rng.random() < 0.15:
        x = x + rng.standard_normal(x.shape, np.float32) * np.float32(rng.uniform(0.01, 0.07))
    return np.ascontiguousarray(np.clip(x, 0.0, 1.0), np.float32)
