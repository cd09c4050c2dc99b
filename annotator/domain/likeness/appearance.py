"""What the pixels of examples look like, and where an image looks like that: a heat map.

A linear discriminant (Fisher, 1936) between the pixels of the examples and what lies round them: of colour, gradient
and Laplacian at four scales, and of the maps that a model has of the whole image. Every number is standardised by its
own image, so that another light or stain in another image changes little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask

FloatArray = npt.NDArray[np.float32]
RgbArray = npt.NDArray[np.uint8]

SIGMAS_PX = (1.0, 2.0, 4.0, 8.0)
FINE_BELOW_PX = 40.0
"""Examples whose longer side is less are looked for at full resolution, others at half of it."""
MOST_PIXELS = 4_000_000
"""A larger image is looked at in a smaller picture."""
RING_SHARE = 0.35
"""How wide the surroundings of an example are, over its longer side."""
SHRINKAGE = 0.3
FLAT_RANGE = 2
"""Grey levels."""
_SAMPLES = 4000
_LEAST_PIXELS = 20
"""From fewer pixels of the examples no covariance is made."""
_LEAST_SPREAD, _LEAST_VARIANCE = 1e-4, 1e-3
"""So that rounding in an image of one colour is not taken for a difference."""
_LEAST_CONTRAST = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """Of the examples, in image pixels: medians of the longer side, the area, and the box."""

    side_px: float
    area_px: float
    width_px: float
    height_px: float


def size_of(masks: Sequence[Mask]) -> Size:
    """Raises:
    ValueError: no masks, or an empty one.
    """
    boxes = np.array([mask.bbox_xywh[2:] for mask in masks], np.float64)
    if not len(masks) or not boxes.all():
        raise ValueError("an example has pixels")
    width, height = np.median(boxes, axis=0).tolist()
    return Size(float(np.median(boxes.max(1))), float(np.median([m.area for m in masks])), width, height)


class Channels:
    """The numbers that every pixel of an image has, one after the other: tens of them, of millions of pixels.

    Args:
        image: H x W x 3 uint8.
        deep: maps of a model's embedding of the whole image, each C x h x w float32 of any size.
        step: image pixels per pixel of what is looked at.
    """

    def __init__(self, image: RgbArray, deep: Sequence[FloatArray], *, step: float) -> None:
        height, width = image.shape[:2]
        self.width, self.height = max(1, round(width / step)), max(1, round(height / step))
        self.step_xy = (width / self.width, height / self.height)
        small = cv2.resize(np.ascontiguousarray(image), (self.width, self.height), interpolation=cv2.INTER_AREA)
        self._lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / 100
        self._deep = deep
        self.is_flat = bool((np.ptp(small, axis=(0, 1)) < FLAT_RANGE).all())
        """Whether the picture is of one colour: then a model's maps show its own margins, and nothing else."""
        self._scales: list[tuple[float, float]] | None = None

    def __iter__(self) -> Iterator[FloatArray]:
        """Each h x w float32, of mean 0 and spread 1 over the image."""
        known, found = self._scales, []
        for at, raw in enumerate(self._raw()):
            mean, spread = _mean_and_spread(raw) if known is None else known[at]
            found.append((mean, spread))
            yield (raw - np.float32(mean)) * np.float32(1 / spread)
        self._scales = found

    def _raw(self) -> Iterator[FloatArray]:
        for sigma in SIGMAS_PX:
            soft = cv2.GaussianBlur(self._lab, (0, 0), sigma)
            planes = [np.ascontiguousarray(soft[..., at], np.float32) for at in range(3)]
            yield from planes
            light = planes[0]
            dx, dy = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
            yield cv2.magnitude(dx, dy) * np.float32(sigma)
            yield cv2.Laplacian(light, cv2.CV_32F) * np.float32(sigma * sigma)
        for level in self._deep:
            for plane in level:
                yield cv2.resize(plane, (self.width, self.height), interpolation=cv2.INTER_LINEAR)

    def at(self, *places: npt.NDArray[np.int64]) -> list[FloatArray]:
        """For each array of n flat indices, n x F."""
        columns: list[list[FloatArray]] = [[] for _ in places]
        for channel in self:
            flat = channel.ravel()
            for column, place in zip(columns, places, strict=True):
                column.append(flat[place])
        return [np.stack(column, 1) for column in columns]

    def weighed(self, weights: npt.NDArray[np.float64]) -> FloatArray:
        """The sum of all channels times their weights, h x w float32."""
        total = np.zeros((self.height, self.width), np.float32)
        for weight, channel in zip(weights.tolist(), self, strict=True):
            total += np.float32(weight) * channel
        return total


def _mean_and_spread(raw: FloatArray) -> tuple[float, float]:
    mean, spread = (float(value[0, 0]) for value in cv2.meanStdDev(raw))
    return mean, spread + _LEAST_SPREAD


def step_for(size: Size, width: int, height: int) -> float:
    """Image pixels per pixel that is looked at."""
    step = 1.0 if size.side_px < FINE_BELOW_PX else 2.0
    return max(step, math.sqrt(width * height / MOST_PIXELS))


@dataclass(frozen=True, slots=True, eq=False)
class PixelLooks:
    """What is known of the pixels of examples: all standardised by their own image, F numbers each.

    Attributes:
        inside: n x F, of the examples.
        round_them: F, the mean of what lies round them.
        unlike: n x F, of what was said not to be like them; n may be 0.
        sample: n x F, of their whole images.
    """

    inside: FloatArray
    round_them: FloatArray
    unlike: FloatArray
    sample: FloatArray


def learn_pixels(channels: Channels, masks: Sequence[Mask], unlike: Sequence[Mask], side_px: float) -> PixelLooks:
    """From the examples of one image.

    Args:
        side_px: of the examples, in image pixels.
    """
    inside = _share(channels, masks)
    reach = max(2, int(side_px / max(channels.step_xy) * RING_SHARE))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    ring = (cv2.dilate((inside > 0.1).astype(np.uint8), kernel) > 0) & (inside <= 0.1)
    own = np.flatnonzero(inside > 0.5)
    if not own.size:  # smaller than a pixel of what is looked at
        own = np.flatnonzero(inside >= inside.max())
    others = np.flatnonzero(_share(channels, unlike) > 0.5) if unlike else np.zeros(0, np.int64)
    places = (own, np.flatnonzero(ring), others, np.arange(inside.size))
    found = channels.at(*(_thinned(place) for place in places))
    around = found[1].mean(0) if len(found[1]) else found[3].mean(0)
    return PixelLooks(found[0], around, found[2], found[3])


def together(looks: Sequence[PixelLooks]) -> PixelLooks:
    """Of examples in several images; every image counts alike for what lies round them."""
    if len(looks) == 1:
        return looks[0]
    return PixelLooks(
        np.concatenate([one.inside for one in looks]),
        np.mean([one.round_them for one in looks], axis=0, dtype=np.float32),
        np.concatenate([one.unlike for one in looks]),
        np.concatenate([one.sample for one in looks]),
    )


def heat_map(channels: Channels, looks: PixelLooks, *, is_their_own: bool) -> FloatArray:
    """How much each place is like the examples: h x w float32; 0 as the least similar tenth, 1 as their median.

    All 0 where nothing tells them from the rest, such as in an image of one colour.

    Args:
        is_their_own: whether all examples are of this image.
    """
    if channels.is_flat:
        return np.zeros((channels.height, channels.width), np.float32)
    sample = looks.sample
    if not is_their_own:
        own = channels.at(_thinned(np.arange(channels.width * channels.height)))[0]
        sample = np.concatenate([sample, own])
    weights = _direction(looks, sample)
    heat = channels.weighed(weights)
    top = float(np.median(looks.inside @ weights))
    bottom = float(np.quantile(heat if is_their_own else np.r_[looks.sample @ weights, heat.ravel()], 0.1))
    if not top - bottom > _LEAST_CONTRAST:
        return np.zeros_like(heat)
    return np.asarray((heat - np.float32(bottom)) / np.float32(top - bottom), np.float32)


def _direction(looks: PixelLooks, sample: FloatArray) -> npt.NDArray[np.float64]:
    """Fisher's, with a shrunk covariance: F numbers."""
    others = [looks.round_them, sample.mean(0)]
    if len(looks.unlike):
        others.append(looks.unlike.mean(0))
    difference = looks.inside.mean(0, dtype=np.float64) - np.mean(others, axis=0, dtype=np.float64)
    spread = np.cov(sample.T, dtype=np.float64, bias=True)
    has_many = len(looks.inside) > _LEAST_PIXELS
    within = np.cov(looks.inside.T, dtype=np.float64, bias=True) if has_many else spread
    covariance = np.atleast_2d(0.5 * (spread + within))
    count = len(covariance)
    covariance *= 1 - SHRINKAGE
    covariance += (SHRINKAGE * np.trace(covariance) / ((1 - SHRINKAGE) * count) + _LEAST_VARIANCE) * np.eye(count)
    return np.asarray(np.linalg.solve(covariance, difference), np.float64)


def _share(channels: Channels, masks: Sequence[Mask]) -> FloatArray:
    """Which part of each pixel that is looked at the masks cover: h x w, 0..1."""
    full = np.zeros((masks[0].height, masks[0].width), np.uint8)
    for mask in masks:
        rows, columns = mask.bits.shape
        full[mask.y : mask.y + rows, mask.x : mask.x + columns] |= mask.bits.astype(np.uint8) * 255
    small = cv2.resize(full, (channels.width, channels.height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def _thinned(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """About ``_SAMPLES`` of them, evenly."""
    return places[:: max(1, len(places) // _SAMPLES)]
