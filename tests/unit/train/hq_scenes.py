"""Small folders in the layout of the HQ-SAM project's test sets: bright ellipses on dark ground, one per image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

FOLDERS = {  # written out, not imported: the layout is somebody else's
    "DIS": ("DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt"),
    "COIFT": ("thin_object_detection/COIFT/images", "thin_object_detection/COIFT/masks"),
    "HRSOD": ("thin_object_detection/HRSOD/images", "thin_object_detection/HRSOD/masks_max255"),
    "ThinObject": ("thin_object_detection/ThinObject5K/images_test", "thin_object_detection/ThinObject5K/masks_test"),
}


def ellipse(height: int, width: int, *, seed: int) -> npt.NDArray[np.uint8]:
    """0 and 255, H x W."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    center = (int(width * rng.uniform(0.4, 0.6)), int(height * rng.uniform(0.4, 0.6)))
    axes = (int(width * rng.uniform(0.15, 0.3)), int(height * rng.uniform(0.15, 0.3)))
    cv2.ellipse(mask, center, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return mask


def write_pair(root: Path, set_name: str, name: str, mask: npt.NDArray[np.uint8], *, seed: int = 0) -> None:
    """``name.jpg`` with the object bright, and ``name.png`` with the mask as it is given."""
    images, masks = (root / folder for folder in FOLDERS[set_name])
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    first = mask if mask.ndim == 2 else mask[:, :, -1]  # OpenCV writes BGR: the last one is the file's first
    picture = np.random.default_rng(seed).integers(20, 70, (*first.shape, 3), dtype=np.uint8)
    picture[first > 0] += 150
    cv2.imwrite(str(images / f"{name}.jpg"), picture)
    cv2.imwrite(str(masks / f"{name}.png"), mask)


def write_hq(root: Path, *, sets: tuple[str, ...] = tuple(FOLDERS), images: int = 2) -> Path:
    """``images`` pairs of each set, of different sizes."""
    for number, set_name in enumerate(sets):
        for index in range(images):
            seed = 100 * number + index
            mask = ellipse(60 + 10 * index, 90 + 4 * number, seed=seed)
            write_pair(root, set_name, f"{set_name.lower()}_{index + 1}", mask, seed=seed)
    return root
