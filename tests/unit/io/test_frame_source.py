"""Frames of folders, stacks and videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from annotator.domain.errors import ImageError
from annotator.io.images.frame_source import open_frames
from tests.unit.io.dicom_builders import write_stack


def greys(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for value, name in enumerate(names):
        Image.new("L", (16, 12), 10 * value).save(folder / name)


def video(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    """Every frame has its number's grey."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, size)
    for at in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * at, np.uint8))
    writer.release()
    return path


def test_a_folder_counts_up(tmp_path: Path) -> None:
    greys(tmp_path / "set", ["f1.png", "f2.png", "f10.png"])
    source = open_frames(tmp_path / "set")
    assert [source.name(at) for at in range(len(source))] == ["f1.png", "f2.png", "f10.png"]
    assert [int(source.read(at).rgb[0, 0, 0]) for at in (2, 0, 1)] == [20, 0, 10]
    assert not source.is_video


def test_a_file_of_pages(tmp_path: Path) -> None:
    pages = np.stack([np.full((12, 16), 20 * at, np.uint8) for at in range(3)])
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    source = open_frames(tmp_path / "stack.tif")
    assert [source.name(at) for at in range(len(source))] == ["stack.tif", "stack.tif#1", "stack.tif#2"]
    assert int(source.read(2).rgb[0, 0, 0]) == 40


def test_a_stack_goes_by_its_place_in_space(tmp_path: Path) -> None:
    write_stack(tmp_path, (20.0, 0.0, 10.0, 30.0))
    source = open_frames(tmp_path)
    in_order = [source.name(at) for at in range(len(source))]
    assert sorted(in_order) != in_order
    assert [int(source.read(at).rgb[0, 0, 0]) for at in range(4)] == sorted(
        int(source.read(at).rgb[0, 0, 0]) for at in range(4)
    )


def test_frames_of_a_video_in_any_order(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mp4", 8)
    source = open_frames(path)
    assert (len(source), source.is_video, source.name(3)) == (8, True, "clip.mp4#3")
    for at in (0, 7, 6, 5, 1, 2):
        assert abs(int(source.read(at).rgb[20, 20, 0]) - 10 * at) < 5
    keys = {source.read(at).image_key for at in range(8)}
    assert len(keys) == 8


@pytest.mark.parametrize("kind", ["nothing", "one picture", "no video", "two stacks", "empty folder"])
def test_what_is_no_series_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "set"
    if kind == "one picture":
        path = tmp_path / "one.png"
        Image.new("L", (8, 8)).save(path)
    elif kind == "no video":
        path = tmp_path / "no.mp4"
        path.write_bytes(b"not a video")
    elif kind == "two stacks":
        greys(path, ["other.png"])
        for at in range(3):
            write_stack(path, (0.0, 1.0, 2.0), series=str(at + 1), prefix=f"{at}-")
    elif kind == "empty folder":
        path.mkdir()
    with pytest.raises(ImageError):
        open_frames(path)
