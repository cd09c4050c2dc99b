"""A folder of images, and the project of it that a test may write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import image_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path, ("10.png", "2.png", "sub/1.png"))


@pytest.fixture
def store(folder: Path) -> Iterator[ProjectStore]:
    opened = ProjectStore.open_folder(folder, author="anna")
    yield opened
    opened.close()
