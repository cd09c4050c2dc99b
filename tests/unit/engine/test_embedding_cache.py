"""Embeddings in memory and on the disk: budgets that hold, and files that heal."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.cache import TieredCache
from annotator.engine.sam2.embedding import Sam2Embedding
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from tests.small_base import BASE, SMALL

CLICK = Prompts((PointPrompt(30.0, 20.0),))


@pytest.fixture(scope="module")
def segmenter() -> Sam2Segmenter:
    torch.manual_seed(0)
    return Sam2Segmenter(build_nano(SMALL), BASE, dense_prompt="stamps-2")


def encoded(segmenter: Sam2Segmenter, number: int) -> Sam2Embedding:
    pixels = np.random.default_rng(number).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    return segmenter.encode(pixels, f"image {number}")


def cache(folder: Path | None = None, *, ram_bytes: int = 1 << 30) -> TieredCache:
    return TieredCache(ram_bytes=ram_bytes, disk_dir=folder, disk_bytes=1 << 30)


def test_what_decoders_keep_counts_against_the_memory(segmenter: Sam2Segmenter) -> None:
    first = encoded(segmenter, 0)
    bare = first.nbytes
    segmenter.decode(first, CLICK)
    assert first.nbytes > 1.5 * bare
    kept = cache(ram_bytes=round(2.2 * first.nbytes))
    for number in range(3):
        embedding = encoded(segmenter, number)
        segmenter.decode(embedding, CLICK)
        kept.put(embedding)
    names = [f"image {number}" for number in range(3)]
    there = [kept.get(segmenter.embedding_key(name)) is not None for name in names]
    assert there == [False, True, True]


@pytest.mark.parametrize("content", [b"", b"\0" * 100])
def test_a_damaged_file_is_written_anew(segmenter: Sam2Segmenter, tmp_path: Path, content: bytes) -> None:
    embedding = encoded(segmenter, 0)
    cache(tmp_path).put(embedding)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(content)
    later = cache(tmp_path)
    assert later.get(embedding.key) is None
    later.put(embedding)
    again = cache(tmp_path).get(embedding.key)
    assert isinstance(again, Sam2Embedding)
    assert torch.equal(again.low, embedding.low)


def test_what_a_killed_program_left_half_written_goes(segmenter: Sam2Segmenter, tmp_path: Path) -> None:
    old, new = tmp_path / "a.safetensors.1.part", tmp_path / "b.safetensors.2.part"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    cache(tmp_path).put(encoded(segmenter, 0))
    assert not old.exists()
    assert new.exists(), "another program may be at it"


def test_a_file_whose_age_may_not_be_changed_is_used_and_kept(
    segmenter: Sam2Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = encoded(segmenter, 0)
    cache(tmp_path).put(embedding)

    def denied(*_args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.utime", denied)
    assert cache(tmp_path).get(embedding.key) is not None
    assert list(tmp_path.glob("*.safetensors"))
