"""Scenes from code alone: shapes, occlusion, texture, lighting. Training windows that need no data.

Outlines are closed Fourier curves, ellipses and polygons; textures are noise of several grain sizes, stripes and
gradients; later objects cover earlier ones; one light falls over all of it. What is in front keeps its whole mask.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from annotator.train.data.pixels import PixelSource
from annotator.train.data.windows import DEFAULT_RECIPE, TrainingImage, Window, WindowRecipe, WindowSampler

FloatArray = npt.NDArray[np.float32]
MaskArray = npt.NDArray[np.uint8]

SET_NAME = "synthetic"
LEAST_PX = 40
LEAST_CONTRAST = 0.06
"""Between an object and what is round it, in one of the colours, 0..1: nobody clicks what nobody sees."""


class SceneSampler:
    """Draws windows like :class:`~annotator.train.data.windows.WindowSampler`, from nothing.

    Args:
        window_px: side of a window, a multiple of 32.
        objects: K at most.
    """

    def __init__(self, *, window_px: int, objects: int) -> None:
        self._side, self._objects = window_px, objects

    def draw(self, rng: np.random.Generator) -> Window:
        """One scene of two to twelve objects, of which up to K are asked for."""
        while True:
            image, masks = self._scene(rng)
            usable = [
                (m, h) for m, h in masks if LEAST_PX < int(m.sum()) < 0.9 * self._side**2 and _is_visible(image, m)
            ]
            if usable:
                order = rng.permutation(len(usable))[: self._objects]
                targets = np.stack([usable[i][0] for i in order])
                hidden = np.array([usable[i][1] for i in order], np.float32)
                return Window(image, targets, hidden, SET_NAME)

    def _scene(self, rng: np.random.Generator) -> tuple[FloatArray, list[tuple[MaskArray, float]]]:
        side = self._side
        image = texture(side, rng)
        masks: list[tuple[MaskArray, float]] = []
        grain = float(np.exp(rng.uniform(np.log(0.06), np.log(0.35)))) * side  # scenes are of about one size
        alike = texture(side, rng) if rng.random() < 0.5 else None  # many of a kind, or all different
        for _ in range(int(rng.integers(2, 13))):
            outline = shape(rng) * grain * float(np.exp(rng.normal(0, 0.3))) + rng.uniform(0, side, 2)
            mask, hidden = _filled(outline, side)
            if not mask.any():
                continue
            masks = [(m & ~mask, h) for m, h in masks]
            surface = alike if alike is not None and rng.random() < 0.8 else texture(side, rng)
            soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), float(rng.uniform(0.4, 1.2)))[..., None]
            shade = _shading(outline, side, rng)[..., None]
            image = soft * np.clip(surface * shade, 0, 1) + (1 - soft) * image
            masks.append((mask, hidden))
        light = 1.0 + rng.uniform(-0.35, 0.35) * _ramp(side, rng)[..., None]
        lit = image * light + rng.normal(0, rng.uniform(0.0, 0.05), image.shape)
        if rng.random() < 0.3:
            lit = np.repeat(lit.mean(axis=2, keepdims=True), 3, axis=2)
        return np.clip(lit, 0, 1).astype(np.float32), masks


class MixedSampler:
    """Windows of real images and scenes from code, mixed; with no images at all, scenes alone.

    Args:
        share: of the windows that are scenes, 0..1.
        pixels: decodes and keeps the images; see :class:`WindowSampler`.
        recipe: of the windows of real images.
    """

    def __init__(
        self,
        images: list[TrainingImage],
        *,
        window_px: int,
        objects: int,
        share: float,
        pixels: PixelSource | None = None,
        recipe: WindowRecipe = DEFAULT_RECIPE,
    ) -> None:
        self._real = (
            WindowSampler(
                images,
                window_px=window_px,
                objects=objects,
                pixels=pixels,
                recipe=recipe,
            )
            if images
            else None
        )
        self._scenes = SceneSampler(window_px=window_px, objects=objects)
        self._share = share if images else 1.0

    def set_weights(self, iou_by_set: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """See :meth:`WindowSampler.set_weights`; scenes are not one of the sets."""
        real = {name: value for name, value in iou_by_set.items() if name != SET_NAME}
        return np.ones(1) if self._real is None else self._real.set_weights(real)

    def draw(self, rng: np.random.Generator, weights: npt.NDArray[np.float64]) -> Window:
        """One window."""
        if self._real is None or rng.random() < self._share:
            return self._scenes.draw(rng)
        return self._real.draw(rng, weights)


def shape(rng: np.random.Generator, points: int = 96) -> npt.NDArray[np.float64]:
    """A closed outline of about unit radius round the origin, n x 2 (x, y)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    kind = rng.random()
    if kind < 0.25:
        radius = np.ones(points)
    elif kind < 0.75:
        orders = np.arange(2, 9)
        weights = rng.normal(0, 0.35, (2, orders.size)) / orders
        waves = np.outer(orders, angle)
        radius = np.maximum(0.15, 1.0 + weights[0] @ np.cos(waves) + weights[1] @ np.sin(waves))
    else:
        corners = int(rng.integers(3, 8))
        at = np.sort(rng.uniform(0, 2 * np.pi, corners))
        lengths = rng.uniform(0.6, 1.2, corners)
        vertices = np.column_stack([lengths * np.cos(at), lengths * np.sin(at)])
        return _turned(vertices, rng)
    return _turned(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), rng)


def texture(side: int, rng: np.random.Generator) -> FloatArray:
    """A surface, side x side x 3 in 0..1: a colour with grain, stripes or a ramp towards a second colour."""
    first, second = rng.uniform(0.05, 0.95, 3), rng.uniform(0.05, 0.95, 3)
    kind = rng.random()
    if kind < 0.45:
        cells = int(np.exp(rng.uniform(np.log(4), np.log(side / 2))))
        noise = rng.standard_normal((cells, cells)).astype(np.float32)
        mix = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC) * rng.uniform(0.03, 0.35)
    elif kind < 0.6:
        y, x = np.mgrid[:side, :side].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, side / 4)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        mix = wave * rng.uniform(0.05, 0.5)
    else:
        mix = _ramp(side, rng) * rng.uniform(0.0, 0.5)
    share = np.clip(mix, -0.5, 0.5)[..., None]
    return np.asarray(np.clip(first + share * (second - first), 0, 1), np.float32)


def _turned(outline: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    angle, squash = rng.uniform(0, 2 * np.pi), float(np.exp(rng.uniform(np.log(0.35), 0.0)))
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray((outline * (1.0, squash)) @ np.array([[c, s], [-s, c]]), np.float64)


def _filled(outline: npt.NDArray[np.float64], side: int) -> tuple[MaskArray, float]:
    """The outline's pixels in the window, and its area beyond it in pixels."""
    canvas = np.zeros((side, side), np.uint8)
    corners = np.round((outline - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [corners[:, None]], 1, shift=4)
    x, y = outline[:, 0], outline[:, 1]
    area = abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
    is_cut = bool((outline.min() < 0.5) or (outline.max() > side - 0.5))
    return canvas, max(0.0, area - float(canvas.sum())) if is_cut else 0.0


def _is_visible(image: FloatArray, mask: MaskArray) -> bool:
    ring = np.asarray(cv2.dilate(mask, np.ones((7, 7), np.uint8)), np.uint8) & ~mask
    if not ring.any():
        return False
    inside, around = image[mask > 0].mean(axis=0), image[ring > 0].mean(axis=0)
    return bool(np.abs(inside - around).max() >= LEAST_CONTRAST)


def _ramp(side: int, rng: np.random.Generator) -> FloatArray:
    """A plane in a random direction, side x side in about -1..1."""
    y, x = (np.mgrid[:side, :side].astype(np.float32) / side - 0.5) * 2
    angle = rng.uniform(0, 2 * np.pi)
    return np.asarray(x * np.cos(angle) + y * np.sin(angle), np.float32)


def _shading(outline: npt.NDArray[np.float64], side: int, rng: np.random.Generator) -> FloatArray:
    """Brighter on the side of the light, as round things are."""
    middle, reach = outline.mean(axis=0), float(np.ptp(outline, axis=0).max()) / 2 + 1e-6
    y, x = np.mgrid[:side, :side].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    across = ((x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)) / reach
    return np.asarray(1.0 + rng.uniform(0, 0.4) * np.clip(across, -1, 1), np.float32)
