"""Segment everything: a grid of clicks, what of its answers is kept, and which of them are the same object.

The names of the settings, the grid, the crops and the filters are those of ``SAM2AutomaticMaskGenerator`` (Ravi et al.
2024, after Kirillov et al., ICCV 2023, appendix B); with equal settings the same objects are kept. Two things are
added: non-maximum suppression by the masks' own IoU, and whether objects at the image's border are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.zoom import Region
from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.domain.mask import Mask

BLOB_SIDE_PX = 1024
"""Blobs are looked for in an image whose longer side is no more than this."""
BLOB_SIGMAS_PX = (2.5, 4.0, 6.5, 10.0, 16.0)
"""A disc is seen best at a sigma of its radius divided by the root of two."""
FAINTEST_BLOB = 3.0
"""Grey levels; what stands out by less is noise."""
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
FINEST = 4
EDGE_TOLERANCE_PX = 20.0
"""A box nearer than this to the edge of a crop, and not to the image's own, is taken to be cut off there."""


@dataclass(frozen=True, slots=True)
class EverythingSettings:
    """What is asked, and what is kept.

    Attributes:
        points_per_side: of the grid over the image.
        points_per_batch: clicks decoded at once; 0: what suits the model.
        pred_iou_thresh: predicted IoU that a mask must exceed, 0..1.
        stability_score_thresh: IoU of a mask at logits > +offset and > -offset that it must reach, 0..1.
        stability_score_offset: see there.
        box_nms_thresh: of two masks whose boxes have a larger IoU the one predicted to be better is kept.
        mask_nms_thresh: the same for the masks' own IoU, over the whole image; 1 keeps all.
        crop_n_layers: layer n asks 4**n overlapping crops of the image, each with its own encode.
        crop_nms_thresh: as ``box_nms_thresh``, between crops; smaller crops win.
        crop_overlap_ratio: of the first layer's crops, as a share of the image's shorter side.
        crop_n_points_downscale_factor: points per side in layer n are divided by its nth power.
        min_mask_region_area: smaller islands and holes are taken out, in pixels.
        keeps_border: whether objects that touch the image's border are wanted.
        skips_flat: whether clicks where the image shows nothing are left out in the crops.
        finds_blobs: whether the crops of the last layer are asked at what stands out from its surroundings, as many
            places as their grids have points, instead of at these: small objects lie between the points of a grid.
    """

    points_per_side: int = 32
    points_per_batch: int = 0
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    mask_nms_thresh: float = 0.9
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0
    keeps_border: bool = True
    skips_flat: bool = False
    finds_blobs: bool = False

    def checked(self) -> EverythingSettings:
        """Itself.

        Raises:
            UserError: a value makes no sense; named.
        """
        counts = {"points_per_side": (1, 256), "points_per_batch": (0, 4096), "crop_n_layers": (0, 4)}
        counts |= {"crop_n_points_downscale_factor": (1, 64), "min_mask_region_area": (0, 10**9)}
        for name, (least, most) in counts.items():
            if not least <= getattr(self, name) <= most:
                raise UserError(f"{brief(name)} is {getattr(self, name)}.", f"Give a number from {least} to {most}.")
        shares = ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "mask_nms_thresh", "crop_nms_thresh")
        for name in (*shares, "crop_overlap_ratio"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise UserError(f"{brief(name)} is {brief(value)}.", "Give a number from 0 to 1.")
        if not (math.isfinite(self.stability_score_offset) and self.stability_score_offset >= 0):
            raise UserError(f"stability_score_offset is {self.stability_score_offset}.", "Give a number from 0 on.")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """An object that nobody asked for by name.

    Attributes:
        mask: tight, in the image.
        predicted_iou, stability_score: 0..1.
        point_xy: the click that found it, in image pixels.
        crop: the piece of the image that it was found in.
        phrase: the words that it was looked for by; empty when nobody named it.
    """

    mask: Mask
    predicted_iou: float
    stability_score: float
    point_xy: tuple[float, float]
    crop: Region
    phrase: str = ""

    @property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        x, y, w, h = self.mask.bbox_xywh
        return x, y, x + w, y + h


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A run that ended early: clicks that were done, and all that it had found by then."""

    done: int = 0
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GridAnswer:
    """K candidates of a batch of prompts.

    Attributes:
        prompt: K, the prompt that each answers; candidate: K, 0..2, which of its three.
        iou: K float32, predicted; logits: K x L x L float32, not clamped.
    """

    prompt: IntArray
    candidate: IntArray
    iou: FloatArray
    logits: FloatArray


def grid_points(per_side: int) -> FloatArray:
    """Points in the middle of the cells of a grid: n * n x 2 (x, y) in 0..1, row by row."""
    at = np.linspace(0.5 / per_side, 1 - 0.5 / per_side, per_side)
    x, y = np.meshgrid(at, at)
    return np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)


def crop_regions(width: int, height: int, settings: EverythingSettings) -> list[tuple[Region, int]]:
    """The whole image (layer 0), and the overlapping crops of each further layer, clipped to the image."""
    found = [(Region(0, 0, width, height), 0)]
    short = min(width, height)
    for layer in range(1, settings.crop_n_layers + 1):
        per_side = 2**layer
        overlap = int(settings.crop_overlap_ratio * short * (2 / per_side))
        crop_w, crop_h = (math.ceil((overlap * (per_side - 1) + size) / per_side) for size in (width, height))
        lefts = [int((crop_w - overlap) * i) for i in range(per_side)]
        tops = [int((crop_h - overlap) * i) for i in range(per_side)]
        for x in lefts:
            for y in tops:
                found.append((Region(x, y, min(x + crop_w, width), min(y + crop_h, height)), layer))
    return [(region, layer) for region, layer in found if region.width > 0 and region.height > 0]


def points_per_side(settings: EverythingSettings, layer: int) -> int:
    """Of the grid in a crop of a layer."""
    return max(1, int(settings.points_per_side / settings.crop_n_points_downscale_factor**layer))


def blob_points(image: npt.NDArray[np.uint8], most: int) -> FloatArray:
    """Middles of what stands out from its surroundings, bright or dark, of whatever size: n x 2 (x, y) in pixels.

    Extremes of the Laplacian, normalised for its scale (Lindeberg, IJCV 1998), the strongest first, none nearer to a
    stronger one than that is wide.

    Args:
        image: H x W x 3 uint8.
    """
    height, width = image.shape[:2]
    by = max(1.0, max(height, width) / BLOB_SIDE_PX)
    size = (max(1, round(width / by)), max(1, round(height / by)))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    found = []
    for sigma in BLOB_SIGMAS_PX:
        soft = cv2.GaussianBlur(grey, (0, 0), sigma)
        strength = np.abs(cv2.Laplacian(soft, cv2.CV_32F, ksize=1)) * sigma**2
        side = 2 * round(sigma) + 1
        is_top = (strength == cv2.dilate(strength, np.ones((side, side), np.uint8))) & (strength > FAINTEST_BLOB)
        rows, columns = np.nonzero(is_top)
        found.append(np.stack([columns, rows, strength[rows, columns], np.full(len(rows), sigma)], -1))
    blobs = np.concatenate(found)
    kept, count = np.zeros((most, 3)), 0
    for x, y, _, sigma in blobs[np.argsort(-blobs[:, 2], kind="stable")].tolist():
        if count == most:
            break
        others = kept[:count]
        if not ((others[:, 0] - x) ** 2 + (others[:, 1] - y) ** 2 < np.maximum(others[:, 2], 1.0) ** 2).any():
            kept[count] = x, y, sigma
            count += 1
    return np.asarray((kept[:count, :2] + 0.5) * (width / size[0], height / size[1]), np.float32)


def stabilities(logits: FloatArray, offset: float) -> FloatArray:
    """Of K x L x M logits, each 0..1: see :func:`annotator.domain.answering.logits.stability`."""
    # One by one: to count along axes takes five times as long.
    inner = np.array([np.count_nonzero(one > offset) for one in logits])
    outer = np.array([np.count_nonzero(one > -offset) for one in logits])
    return np.where(outer > 0, inner / np.maximum(outer, 1), 1.0).astype(np.float32)


def pixel_stability(logits: FloatArray, offset: float, *, width: int, height: int) -> float:
    """Of L x M logits, counted in the pixels of an image of this size instead of in cells; 0..1.

    In a large image a cell counts as ``FINEST`` x ``FINEST`` pixels: more say nothing else.
    """
    size = min(width, FINEST * logits.shape[1]), min(height, FINEST * logits.shape[0])
    fine = cv2.resize(np.ascontiguousarray(logits), size, interpolation=cv2.INTER_LINEAR)
    outer = int(np.count_nonzero(fine > -offset))
    return int(np.count_nonzero(fine > offset)) / outer if outer else 1.0


def is_cut_off(boxes: FloatArray, crop: Region, *, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Whether boxes (K x 4 in image pixels) end at an edge of their crop that is none of the image."""
    edges = np.array([crop.x0, crop.y0, crop.x1, crop.y1], np.float32)
    image = np.array([0, 0, width, height], np.float32)
    near_crop = np.abs(boxes - edges) <= EDGE_TOLERANCE_PX
    near_image = np.abs(boxes - image) <= EDGE_TOLERANCE_PX
    return np.asarray((near_crop & ~near_image).any(1))


def touches_border(boxes: FloatArray, *, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Whether boxes (first and last column and row) reach the image's border."""
    low = (boxes[:, :2] <= 0).any(1)
    high = (boxes[:, 2:] >= np.array([width, height], np.float32) - 1).any(1)
    return np.asarray(low | high)


def box_nms(boxes: FloatArray, scores: FloatArray, threshold: float) -> IntArray:
    """Greedy non-maximum suppression: which of K boxes (K x 4) stay, the best first."""
    order = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = np.ascontiguousarray(boxes[order].T)
    areas = (x1 - x0) * (y1 - y0)
    is_alive = np.ones(len(order), np.bool_)
    for at in range(len(order)):
        if is_alive[at]:
            rest = slice(at + 1, None)
            wide = np.minimum(x1[rest], x1[at]) - np.maximum(x0[rest], x0[at])
            high = np.minimum(y1[rest], y1[at]) - np.maximum(y0[rest], y0[at])
            both = np.maximum(wide, 0) * np.maximum(high, 0)
            is_alive[rest] &= both <= threshold * np.maximum(areas[rest] + areas[at] - both, 1e-9)
    return np.asarray(order[is_alive], np.int64)


Alike = dict[tuple[int, int], bool]
"""Whether two masks are the same object, by their identities: what one look has compared, the next need not."""


def mask_nms(proposals: Sequence[Proposal], threshold: float, known: Alike | None = None) -> list[Proposal]:
    """Of masks with a larger IoU the one predicted to be better; order is by that. Boxes and areas are looked at first.

    Args:
        known: of earlier calls with the same threshold and masks that are still held; what is compared is added.
    """
    ordered = sorted(proposals, key=lambda p: -p.predicted_iou)
    if threshold >= 1 or not ordered:
        return ordered
    known = {} if known is None else known
    x0, y0, x1, y1 = np.array([p.box_xyxy for p in ordered], np.float64).T.copy()
    areas = np.array([p.mask.area for p in ordered], np.float64)
    is_kept = np.zeros(len(ordered), np.bool_)
    for at, proposal in enumerate(ordered):
        wide = np.minimum(x1[:at], x1[at]) - np.maximum(x0[:at], x0[at])
        high = np.minimum(y1[:at], y1[at]) - np.maximum(y0[:at], y0[at])
        # No more than this can two masks have in common.
        most = np.minimum(np.maximum(wide, 0) * np.maximum(high, 0), np.minimum(areas[:at], areas[at]))
        may_be = is_kept[:at] & (most > threshold * (areas[:at] + areas[at] - most))
        is_kept[at] = not any(
            _are_alike(proposal.mask, ordered[other].mask, threshold, known)
            for other in np.flatnonzero(may_be).tolist()
        )
    return [proposal for proposal, stays in zip(ordered, is_kept.tolist(), strict=True) if stays]


def _are_alike(one: Mask, other: Mask, threshold: float, known: Alike) -> bool:
    pair = (id(one), id(other))
    found = known.get(pair)
    if found is None:
        found = known[pair] = one.iou(other) > threshold
    return found


def without_specks(mask: Mask, least_px: int) -> Mask:
    """The mask without islands and holes smaller than ``least_px`` pixels; the largest island always stays."""
    if least_px <= 0 or mask.is_empty:
        return mask
    bits = np.pad(mask.bits, 1).astype(np.uint8)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(1 - bits, connectivity=4)
    small = np.flatnonzero(facts[:, cv2.CC_STAT_AREA] < least_px)
    bits[np.isin(labels, small) & (bits == 0)] = 1
    _, labels, facts, _ = cv2.connectedComponentsWithStats(bits, connectivity=8)
    islands = facts[1:, cv2.CC_STAT_AREA]
    keep = np.flatnonzero(islands >= min(least_px, int(islands.max()))) + 1
    inside = np.isin(labels, keep)[1:-1, 1:-1]
    return Mask(np.ascontiguousarray(inside), mask.x, mask.y, mask.width, mask.height).tight()
