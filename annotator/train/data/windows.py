"""Training windows from COCO sets: images read when drawn, masks kept as crops, augmented on the fly.

A *window* is what the model will get in use: a whole image, or the piece round an object that zoom-in cuts out. Early
stages draw the same windows with fewer pixels; positions are shares of the window, so nothing else changes.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.zoom import Region, zoom_region
from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.io.formats.coco.folder_set import open_folder_set
from annotator.io.images.reading import load_image
from annotator.train.data.looks import colour_jitter
from annotator.train.data.pixels import PixelSource, RamPixels

_log = logging.getLogger(__name__)

RgbArray = npt.NDArray[np.uint8]
ZOOMED_SHARE = 0.55
"""Windows that are zoom-in pieces."""
CLICKED_SHARE = 0.2
"""Windows round a click, of any size: a first click says where to look but not how closely. The rest are whole
images."""
PASTED_SHARE = 0.3
"""Windows into which an object of another image is pasted (Ghiasi et al., CVPR 2021): few images, many scenes."""
GREY_SHARE = 0.25
"""Windows that lose their colour: microscopes and X-ray have none."""
LEAST_VISIBLE = 0.15
"""Share of an object that a window must show; how much it hides, the predicted IoU has to tell."""

MOST_TRIES = 1000
"""Draws of one window before the set is said to hold nothing that can be seen; a usual set needs two or three."""


@dataclass(frozen=True, slots=True)
class WindowRecipe:
    """What can be set about the windows that are drawn.

    Attributes:
        pasted_share, grey_share: of the windows; see ``PASTED_SHARE`` and ``GREY_SHARE``.
        hard_sets: exponent of how wrong a set still is; 0 draws sets by size alone.
        grey_window_share: of the grey windows, those that show a part of the grey values or have little contrast, as
            scans do.
        set_factors: names of sets and how many times as often they are drawn.
    """

    pasted_share: float = PASTED_SHARE
    grey_share: float = GREY_SHARE
    hard_sets: float = 1.0
    grey_window_share: float = 0.0
    set_factors: tuple[tuple[str, float], ...] = ()


DEFAULT_RECIPE = WindowRecipe()


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """An image of any kind that the program reads (a photograph, 16 bit, DICOM, a page, ...), as it is shown to the
    person, and its objects. It is decoded when drawn: a few milliseconds, against gigabytes of pixels."""

    path: Path
    set_name: str
    masks: tuple[Mask, ...]
    frame: int = 0

    @property
    def decoding(self) -> str:
        """Names how the file becomes pixels: other frames are other images."""
        return f"as shown#{self.frame}"

    @property
    def nbytes(self) -> int:
        """Of the pixels, by the masks' size."""
        return self.masks[0].width * self.masks[0].height * 3

    def pixels(self) -> RgbArray:
        """H x W x 3 uint8 RGB, read-only; a reader process decodes them.

        Raises:
            ImageError: it cannot be read.
        """
        return load_image(self.path, frame=self.frame).rgb


@dataclass(frozen=True, slots=True)
class Window:
    """One augmented training example.

    Attributes:
        image: w x w x 3 float32 RGB in 0..1.
        targets: K x w x w uint8, K >= 1 objects.
        hidden_px: K float32 >= 0, each object's area beyond the window in the window's pixels.
        set_name: where the image is from.
    """

    image: npt.NDArray[np.float32]
    targets: npt.NDArray[np.uint8]
    hidden_px: npt.NDArray[np.float32]
    set_name: str


def read_coco_sets(roots: list[Path]) -> list[TrainingImage]:
    """Every image with usable objects of the sets ``ROOT/annotations.json`` + ``ROOT/images``: what an import takes,
    without crowds. What is left out is logged, a line for each reason.

    Raises:
        ImportFormatError: a set cannot be read, or there is no object in any of them.
    """
    images: list[TrainingImage] = []
    empty: ImportFormatError | None = None
    for root in roots:
        found = open_folder_set(root / "annotations.json", images_dir(root))
        masks: dict[int, list[Mask]] = {}
        for _, item in found.objects():
            masks.setdefault(item.image.id, []).append(item.mask)
        for line in found.remarks():
            _log.warning("%s: %s", root.name, line)
        images.extend(
            TrainingImage(found.path_of(image), root.name, tuple(masks[image.id]))
            for image in found.images.by_id.values()
            if image.id in masks
        )
        empty = empty if masks else found.nothing()
    if not images:
        raise empty or ImportFormatError("The training sets hold no objects.", "Give at least one set with masks.")
    return images


def images_dir(root: Path) -> Path:
    """Where a set's images are: in its folder ``images`` when there is one, else in its own."""
    return root / "images" if (root / "images").is_dir() else root


def most_drawn_first(images: list[TrainingImage]) -> list[TrainingImage]:
    """The images of small sets before those of large ones: each of them is drawn more often."""
    counts = Counter(image.set_name for image in images)
    return sorted(images, key=lambda image: (counts[image.set_name], image.set_name))


class WindowSampler:
    """Draws windows: the set by the square root of its images and how hard it is, then the image, then an object.

    Args:
        window_px: side of a window, a multiple of 32.
        objects: K at most.
        pixels: decodes and keeps images; None keeps them in memory up to 3 GiB.
    """

    def __init__(
        self,
        images: list[TrainingImage],
        *,
        window_px: int,
        objects: int,
        pixels: PixelSource | None = None,
        recipe: WindowRecipe = DEFAULT_RECIPE,
    ) -> None:
        self._source = RamPixels() if pixels is None else pixels
        self._recipe = recipe
        self._window_px, self._objects = window_px, objects
        names = sorted({image.set_name for image in images})
        self._by_set = [[image for image in images if image.set_name == name] for name in names]
        self._names = names
        factors = dict(recipe.set_factors)
        sizes = [len(group) ** 0.5 for group in self._by_set]
        self._by_size = np.array(sizes) * [factors.get(name, 1.0) for name in names]

    def set_weights(self, iou_by_set: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """How often each set (by name, sorted) is drawn: by its size and by what is still wrong with it; sum 1.

        Args:
            iou_by_set: running means in 0..1; sets that are missing count as the mean of the others.
        """
        known = float(np.mean(list(iou_by_set.values()))) if iou_by_set else 0.5
        wrong = np.array([max(0.05, 1.0 - iou_by_set.get(name, known)) for name in self._names])
        weights = self._by_size * wrong**self._recipe.hard_sets
        return np.asarray(weights / weights.sum(), np.float64)

    def draw(self, rng: np.random.Generator, weights: npt.NDArray[np.float64]) -> Window:
        """One window; draws again when an object was cut away by the window's edge.

        Raises:
            ImageError: an image cannot be decoded.
            ImportFormatError: one is not of its masks' size, or no object fits a window.
        """
        for _ in range(MOST_TRIES):
            group = self._by_set[rng.choice(len(self._by_set), p=weights)]
            window = self._window(group[rng.integers(len(group))], rng, weights)
            if window is not None:
                return window
        raise ImportFormatError(
            f"{MOST_TRIES} tries found no object that shows in a window of {self._window_px} pixels.",
            "Leave out objects that are a few pixels thin or fill their images, or train with larger windows.",
        )

    def _pixels(self, source: TrainingImage) -> RgbArray:
        """The image's pixels.

        Raises:
            ImageError: it cannot be decoded. ImportFormatError: it is not of its masks' size.
        """
        pixels = self._source.pixels(source)
        height, width = pixels.shape[:2]
        other = next((mask for mask in source.masks if (mask.width, mask.height) != (width, height)), None)
        if other is not None:
            raise ImportFormatError(
                f"{brief(source.path)} is {width} x {height} pixels, a mask of it is {other.width} x {other.height}.",
                "They belong to another version of the image: correct the set, or leave the image out.",
            )
        return pixels

    def _window(
        self, source: TrainingImage, rng: np.random.Generator, weights: npt.NDArray[np.float64]
    ) -> Window | None:
        pixels = self._pixels(source)
        height, width = pixels.shape[:2]
        anchor = source.masks[rng.integers(len(source.masks))]
        matrix = self._placement(anchor, width, height, rng)
        side = self._window_px
        step = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        image = _warp_pixels(pixels, matrix, side, step)
        others = [m for m in source.masks if m is not anchor]
        order = rng.permutation(len(others))[: 3 * self._objects]
        targets, hidden = [], []
        for mask in [anchor, *(others[i] for i in order)]:
            target = warp_mask(mask, matrix, side)
            seen_px, whole_px = int(target.sum()), mask.area / step**2
            if 40 < seen_px < 0.95 * side * side and seen_px > LEAST_VISIBLE * whole_px:
                targets.append(target)
                hidden.append(max(0.0, whole_px - seen_px) if _is_cut(target) else 0.0)
            elif mask is anchor:
                return None
            if len(targets) == self._objects:
                break
        if rng.random() < self._recipe.pasted_share:
            group = self._by_set[rng.choice(len(self._by_set), p=weights)]
            other = group[rng.integers(len(group))]
            image, targets, hidden = self._paste(other, image, targets, hidden, rng)
        jittered = colour_jitter(image, rng, self._recipe.grey_share, grey_window_share=self._recipe.grey_window_share)
        return Window(jittered, np.stack(targets), np.array(hidden, np.float32), source.set_name)

    def _paste(
        self,
        source: TrainingImage,
        image: RgbArray,
        targets: list[npt.NDArray[np.uint8]],
        hidden: list[float],
        rng: np.random.Generator,
    ) -> tuple[RgbArray, list[npt.NDArray[np.uint8]], list[float]]:
        """An object of another image over this window, as one more target; the others lose what it covers.

        The window stays as it is where one of its own objects would mostly disappear.
        """
        mask = source.masks[rng.integers(len(source.masks))]
        pixels, side = self._pixels(source), self._window_px
        if mask.area < 400:
            return image, targets, hidden
        length = side * float(np.exp(rng.uniform(np.log(0.15), np.log(0.75))))
        step = max(mask.bits.shape) / length
        if step < 0.4:  # enlarged that much it would be nothing but blur
            return image, targets, hidden
        x, y, w, h = mask.bbox_xywh
        place = rng.uniform(0.1 * side, 0.9 * side, 2)
        sign = rng.choice([-1.0, 1.0])
        matrix = np.array(
            [[sign * step, 0, x + w / 2 - sign * step * place[0]], [0, step, y + h / 2 - step * place[1]]]
        )
        pasted = warp_mask(mask, matrix, side)
        left = [target & ~pasted.astype(bool) for target in targets]
        if pasted.sum() < 40 or any(
            new.sum() < max(40, 0.5 * old.sum()) for new, old in zip(left, targets, strict=True)
        ):
            return image, targets, hidden
        edge = cv2.GaussianBlur(pasted.astype(np.float32), (0, 0), 0.7)[..., None]
        mixed = edge * _warp_pixels(pixels, matrix, side, step) + (1 - edge) * image
        missing = max(0.0, mask.area / step**2 - float(pasted.sum())) if _is_cut(pasted) else 0.0
        kept = [(pasted, missing), *zip(left, hidden, strict=True)]
        order = rng.permutation(len(kept))[: self._objects]
        return mixed.astype(np.uint8), [kept[i][0] for i in order], [kept[i][1] for i in order]

    def _placement(self, anchor: Mask, width: int, height: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """2 x 3: window pixel -> image pixel (both with centres at integers, as warpAffine counts)."""
        side = self._window_px
        region = Region(0, 0, width, height)
        kind = rng.random()
        if kind < ZOOMED_SHARE:
            region = zoom_region(_jittered(anchor, rng), width=width, height=height, margin=_margin(rng))
        elif kind < ZOOMED_SHARE + CLICKED_SHARE:
            region = zoom_region(_round_click(anchor, rng), width=width, height=height, margin=1.0)
        keep = rng.uniform(0.85, 1.0, 2)  # a little less of it, at a random place: stretches and shifts
        step_x, step_y = keep[0] * region.width / side, keep[1] * region.height / side
        x0 = region.x0 + rng.uniform(0, 1 - keep[0]) * region.width
        y0 = region.y0 + rng.uniform(0, 1 - keep[1]) * region.height
        to_image = np.array([[step_x, 0, x0], [0, step_y, y0], [0, 0, 1.0]])
        turned = to_image @ _symmetry(side, rng)
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
        return np.asarray((np.linalg.inv(half) @ turned @ half)[:2])


def _jittered(anchor: Mask, rng: np.random.Generator) -> Box:
    """The object's box as a first answer or a hasty drag would have it."""
    x, y, w, h = anchor.bbox_xywh
    noise = np.clip(rng.standard_normal(4) * 0.1, -0.3, 0.3)
    return Box(x + noise[0] * w, y + noise[1] * h, x + w + noise[2] * w, y + h + noise[3] * h)


def _round_click(anchor: Mask, rng: np.random.Generator) -> Box:
    """A square round one of the object's pixels, half to eight times as long as the object."""
    rows, columns = np.nonzero(anchor.bits)
    at = rng.integers(len(rows))
    half = 0.5 * max(anchor.bits.shape) * float(np.exp(rng.uniform(np.log(0.5), np.log(8.0))))
    x, y = anchor.x + float(columns[at]) + 0.5, anchor.y + float(rows[at]) + 0.5
    return Box(x - half, y - half, x + half, y + half)


def _is_cut(target: npt.NDArray[np.uint8]) -> bool:
    """Whether the object touches the window's edge: areas alone differ by rounding, too."""
    return bool(target[0].any() or target[-1].any() or target[:, 0].any() or target[:, -1].any())


def _margin(rng: np.random.Generator) -> float:
    """Mostly about what is used (1.6), sometimes much wider: first answers err."""
    return float(np.exp(rng.uniform(np.log(1.3), np.log(2.0) if rng.random() < 0.6 else np.log(4.5))))


def _warp_pixels(pixels: RgbArray, matrix: npt.NDArray[np.float64], side: int, step: float) -> RgbArray:
    """The window's pixels; ``step`` image pixels to one of the window."""
    if step <= 1.4:
        return np.asarray(_affine(pixels, matrix, side), np.uint8)
    # Shrinking: blur first, or fine texture aliases; and only what is seen.
    corners = matrix @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1.0]])
    height, width = pixels.shape[:2]
    edge = int(2 * step) + 1
    x0, y0 = (int(np.clip(corners[i].min() - edge, 0, (width, height)[i] - 1)) for i in (0, 1))
    x1, y1 = (int(np.clip(corners[i].max() + edge, 1, (width, height)[i])) for i in (0, 1))
    seen = pixels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    piece = np.asarray(cv2.GaussianBlur(seen, (0, 0), float(0.4 * step)), np.uint8)
    shifted = matrix.copy()
    shifted[:, 2] -= (x0, y0)
    return np.asarray(_affine(piece, shifted, side), np.uint8)


def _affine(pixels: npt.NDArray[np.uint8], matrix: npt.NDArray[np.float64], side: int) -> cv2.typing.MatLike:
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return cv2.warpAffine(pixels, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def warp_mask(mask: Mask, matrix: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.uint8]:
    """The object in the window, side x side uint8 0/1; only its crop is warped, with soft edges cut at one half."""
    shifted = matrix.copy()
    shifted[:, 2] -= (mask.x - 1, mask.y - 1)
    crop = np.pad(mask.bits.astype(np.uint8) * 255, 1)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(crop, shifted, (side, side), flags=flags) > 127, np.uint8)


def _symmetry(side: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A random flip or quarter turn of the window about its centre."""
    matrix = np.diag([rng.choice([-1.0, 1.0]), 1.0 if rng.random() < 0.7 else -1.0, 1.0])
    if rng.random() < 0.25:
        matrix = matrix @ np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]])
    if rng.random() < 0.3:
        angle = np.deg2rad(rng.uniform(-20, 20))
        matrix = matrix @ np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    center = np.array([[1, 0, side / 2], [0, 1, side / 2], [0, 0, 1.0]])
    return np.asarray(center @ matrix @ np.linalg.inv(center))
