"""Loaders that are asked once more after their end: a window that closes is painted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.ui.threads import loading
from annotator.ui.threads.loading import ImageLoader, ThumbnailLoader


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reads that are begun, real ones."""
    begun: list[str] = []
    for name in ("load_image", "load_thumbnail"):
        real = getattr(loading, name)

        def read(*arguments, _name=name, _real=real, **more):
            begun.append(_name)
            return _real(*arguments, **more)

        monkeypatch.setattr(loading, name, read)
    return begun


def test_thumbnails_are_read_until_the_end_and_not_after_it(qtbot, image: Path, reads: list[str]) -> None:
    loader = ThumbnailLoader()
    with qtbot.waitSignal(loader.ready):
        loader.request(1, image)
    loader.shut_down()
    loader.request(2, image)
    loader._pool.waitForDone()
    assert reads == ["load_thumbnail"]


def test_images_are_read_until_the_end_and_not_after_it(qtbot, image: Path, reads: list[str]) -> None:
    loader = ImageLoader()
    with qtbot.waitSignal(loader.loaded):
        loader.request(1, 1, image)
    loader.shut_down()
    loader.request(2, 2, image)
    loader.preload(3, image)
    loader._pool.waitForDone()
    loader._ahead_pool.waitForDone()
    assert reads == ["load_image"]
