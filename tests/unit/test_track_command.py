"""``annotator track``: objects carried through a folder from masks; COCO that other programs and this one can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from annotator.cli import main
from annotator.domain.mask import Mask
from annotator.domain.tracks.track import is_key
from annotator.io.formats.coco.import_ import import_coco
from annotator.io.project.store import ProjectStore
from tests.unit.io.uneven_video import write_uneven_video

WIDTH, HEIGHT, FRAMES = 120, 90, 6


def truth(position: int) -> np.ndarray:
    """1: a disc that goes right; 2: a block that grows."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(values, (30 + 4 * position, 30), 14, 1, -1)
    cv2.rectangle(values, (70, 55), (95 + 2 * position, 80), 2, -1)
    return values


@pytest.fixture
def series(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    ground = np.random.default_rng(0).integers(30, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for at in range(FRAMES):
        picture, values = ground.copy(), truth(at)
        picture[values == 1] = (220, 80, 60)
        picture[values == 2] = (70, 200, 90)
        Image.fromarray(picture).save(folder / f"{at}.png")
        Image.fromarray(values).save(tmp_path / f"mask{at}.png")
    return folder


def track(series: Path, *more: str, masks: tuple[int, ...] = (2,)) -> tuple[int, dict[str, Any]]:
    out = series.parent / "tracks.json"
    given = [part for at in masks for part in ("--mask", str(series.parent / f"mask{at}.png"), "--at", str(at))]
    code = main(["track", str(series), *given, "--model", "grabcut", "--out", str(out), *more])
    return code, json.loads(out.read_text("utf-8")) if out.exists() else {}


def test_every_object_is_followed_to_both_sides(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, data = track(series, "--both")
    assert code == 0
    assert data["videos"] == [{"id": 1, "name": "frames", "width": WIDTH, "height": HEIGHT, "length": FRAMES}]
    assert [(row["frame_id"], row["file_name"]) for row in data["images"]] == [
        (at, f"{at}.png") for at in range(FRAMES)
    ]
    assert [(row["image_id"], row["track_id"]) for row in data["annotations"]] == [
        (at + 1, one) for at in range(FRAMES) for one in (1, 2)
    ]
    for row in data["annotations"]:
        found = Mask.from_rle(row["segmentation"]["counts"], WIDTH, HEIGHT).full()
        wanted = truth(row["image_id"] - 1) == row["track_id"]
        assert (found & wanted).sum() / (found | wanted).sum() > 0.85
        assert ("score" in row) == (row["image_id"] != 3)  # what was given is certain
    COCO(str(series.parent / "tracks.json"))
    assert "2 objects, 12 masks on 6 frames" in capsys.readouterr().out


def test_forward_only_and_no_further_than_asked(series: Path) -> None:
    _, data = track(series, "--last", "4")
    assert sorted({row["image_id"] - 1 for row in data["annotations"]}) == [2, 3, 4]


def test_masks_that_are_given_are_not_written_over(series: Path) -> None:
    _, data = track(series, "--both", masks=(1, 4))
    for row in data["annotations"]:
        position = row["image_id"] - 1
        if position in (1, 4):
            exact = Mask.from_full(truth(position) == row["track_id"])
            assert row["segmentation"]["counts"].encode() == exact.rle()
            assert "score" not in row


def test_the_file_comes_back_as_tracks_of_a_project(series: Path) -> None:
    track(series, "--both")
    with ProjectStore.open_folder(series) as store:
        import_coco(store, series.parent / "tracks.json")
        objects = list(store.all_annotations())
        assert sorted({row.track_id for row in objects}) == [1, 2]
        images = {image.id: image.path for image in store.images()}
        assert {images[row.image_id] for row in objects if is_key(row)} == {"2.png"}


def test_an_object_that_ends_is_said(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground = np.random.default_rng(1).integers(30, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for at in (4, 5):
        Image.fromarray(ground).save(series / f"{at}.png")
    _, data = track(series)
    assert max(row["image_id"] - 1 for row in data["annotations"] if row["track_id"] == 1) == 3
    assert "object 1 is lost after frame 3" in capsys.readouterr().err


def test_a_frame_that_cannot_be_read_is_left_out(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (series / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    code, data = track(series)
    assert code == 1
    assert {row["image_id"] - 1 for row in data["annotations"]} >= {2, 4}
    assert "frame 3 is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--at", "3"], "--at"),
        (["--at", "99", "--mask", "mask2.png"], "no frame 99"),
        (["--at", "3", "--mask", "empty.png"], "empty"),
        (["--at", "3", "--mask", "other.png"], "50 x 40"),
        (["--at", "3", "--mask", "colour.png"], "colour picture"),
        (["--at", "3", "--mask", "missing.png"], "no file"),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    series: Path, change: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (WIDTH, HEIGHT)).save(series.parent / "empty.png")
    Image.new("L", (50, 40), 1).save(series.parent / "other.png")
    Image.new("RGB", (WIDTH, HEIGHT), (9, 0, 0)).save(series.parent / "colour.png")
    more = [str(series.parent / one) if one.endswith(".png") else one for one in change]
    code, data = track(series, *more)
    assert (code, data) == (2, {})
    assert says in capsys.readouterr().err


def test_every_nth_frame_of_a_range_keeps_the_numbers_and_times_of_the_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times_ms = [0, 40, 90, 100, 400, 1000, 1040, 1500, 1900, 2000]
    clip = write_uneven_video(tmp_path / "clip.mkv", times_ms)
    full = np.zeros((96, 128), np.uint8)
    full[40:60, 20:100] = 255
    Image.fromarray(full).save(tmp_path / "m.png")
    given = ["track", str(clip), "--mask", str(tmp_path / "m.png"), "--at", "5", "--both", "--model", "grabcut"]
    given += ["--out", str(tmp_path / "out.json"), "--patience", "99"]
    assert main([*given, "--every", "3", "--from", "0:00.040", "--to", "1.9"]) == 0
    data = json.loads((tmp_path / "out.json").read_text("utf-8"))
    rows = [(row["frame_id"], row["file_name"], row["time_ms"]) for row in data["images"]]
    assert rows == [(at, f"clip.mkv#{at}", times_ms[at]) for at in (1, 4, 5, 7)], "the mask's frame is one of them"
    (key,) = [row for row in data["annotations"] if "score" not in row]
    assert key["image_id"] == next(row["id"] for row in data["images"] if row["frame_id"] == 5)
    assert main([*given, "--from", "9"]) == 2
    assert "no frame in this range of time" in capsys.readouterr().err


def test_a_folder_has_no_time_but_every_nth_frame(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, data = track(series, "--both", "--every", "2")
    assert [row["frame_id"] for row in data["images"]] == [0, 2, 4]
    assert track(series, "--to", "2")[0] == 2
    assert "no video" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        track(series, "--every", "0")
