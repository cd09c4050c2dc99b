"""What trainings on the small base share: a set of ellipses, its split, and its encoded windows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.train.data.encoded import WindowCache
from annotator.train.data.sources import Split, read_source, split, training_images
from tests.small_base import BASE, SMALL
from tests.unit.train.scenes import write_set


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "ellipses", images=10)


@pytest.fixture(scope="module")
def parts(root: Path) -> Split:
    return split([read_source(root)])


@pytest.fixture(scope="module")
def segmenter() -> Sam2Segmenter:
    torch.manual_seed(0)
    return Sam2Segmenter(build_nano(SMALL), BASE, dense_prompt="stamps-2")


@pytest.fixture(scope="module")
def windows(parts: Split, segmenter: Sam2Segmenter, tmp_path_factory: pytest.TempPathFactory) -> WindowCache:
    images = training_images(parts.train, "ellipses")
    cache = WindowCache(tmp_path_factory.mktemp("windows"), segmenter, images, count=6, seed=0)
    cache.fill(lambda _done, _all: None)
    return cache
