"""Pictures that look like nuclei in fluorescence: soft bright ellipses on a dark, noisy ground, at known places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIDE_PX = 200
GRID = 3
"""Nuclei lie in the cells of a grid, so that none touches another."""
LEAST_PX, MOST_PX = 13.0, 22.0
"""Half axes."""


@dataclass(frozen=True, slots=True)
class Nucleus:
    """Centre (x, y) and box x0, y0, x1, y1 in image pixels."""

    centre: tuple[float, float]
    box_xyxy: tuple[float, float, float, float]


def names(count: int) -> list[str]:
    return [f"{number:02d}.png" for number in range(count)]


def nuclei_of(number: int) -> tuple[Nucleus, ...]:
    """The nuclei of a picture, always the same ones."""
    return tuple(nucleus for nucleus, _, _, _ in _draw_list(number))


def write_nuclei(folder: Path, count: int) -> None:
    """``count`` pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names(count)):
        noise = np.random.default_rng(1000 + number)
        light = np.full((SIDE_PX, SIDE_PX), 18.0)
        for nucleus, axes, angle, glow in _draw_list(number):
            one = np.zeros_like(light)
            place = (round(nucleus.centre[0]), round(nucleus.centre[1]))
            cv2.ellipse(one, place, axes, angle, 0, 360, glow, -1)
            light += cv2.GaussianBlur(one, (0, 0), 1.2)
        light += noise.normal(0, 5, light.shape)
        grey = light.clip(0, 255).astype(np.uint8)
        Image.fromarray(np.dstack([grey] * 3)).save(folder / name)


def _draw_list(number: int) -> list[tuple[Nucleus, tuple[int, int], float, float]]:
    """Nucleus, half axes, angle in degrees, brightness."""
    dice = np.random.default_rng(number)
    cell = SIDE_PX / GRID
    found = []
    for place in range(GRID * GRID):
        x, y = ((place % GRID + 0.5) * cell + dice.uniform(-5, 5), (place // GRID + 0.5) * cell + dice.uniform(-5, 5))
        axes = (round(dice.uniform(LEAST_PX, MOST_PX)), round(dice.uniform(LEAST_PX, MOST_PX)))
        angle, glow = float(dice.uniform(0, 180)), float(dice.uniform(90, 200))
        turn = np.radians(angle)
        half_w = float(np.hypot(axes[0] * np.cos(turn), axes[1] * np.sin(turn)))
        half_h = float(np.hypot(axes[0] * np.sin(turn), axes[1] * np.cos(turn)))
        cx, cy = float(round(x)), float(round(y))
        found.append((Nucleus((cx, cy), (cx - half_w, cy - half_h, cx + half_w, cy + half_h)), axes, angle, glow))
    return found
