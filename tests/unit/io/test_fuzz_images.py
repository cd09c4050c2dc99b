"""Damaged files, a hundred of each format: each is an image or a sentence. More by ``python -m tests.fuzz_images``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from annotator.io.images.pool import ReaderPool
from tests.fuzz_images import FORMATS, damaged, make_pool, run

CASES = 100


@pytest.fixture(scope="module")
def pool() -> Iterator[ReaderPool]:
    made = make_pool()
    yield made
    made.close()


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_an_image_or_a_sentence(tmp_path: Path, pool: ReaderPool, name: str) -> None:
    """Neither an abort nor a hang nor a bug; and no reader ended on the way, as far as these cases go."""
    found = run(name, CASES, pool=pool, folder=tmp_path)
    assert found.wrong == []
    assert found.ended == []
    assert sum(found.ends.values()) == CASES
    assert found.ends["refused"] > 0


def test_the_same_case_is_the_same_file() -> None:
    files = FORMATS["bmp"]()
    first, again, other = (damaged(files, np.random.default_rng((3, number))) for number in (7, 7, 8))
    assert first == again != other
