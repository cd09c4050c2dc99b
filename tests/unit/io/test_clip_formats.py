"""Formats of videos: tracks come back to the pixel, and what a format cannot hold is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from annotator.cli import main
from annotator.domain import budget
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.io.formats.coco.import_ import import_coco
from annotator.io.formats.coco_video import export_coco_video
from annotator.io.formats.davis import export_davis
from annotator.io.formats.medical.label_maps import export_nifti, export_nrrd
from annotator.io.formats.mots import export_mots
from annotator.io.formats.youtube_vis import export_youtube_vis
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
WIDTH, HEIGHT, FRAMES = 60, 40, 5


def square(x: int, y: int, side: int = 10) -> Mask:
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[y : y + side, x : x + side] = True
    return Mask.from_full(full)


def folder_of(root: Path) -> Path:
    root.mkdir(parents=True)
    pages = np.stack([np.full((HEIGHT, WIDTH), 20 * at, np.uint8) for at in range(FRAMES)])
    tifffile.imwrite(root / "a clip.tif", pages, photometric="minisblack")
    Image.new("L", (WIDTH, HEIGHT)).save(root / "still.png")
    return root


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Track 3 on frames 0 to 3, track 7 over it on 1 and 2, an object without a track on 4, one on a still image."""
    with ProjectStore.open_folder(folder_of(tmp_path / "images")) as store:
        images = {(image.path, image.frame): image.id for image in store.images()}
        for frame in range(4):
            accept(store, images["a clip.tif", frame], square(5 + 3 * frame, 8), track_id=3)
        for frame in (1, 2):
            accept(store, images["a clip.tif", frame], square(12 + 3 * frame, 12), track_id=7)
        accept(store, images["a clip.tif", 4], square(30, 20), track_id=0)
        accept(store, images["still.png", 0], square(1, 1))
        yield store


def truth(store: ProjectStore) -> dict[tuple[int, int], Mask]:
    frames = {image.id: image.frame for image in store.images() if image.series_id}
    found = {}
    for one in store.all_annotations():
        if one.image_id in frames:
            found[one.track_id or 8, frames[one.image_id]] = one.mask()
    return found


def test_coco_video(store: ProjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    report = export_coco_video(store, out)
    assert (report.images, report.objects) == (FRAMES, 7)
    assert any("in no series" in line for line in report.lines())
    data = json.loads(out.read_text())
    assert [(v["name"], v["length"]) for v in data["videos"]] == [("a clip.tif", FRAMES)]
    assert [image["frame_id"] for image in data["images"]] == list(range(FRAMES))
    coco = COCO(str(out))
    frames = {image["id"]: image["frame_id"] for image in data["images"]}
    found = {(row["instance_id"], frames[row["image_id"]]): coco.annToMask(row) for row in data["annotations"]}
    wanted = truth(store)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[at].astype(bool), wanted[at].full()) for at in wanted)


def test_coco_video_comes_back_with_its_tracks(store: ProjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    export_coco_video(store, out)
    data = json.loads(out.read_text())
    for row in data["annotations"]:
        del row["attributes"], row["track_id"]  # as other programs write it
    out.write_text(json.dumps(data))
    with ProjectStore.open_folder(folder_of(tmp_path / "again")) as other:
        import_coco(other, out)
        assert {at: mask.rle() for at, mask in truth(other).items()} == {
            at: mask.rle() for at, mask in truth(store).items()
        }


def test_youtube_vis(store: ProjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    report = export_youtube_vis(store, out)
    assert report.objects == 7
    data = json.loads(out.read_text())
    (video,) = data["videos"]
    assert (video["width"], video["height"], video["length"]) == (WIDTH, HEIGHT, FRAMES)
    assert len(video["file_names"]) == FRAMES
    wanted = truth(store)
    assert len(data["annotations"]) == 3
    for row, track in zip(data["annotations"], (3, 7, 8), strict=True):
        for frame in range(FRAMES):
            given = row["segmentations"][frame]
            assert (given is None) == ((track, frame) not in wanted) == (row["bboxes"][frame] is None)
            if given is not None:
                assert np.array_equal(coco_mask.decode(given).astype(bool), wanted[track, frame].full())
                assert row["areas"][frame] == wanted[track, frame].area


def test_davis(store: ProjectStore, tmp_path: Path) -> None:
    report = export_davis(store, tmp_path / "out")
    files = sorted((tmp_path / "out/Annotations/a_clip.tif").iterdir())
    assert [file.name for file in files] == [f"{frame:05d}.png" for frame in range(FRAMES)]
    wanted = truth(store)
    for frame, file in enumerate(files):
        with Image.open(file) as picture:
            assert picture.mode == "P"
            assert picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
            values = np.asarray(picture)
        top = wanted.get((7, frame))
        for number, track in enumerate((3, 7, 8), start=1):
            mask = wanted[track, frame].full() if (track, frame) in wanted else np.zeros((HEIGHT, WIDTH), bool)
            if track == 3 and top is not None:
                mask = mask & ~top.full()
            assert np.array_equal(values == number, mask)
    assert any("lie under others" in line for line in report.lines())


@pytest.mark.parametrize("first", [0, 1])
def test_mots(store: ProjectStore, tmp_path: Path, first: int) -> None:
    report = export_mots(store, tmp_path / "out", first_frame=first)
    lines = (tmp_path / "out/instances_txt/a_clip.tif.txt").read_text().splitlines()
    assert len(lines) == 7
    assert (tmp_path / "out/classes.txt").read_text() == "object\n"
    seen: dict[int, np.ndarray] = {}
    for line in lines:
        frame, number, kind, height, width, counts = line.split(" ")
        mask = coco_mask.decode({"size": [int(height), int(width)], "counts": counts.encode()}).astype(bool)
        assert (int(kind), int(number) // 1000) == (1, 1)
        assert not (seen.setdefault(int(frame), np.zeros_like(mask)) & mask).any()  # no two objects share a pixel
        seen[int(frame)] |= mask
    assert sorted(seen) == [frame + first for frame in range(FRAMES)]
    union = {frame: np.zeros((HEIGHT, WIDTH), bool) for frame in range(FRAMES)}
    for (_, frame), mask in truth(store).items():
        union[frame] |= mask.full()
    assert all(np.array_equal(seen[frame + first], union[frame]) for frame in union)
    assert any("lie under others" in line for line in report.lines())


def test_two_objects_of_a_track_on_a_frame_and_two_classes_of_one(store: ProjectStore, tmp_path: Path) -> None:
    images = {image.frame: image.id for image in store.images() if image.series_id}
    accept(store, images[0], square(40, 5), track_id=3)
    report = export_coco_video(store, tmp_path / "out.json")
    assert report.objects == 8
    assert any("a track of its own" in line for line in report.lines())


def test_what_cannot_be_written_is_refused(store: ProjectStore, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="project file"):
        export_coco_video(store, store.path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="Name a folder"):
        export_davis(store, tmp_path / "file")
    images = {image.frame: image.id for image in store.images() if image.series_id}
    for number in range(253):
        accept(store, images[0], square(number % 50, 0, 2), track_id=100 + number)
    with pytest.raises(ExportError, match="254"):
        export_davis(store, tmp_path / "many")
    assert not (tmp_path / "many").exists()


def test_a_project_without_a_series_says_so(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "images/a.png")
    with ProjectStore.open_folder(tmp_path / "images") as store, pytest.raises(ExportError, match="no series"):
        export_youtube_vis(store, tmp_path / "out.json")


def test_by_command(store: ProjectStore, tmp_path: Path) -> None:
    path = store.path
    store.close()
    for name, out in (("coco-video", "v.json"), ("youtube-vis", "y.json"), ("davis", "d"), ("mots", "m")):
        assert main(["export", str(path), "--format", name, "--out", str(tmp_path / out)]) == 0
        assert (tmp_path / out).exists()


@pytest.mark.parametrize("export", [export_davis, export_mots, export_nifti, export_nrrd])
def test_frames_that_need_more_memory_than_there_may_be_are_refused(
    store: ProjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export: Any
) -> None:
    """A damaged row may say that an image has a side of 120,000 px."""
    monkeypatch.setattr(budget, "limit_bytes", lambda: 10_000)
    with pytest.raises(ExportError, match="of memory, the limit is"):
        export(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
