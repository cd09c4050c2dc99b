"""Commands over a folder with a small real model in place of the one on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from annotator.domain.ports.engine import RgbArray
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from tests.small_base import BASE, SMALL

LOOSE = ["--points-per-side", "3", "--pred-iou-thresh", "0", "--stability-score-thresh", "0"]
"""Random weights find something with these."""


def put_small_model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let commands load it. Returns: a list to which the key of every image that it encodes is added."""
    torch.manual_seed(3)
    small = Sam2Segmenter(build_nano(SMALL).eval(), BASE, dense_prompt="stamps-2")
    asked: list[str] = []
    real = small.encode

    def encode(image: RgbArray, key: str, **keywords: Any) -> Any:
        asked.append(key)
        return real(image, key, **keywords)

    monkeypatch.setattr(small, "encode", encode)
    monkeypatch.setattr("annotator.engine.load.load_segmenter", lambda *_a, **_k: small)
    return asked


def write_folder(images: Path, names: Sequence[str]) -> Path:
    """Small images of noise, each of a size of its own."""
    for number, name in enumerate(names):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60 + number, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(images / name)
    return images
