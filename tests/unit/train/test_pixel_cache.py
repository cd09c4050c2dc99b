"""Decoded images kept as memory maps: the same pixels, whole files only, no more than the folder may hold."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.train.data import pixels as pixel_cache
from annotator.train.data import windows
from annotator.train.data.pixels import MappedPixels, RamPixels
from annotator.train.data.windows import TrainingImage, WindowSampler, most_drawn_first, read_coco_sets
from tests.unit.train.scenes import write_set

IMAGE_BYTES = 96 * 96 * 3
FILE_BYTES = IMAGE_BYTES + 64


@pytest.fixture
def images(tmp_path: Path) -> list[TrainingImage]:
    return read_coco_sets([write_set(tmp_path / "set")])


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def opened(folder: Path, images: list[TrainingImage], *, limit_bytes: int = 1 << 20) -> MappedPixels:
    return MappedPixels.prepare(folder, images, limit_bytes=limit_bytes)


def test_maps_hold_the_pixels_and_nobody_can_write_to_them(images: list[TrainingImage], tmp_path: Path) -> None:
    cache = opened(tmp_path / "cache", images)
    for _ in range(2):
        for image in images:
            found = cache.pixels(image)
            np.testing.assert_array_equal(found, image.pixels())
            assert isinstance(found.base, np.memmap)
            with pytest.raises(ValueError, match="read-only"):
                found[0, 0, 0] = 1
    assert [path.stat().st_size for path in files_of(tmp_path / "cache")] == [FILE_BYTES] * 4


def test_the_next_run_decodes_nothing(
    images: list[TrainingImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path / "cache", images)
    expected = [first.pixels(image).copy() for image in images]
    monkeypatch.setattr(windows, "load_image", lambda *_, **__: pytest.fail("decoded again"))
    again: MappedPixels = pickle.loads(pickle.dumps(opened(tmp_path / "cache", images)))  # as reader processes get it
    for image, pixels in zip(images, expected, strict=True):
        np.testing.assert_array_equal(again.pixels(image), pixels)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "longer", "other", "no size", "gone"])
def test_what_is_damaged_is_decoded_and_written_again(images: list[TrainingImage], tmp_path: Path, damage: str) -> None:
    image = images[0]
    opened(tmp_path / "cache", [image]).pixels(image)
    (path,) = files_of(tmp_path / "cache")
    sound = bytearray(path.read_bytes())
    broken = {
        "cut": sound[:-5],
        "empty": b"",
        "flipped": sound[:5000] + bytes([sound[5000] ^ 1]) + sound[5001:],
        "longer": sound + b"x",
        "other": b"x" * len(sound),
        "no size": sound[:8] + bytes(56),
    }
    path.unlink()
    if damage != "gone":
        path.write_bytes(bytes(broken[damage]))
    np.testing.assert_array_equal(opened(tmp_path / "cache", [image]).pixels(image), image.pixels())
    assert path.read_bytes() == bytes(sound)


def test_a_changed_image_is_another_file(images: list[TrainingImage], tmp_path: Path) -> None:
    image = images[0]
    old = opened(tmp_path / "cache", [image]).pixels(image).copy()
    cv2.imwrite(str(image.path), cv2.cvtColor(255 - old, cv2.COLOR_RGB2BGR))
    os.utime(image.path, (1, 1))
    np.testing.assert_array_equal(opened(tmp_path / "cache", [image]).pixels(image), 255 - old)


def test_the_folder_stays_under_its_limit(images: list[TrainingImage], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for limit, count in ((0, 0), (FILE_BYTES - 1, 0), (2 * FILE_BYTES, 2), (3 * FILE_BYTES + 10, 3)):
        cache = opened(folder, images, limit_bytes=limit)
        for image in images:
            np.testing.assert_array_equal(cache.pixels(image), image.pixels())
        assert len(files_of(folder)) == count


def test_room_is_made_among_the_images_of_other_runs_the_oldest_first(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    first = opened(folder, images[:3])
    for image in images[:3]:
        first.pixels(image)
    by_image = [folder / str(pixel_cache.file_name(image)) for image in images[:3]]
    for at, path in zip((50.0, 10.0, 90.0), by_image, strict=True):
        os.utime(path, (at, at))
    cache = opened(folder, images[3:], limit_bytes=3 * FILE_BYTES)
    cache.pixels(images[3])
    assert sum(path.stat().st_size for path in files_of(folder)) == 3 * FILE_BYTES
    assert [path.exists() for path in by_image] == [True, False, True]
    # What is taken away from a run that has it open stays readable there.
    np.testing.assert_array_equal(first.pixels(images[1]), images[1].pixels())


def test_only_what_killed_processes_left_long_ago_is_swept(images: list[TrainingImage], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    for name in ("old.1.0.part", "new.2.0.part", "notes.txt"):
        (folder / name).write_bytes(b"x")
    os.utime(folder / "old.1.0.part", (1, 1))
    opened(folder, images, limit_bytes=0)
    assert [path.name for path in files_of(folder)] == ["new.2.0.part", "notes.txt"]


def test_a_kill_while_writing_leaves_no_entry(
    images: list[TrainingImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("os.replace", die)
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path / "cache", images).pixels(images[0])
    assert files_of(tmp_path / "cache") == []
    np.testing.assert_array_equal(opened(tmp_path / "cache", images).pixels(images[0]), images[0].pixels())


def test_a_full_disk_costs_time_only(
    images: list[TrainingImage],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = opened(tmp_path / "cache", images)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixel_cache.os, "replace", full)
    with caplog.at_level(logging.WARNING):
        for image in images:
            np.testing.assert_array_equal(cache.pixels(image), image.pixels())
    assert [record.message.count("No space left") for record in caplog.records] == [1]
    assert files_of(tmp_path / "cache") == []


def test_an_image_that_is_gone_is_named(images: list[TrainingImage], tmp_path: Path) -> None:
    cache = opened(tmp_path / "cache", images)
    images[0].path.unlink()
    with pytest.raises(Exception, match=images[0].path.name):
        cache.pixels(images[0])


def test_few_maps_are_open_at_once(
    images: list[TrainingImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_cache, "OPEN_MAPS", 2)
    cache = opened(tmp_path / "cache", images)
    first = cache.pixels(images[0])
    assert cache.pixels(images[0]) is first
    for image in images[1:]:
        cache.pixels(image)
    assert len(cache._open) == 2
    np.testing.assert_array_equal(cache.pixels(images[0]), images[0].pixels())


def test_small_sets_are_kept_first(tmp_path: Path) -> None:
    roots = [write_set(tmp_path / name, images=count, seed=count) for name, count in (("many", 5), ("few", 2))]
    assert [image.set_name for image in most_drawn_first(read_coco_sets(roots))] == ["few"] * 2 + ["many"] * 5


def test_memory_keeps_what_fits(images: list[TrainingImage]) -> None:
    source = RamPixels(2 * IMAGE_BYTES)
    first = [source.pixels(image) for image in images]
    is_kept = [source.pixels(image) is pixels for image, pixels in zip(images, first, strict=True)]
    assert is_kept == [True, True, False, False]
    copy: RamPixels = pickle.loads(pickle.dumps(source))
    assert copy.pixels(images[0]) is not first[0]
    assert len(pickle.dumps(source)) < 500
    shared = source.share(2)
    assert [shared.pixels(image) is shared.pixels(image) for image in images] == [True, False, False, False]


def test_windows_are_the_same_with_and_without(images: list[TrainingImage], tmp_path: Path) -> None:
    def draw(sampler: WindowSampler) -> list[np.ndarray]:  # type: ignore[type-arg]
        rng = np.random.default_rng(7)
        return [sampler.draw(rng, sampler.set_weights({})).image for _ in range(8)]

    plain = draw(WindowSampler(images, window_px=64, objects=2))
    for limit in (1 << 20, 2 * FILE_BYTES):
        cache = opened(tmp_path / f"cache-{limit}", images, limit_bytes=limit)
        for one, other in zip(plain, draw(WindowSampler(images, window_px=64, objects=2, pixels=cache)), strict=True):
            np.testing.assert_array_equal(one, other)
