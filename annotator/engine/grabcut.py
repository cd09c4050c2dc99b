"""GrabCut (Rother et al., SIGGRAPH 2004) behind the Segmenter protocol: what a person has without any weights.

It is the baseline that a model has to beat, so it is given every fair help: the colour models are learned in a window
round the object instead of the whole image, only parts that the person pointed at are kept, and when the cut loses
everything the region that the prompts suggest is answered instead of nothing. The numbers in
:class:`GrabCutSettings` were chosen on training images.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.errors import EncodeCancelled, PromptError
from annotator.domain.geometry import Box, clamp_point
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, LogitsArray, ModelInfo, RgbArray
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.pixels import check_rgb
from annotator.engine.registry import ModelSource

ByteArray = npt.NDArray[np.uint8]

LOGITS_SIDE = 128
_VERSION = 1
_LOGIT = 8.0
_MIN_SAMPLES = 8  # fewer pixels than a mixture of five Gaussians can be learned from


@dataclass(frozen=True, slots=True)
class GrabCutSettings:
    """How prompts become a trimap.

    Attributes:
        iterations: of GrabCut.
        click_radius: of the certain disc at a click, as a share of the image's longer side (at least 1 px).
        prior_radius: of the probable disc round the first positive click, as a share of the image's shorter side.
        correction_radius: the same round a later click that lies on the wrong side of the previous answer.
        window_margin: how far the working window reaches beyond the probable region, as a share of that region's
            longer side; pixels beyond it are background.
        first_window_margin: the same for the first click, when the probable disc is only a guess.
        least_kept: a cut that keeps a smaller share of the probable region has lost the object, and that region is
            answered instead.
        window_side_px: larger windows are worked on at this size and enlarged again.
    """

    iterations: int = 5
    click_radius: float = 3 / 768
    prior_radius: float = 0.05
    correction_radius: float = 0.04
    window_margin: float = 0.5
    first_window_margin: float = 1.0
    least_kept: float = 0.05
    window_side_px: int = 512


@dataclass(frozen=True, slots=True, eq=False)
class GrabCutEmbedding:
    """There is nothing to encode: the image itself. ``rgb`` is H x W x 3 uint8, read-only."""

    key: str
    rgb: RgbArray
    encode_ms: float

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])

    @property
    def nbytes(self) -> int:
        return int(self.rgb.nbytes)


class GrabCutSegmenter:
    """OpenCV's GrabCut as an engine. Same image and prompts, same answer.

    OpenCV's random generator is one per thread and is seeded before every cut.
    """

    def __init__(self, settings: GrabCutSettings | None = None) -> None:
        self._settings = settings or GrabCutSettings()
        identity = f"grabcut {_VERSION} {self._settings} opencv {cv2.__version__}"
        self._info = ModelInfo(
            name="grabcut",
            sha256=hashlib.sha256(identity.encode()).hexdigest(),
            device="cpu",
            dtype="uint8",
            image_size=4 * LOGITS_SIDE,
            note="Classical GrabCut: colours only, nothing learned.",
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    def embedding_key(self, image_key: str) -> str:
        return f"{image_key}-grabcut{_VERSION}"

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> GrabCutEmbedding:
        """Keep the image (H x W x 3 uint8 RGB).

        Raises:
            ImageError: another shape or type, or no pixels.
            EncodeCancelled: the caller asked for it.
        """
        start = time.perf_counter()
        check_rgb(image)
        if is_cancelled is not None and is_cancelled():
            raise EncodeCancelled
        kept = image.copy()
        kept.setflags(write=False)
        return GrabCutEmbedding(self.embedding_key(image_key), kept, (time.perf_counter() - start) * 1e3)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        """One candidate; its logits are +-8, softened at the outline.

        Args:
            continue_from: the answer that the new prompts extend: the cut starts from its mask.

        Raises:
            PromptError: no prompts, or not finite.
        """
        start = time.perf_counter()
        if not isinstance(embedding, GrabCutEmbedding):
            raise TypeError(f"an embedding of {type(embedding).__name__} is not GrabCut's")
        prompts = _checked(prompts, width=embedding.width, height=embedding.height)
        trimap = self._trimap(prompts, continue_from, width=embedding.width, height=embedding.height)
        mask = Mask.from_full(_cut(embedding.rgb, trimap, prompts, self._settings))
        candidate = Candidate(_soft_logits(mask), predicted_iou=0.5, stability=1.0, mask=mask)
        return Candidates((candidate,), 0, 0.0 if mask.is_empty else _LOGIT, (time.perf_counter() - start) * 1e3)

    def _trimap(self, prompts: Prompts, continue_from: Candidate | None, *, width: int, height: int) -> ByteArray:
        """What is known before the cut: H x W of OpenCV's four labels."""
        settings = self._settings
        prior_px = max(2.0, settings.prior_radius * min(width, height))
        correction_px = max(2.0, settings.correction_radius * min(width, height))
        trimap = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
        before = _before(prompts, continue_from, width=width, height=height)
        if before is not None:
            trimap[before] = cv2.GC_PR_FGD
        elif prompts.box is not None:
            trimap[_pixels_of(prompts.box, width, height)] = cv2.GC_PR_FGD
        for index, point in enumerate(prompts.points):
            is_first = index == 0 and before is None and prompts.box is None
            if is_first and point.is_positive:
                _disc(trimap, point, prior_px, cv2.GC_PR_FGD)
            elif index == len(prompts.points) - 1 and _is_wrong_at(trimap, point):
                _disc(trimap, point, correction_px, cv2.GC_PR_FGD if point.is_positive else cv2.GC_PR_BGD)
        if prompts.box is not None:
            outside = np.ones((height, width), np.bool_)
            outside[_pixels_of(prompts.box, width, height)] = False
            trimap[outside] = cv2.GC_BGD
        click_px = max(1.0, settings.click_radius * max(width, height))
        for point in prompts.points:
            _disc(trimap, point, click_px, cv2.GC_FGD if point.is_positive else cv2.GC_BGD)
        return trimap


def _checked(prompts: Prompts, *, width: int, height: int) -> Prompts:
    """Prompts pulled into the image."""
    if prompts.is_empty:
        raise PromptError("There is no prompt.", "Click the object or drag a box round it.")
    try:
        places = [clamp_point(p.x, p.y, width=width, height=height) for p in prompts.points]
        box = prompts.box and Box.from_corners(*prompts.box.as_xyxy()).clipped(width, height)
    except ValueError as error:
        raise PromptError(f"The prompt cannot be used: {error}.") from error
    points = tuple(replace(p, x=x, y=y) for p, (x, y) in zip(prompts.points, places, strict=True))
    return Prompts(points, box, prompts.base_mask)


def _before(
    prompts: Prompts, continue_from: Candidate | None, *, width: int, height: int
) -> npt.NDArray[np.bool_] | None:
    """The answer to start from, H x W, or None when there is none (an empty one says nothing)."""
    if continue_from is not None:
        mask = mask_from_logits(continue_from.logits, width=width, height=height)
    elif prompts.base_mask is not None:
        mask = prompts.base_mask
    else:
        return None
    return None if mask.is_empty else mask.full()


def _pixels_of(box: Box, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns that a box touches, at least one of each."""
    x0, y0 = min(int(box.x0), width - 1), min(int(box.y0), height - 1)
    return slice(y0, max(math.ceil(box.y1), y0 + 1)), slice(x0, max(math.ceil(box.x1), x0 + 1))


def _disc(trimap: ByteArray, point: PointPrompt, radius_px: float, label: int) -> None:
    column, row = _pixel_at(trimap, point)
    cv2.circle(trimap, (column, row), round(radius_px), int(label), thickness=-1)


def _pixel_at(trimap: npt.NDArray[np.generic], point: PointPrompt) -> tuple[int, int]:
    height, width = trimap.shape
    return min(int(point.x), width - 1), min(int(point.y), height - 1)


def _is_wrong_at(trimap: ByteArray, point: PointPrompt) -> bool:
    """Whether a click says the opposite of what the trimap assumes there."""
    column, row = _pixel_at(trimap, point)
    return (int(trimap[row, column]) in (cv2.GC_FGD, cv2.GC_PR_FGD)) != point.is_positive


def _cut(rgb: RgbArray, trimap: ByteArray, prompts: Prompts, settings: GrabCutSettings) -> npt.NDArray[np.bool_]:
    """The segmented pixels, H x W; the prior region where a cut is not possible or loses the object."""
    prior = _is_foreground(trimap)
    margin = settings.first_window_margin if prompts.is_ambiguous else settings.window_margin
    rows, columns = _window(prior, margin)
    result = np.zeros(trimap.shape, np.bool_)
    labels = _grab_cut(rgb[rows, columns], trimap[rows, columns], settings)
    if labels is not None:
        result[rows, columns] = _is_foreground(labels)
        result = _pointed_parts(result, prompts)
    is_lost = np.count_nonzero(result) <= settings.least_kept * np.count_nonzero(prior)
    return prior if is_lost else result


def _is_foreground(labels: ByteArray) -> npt.NDArray[np.bool_]:
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _window(prior: npt.NDArray[np.bool_], margin: float) -> tuple[slice, slice]:
    """The rows and columns to work on: the prior's box and a margin; all when the prior is empty."""
    height, width = prior.shape
    rows, columns = np.flatnonzero(prior.any(axis=1)), np.flatnonzero(prior.any(axis=0))
    if rows.size == 0:
        return slice(0, height), slice(0, width)
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    reach = max(8, round(margin * max(y1 - y0, x1 - x0)))
    return slice(max(0, y0 - reach), min(height, y1 + reach)), slice(max(0, x0 - reach), min(width, x1 + reach))


def _grab_cut(rgb: RgbArray, trimap: ByteArray, settings: GrabCutSettings) -> ByteArray | None:
    """Labels of the same size, or None when there is too little of one side to learn its colours."""
    height, width = trimap.shape
    scale = settings.window_side_px / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    else:
        rgb, labels = np.ascontiguousarray(rgb), trimap.copy()
    inside = int(np.count_nonzero(_is_foreground(labels)))
    if inside < _MIN_SAMPLES or labels.size - inside < _MIN_SAMPLES:
        return None
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    unused_rect = (0, 0, 1, 1)
    cv2.grabCut(rgb, labels, unused_rect, background, foreground, settings.iterations, cv2.GC_INIT_WITH_MASK)
    if scale >= 1:
        return labels
    soft = cv2.resize(_is_foreground(labels).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(soft > 0.5, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))


def _pointed_parts(result: npt.NDArray[np.bool_], prompts: Prompts) -> npt.NDArray[np.bool_]:
    """Only the connected parts under positive clicks; everything when there is none (a box alone)."""
    clicks = [p for p in prompts.points if p.is_positive]
    if not clicks or not result.any():
        return result
    parts = np.asarray(cv2.connectedComponents(result.astype(np.uint8), connectivity=8)[1])
    wanted = {int(parts[row, column]) for column, row in (_pixel_at(parts, p) for p in clicks)} - {0}
    return np.asarray(np.isin(parts, list(wanted))) if wanted else result


def _soft_logits(mask: Mask) -> LogitsArray:
    """128 x 128: how much of each cell is covered, from -8 (nothing) to +8 (all)."""
    covered = cv2.resize(mask.full().astype(np.float32), (LOGITS_SIDE, LOGITS_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray((2 * covered - 1) * _LOGIT, np.float32)


def load(_source: ModelSource) -> GrabCutSegmenter:
    """As a family of the registry: there is nothing to load."""
    return GrabCutSegmenter()
