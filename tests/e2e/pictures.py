"""Pictures with objects at known places."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

IMAGES = ("a.png", "b.png", "c.png")
DISCS = ((60.0, 60.0), (180.0, 70.0), (120.0, 170.0), (240.0, 180.0))
"""Centres (x, y) of the discs on each picture."""
SIZE = (300, 240)
RADIUS_PX = 28


def write_pictures(folder: Path) -> None:
    """Bright discs on a dark, slightly noisy ground; every picture in other colours."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(IMAGES):
        noise = np.random.default_rng(seed)
        rgb = noise.normal(40, 8, (SIZE[1], SIZE[0], 3))
        for x, y in DISCS:
            colour = [float(v) for v in noise.uniform(150, 250, 3)]
            cv2.circle(rgb, (int(x), int(y)), RADIUS_PX, colour, -1)
        Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(folder / name)
