"""Embeddings in memory and on the disk: budgets that hold, and files that heal."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.domain.ports.engine import RgbArray
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
    return segmenter.encode(pixels(number), f"image {number}")


def pixels(number: int) -> RgbArray:
    return np.random.default_rng(number).integers(0, 255, (48, 64, 3)).astype(np.uint8)


Cache = Callable[..., TieredCache]


@pytest.fixture
def cache(segmenter: Sam2Segmenter) -> Cache:
    def make(folder: Path | None = None, *, ram_bytes: int = 1 << 30, disk_bytes: int = 1 << 30) -> TieredCache:
        return TieredCache(ram_bytes=ram_bytes, disk_dir=folder, disk_bytes=disk_bytes, codec=segmenter)

    return make


def test_what_decoders_keep_counts_against_the_memory(segmenter: Sam2Segmenter, cache: Cache) -> None:
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
def test_a_damaged_file_is_written_anew(segmenter: Sam2Segmenter, cache: Cache, tmp_path: Path, content: bytes) -> None:
    embedding = encoded(segmenter, 0)
    cache(tmp_path).put(embedding)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(content)
    later = cache(tmp_path)
    assert later.get(embedding.key, pixels(0)) is None
    later.put(embedding)
    again = cache(tmp_path).get(embedding.key, pixels(0))
    assert isinstance(again, Sam2Embedding)
    assert torch.equal(again.low, embedding.low)


def test_what_a_killed_program_left_half_written_goes(segmenter: Sam2Segmenter, cache: Cache, tmp_path: Path) -> None:
    old, new = tmp_path / "a.safetensors.1.part", tmp_path / "b.safetensors.2.part"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    cache(tmp_path).put(encoded(segmenter, 0))
    assert not old.exists()
    assert new.exists(), "another program may be at it"


def test_a_file_whose_age_may_not_be_changed_is_used_and_kept(
    segmenter: Sam2Segmenter, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = encoded(segmenter, 0)
    cache(tmp_path).put(embedding)

    def denied(*_args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.utime", denied)
    assert cache(tmp_path).get(embedding.key, pixels(0)) is not None
    assert list(tmp_path.glob("*.safetensors"))


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_what_is_kept_of_images_is_its_owners_alone(segmenter: Sam2Segmenter, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept").chmod(0o755)
    cache(tmp_path / "kept").put(encoded(segmenter, 0))
    (path,) = (tmp_path / "kept").glob("*.safetensors")
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_full_disk_tier_is_looked_through_once_and_loses_the_oldest(
    segmenter: Sam2Segmenter, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoded(segmenter, 0)
    cache(tmp_path).put(first)
    (path,) = tmp_path.glob("*.safetensors")
    size = path.stat().st_size
    os.utime(path, (1, 1))
    walks: list[int] = []
    real = TieredCache._trim
    monkeypatch.setattr(TieredCache, "_trim", lambda self: walks.append(1) or real(self))
    kept = cache(tmp_path, disk_bytes=round(3.5 * size))
    for number in range(1, 3):
        kept.put(encoded(segmenter, number))
    assert (len(walks), path.exists()) == (1, True)
    kept.put(encoded(segmenter, 3))
    assert (len(walks), path.exists()) == (2, False)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
