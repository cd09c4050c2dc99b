"""The looks of cameras, microscopes and scanners, for training windows."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

RgbArray = npt.NDArray[np.uint8]


def colour_jitter(
    image: RgbArray, rng: np.random.Generator, grey_share: float, *, grey_window_share: float = 0.0
) -> npt.NDArray[np.float32]:
    """An image as another device could have taken it.

    Args:
        image: H x W x 3 uint8 RGB.
        grey_share: of the images, those that lose their colour.
        grey_window_share: of these, those that a grey window is laid on.

    Returns:
        H x W x 3 float32 RGB in 0..1.
    """
    if rng.random() < 0.1:
        quality = int(rng.integers(25, 80))
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if ok:
            image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    x = image.astype(np.float32) / 255.0
    if rng.random() < grey_share:
        x = np.repeat(x @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
        if grey_window_share > 0 and rng.random() < grey_window_share:
            x = _grey_window(x, rng)
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
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.5, 1.8))), np.float32)
    if rng.random() < 0.15:
        x = x + rng.standard_normal(x.shape, np.float32) * np.float32(rng.uniform(0.01, 0.07))
    return np.ascontiguousarray(np.clip(x, 0.0, 1.0), np.float32)


def _grey_window(x: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """What a viewer shows of a scan: a part of its grey values spread out, or all of them close together."""
    if rng.random() < 0.6:
        low, high = np.quantile(x, (rng.uniform(0.0, 0.3), rng.uniform(0.7, 1.0)))
        return np.asarray(np.clip((x - np.float32(low)) / np.float32(max(high - low, 0.05)), 0, 1), np.float32)
    contrast = np.float32(rng.uniform(0.25, 0.7))
    return np.asarray(contrast * x + np.float32(rng.uniform(0, 1)) * (1 - contrast), np.float32)
