"""Every n-th frame of a range of time: which frames of a video are images, and that no work on others is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotator.domain.frame_pick import ALL_FRAMES, FramePick
from annotator.domain.mask import Mask
from annotator.io.formats.clips_in.coco_video import import_coco_video
from annotator.io.formats.clips_in.davis import import_davis
from annotator.io.formats.clips_in.youtube_vis import import_youtube_vis
from annotator.io.formats.coco_video import export_coco_video
from annotator.io.formats.cvat_video import export_cvat_video
from annotator.io.formats.davis import export_davis
from annotator.io.formats.mots import export_mots
from annotator.io.formats.youtube_vis import export_youtube_vis
from annotator.io.images.reading import load_image
from annotator.io.project.opened import open_project
from annotator.io.project.picking import OpeningWish
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept
from tests.unit.io.test_video import HEIGHT, WIDTH, number_in
from tests.unit.io.uneven_video import write_uneven_video

TIMES_MS = [0, 40, 90, 100, 400, 1000, 1040, 1500, 1900, 2000, 2500, 3000]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with a variable frame rate."""
    return write_uneven_video(tmp_path_factory.mktemp("clip") / "clip.mkv", TIMES_MS)


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    made = tmp_path / "clips"
    made.mkdir()
    (made / "clip.mkv").hardlink_to(clip)  # the same file: its frames are known
    return made


def block(x: int) -> Mask:
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[8:20, x : x + 10] = True
    return Mask.from_full(full)


def opened(place: Path, pick: FramePick | None = None) -> ProjectStore:
    return open_project(place, wish=OpeningWish(pick=pick)).store


def frames(store: ProjectStore) -> list[int]:
    images = sorted(store.images(), key=lambda image: image.position)
    assert [image.position for image in images] == list(range(len(images)))
    return [image.frame for image in images]


def test_every_nth_frame_in_a_range_is_by_the_times_of_the_file(folder: Path) -> None:
    with opened(folder, FramePick(2, 90, 2000)) as store:
        assert frames(store) == [2, 4, 6, 8]
        assert [number_in(load_image(store.image_path(image), frame=image.frame).rgb) for image in store.images()] == [
            2,
            4,
            6,
            8,
        ]
        assert [image.extra["time_ms"] for image in store.images()] == [90, 400, 1040, 1900]
        (series,) = store.slices.series()
        assert series.step_ms == 640, "it plays in the time of what is shown"
        assert series.notes == ("every 2nd frame from 0:00.090 to 0:02.000, 4 of 12 frames",)
        assert "clip.mkv: every 2nd frame" in " ".join(store.notices)
    with opened(folder) as store:
        assert frames(store) == [2, 4, 6, 8], "remembered"
        assert store.slices.series()[0].pick == FramePick(2, 90, 2000)
        assert not store.notices


def test_frames_with_work_stay_and_a_step_back_brings_the_others(folder: Path) -> None:
    with opened(folder, FramePick(2)) as store:
        of = {image.frame: image for image in store.images()}
        accept(store, of[4].id, block(3), track_id=3)
        ids = {frame: image.id for frame, image in of.items()}
        store.meta_set("position", str(ids[6]))
    with opened(folder, FramePick(5)) as store:
        assert frames(store) == [0, 4, 5, 10]
        assert [len(store.annotations(image.id)) for image in sorted(store.images(), key=lambda i: i.frame)] == [
            0,
            1,
            0,
            0,
        ]
        assert "1 other with work" in store.slices.series()[0].notes[0]
        shown = store.image(int(store.meta_get("position") or 0))
        assert shown.frame == 5, "the nearest one"
        assert [(one.track_id, one.position) for one in store.tracks.members(shown.series_id)] == [(3, 1)]
        assert store.undo() is not None
        assert frames(store) == [0, 2, 4, 6, 8, 10]
        assert {image.frame: image.id for image in store.images()} == ids
        assert store.slices.series()[0].pick == FramePick(2)
        assert store.undo() is not None, "and the object before it"
        assert store.redo() is not None
        assert store.redo() is not None
        assert frames(store) == [0, 4, 5, 10]
    with opened(folder, ALL_FRAMES) as store:
        assert frames(store) == list(range(12))
        assert store.slices.series()[0].notes == ()


def test_a_range_without_a_frame_leaves_everything_as_it_is(folder: Path) -> None:
    with opened(folder, FramePick(1, 9000)) as store:
        assert frames(store) == list(range(12))
        assert "no frame from 0:09.000" in " ".join(store.notices)


FORMATS: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
    "coco": (export_coco_video, import_coco_video, "out.json"),
    "youtube": (export_youtube_vis, import_youtube_vis, "out.json"),
    "davis": (export_davis, import_davis, "out"),
}


@pytest.fixture
def picked(folder: Path) -> ProjectStore:
    store = opened(folder, FramePick(3, 40))
    of = {image.frame: image.id for image in store.images()}
    assert sorted(of) == [1, 4, 7, 10]
    accept(store, of[4], block(3), track_id=5)
    accept(store, of[10], block(9), track_id=5)
    return store


@pytest.mark.parametrize("name", FORMATS)
def test_objects_come_back_to_the_frames_of_the_file(name: str, picked: ProjectStore, folder: Path) -> None:
    export, take_in, out = FORMATS[name]
    target = folder.parent / out
    with picked:
        export(picked, target)
    if name == "coco":
        rows = json.loads(target.read_text("utf-8"))["images"]
        assert [(row["frame_id"], row["time_ms"]) for row in rows] == [(1, 40), (4, 400), (7, 1500), (10, 2500)]
    if name == "davis":
        assert [file.stem for file in sorted((target / "Annotations" / "clip.mkv").glob("*"))] == [
            "00001",
            "00004",
            "00007",
            "00010",
        ]
    for pick in (FramePick(3, 40), FramePick(2)):
        again = folder.parent / f"again{pick.every}"
        again.mkdir()
        (again / "clip.mkv").hardlink_to(folder / "clip.mkv")
        with opened(again, pick) as store:
            take_in(store, target)
            of = {image.id: image.frame for image in store.images()}
            found = {of[row.image_id] for row in store.all_annotations()}
            assert found == {4, 10}


def test_mots_and_cvat_number_frames_as_the_file_does(picked: ProjectStore, folder: Path) -> None:
    with picked:
        export_mots(picked, folder.parent / "mots")
        export_cvat_video(picked, folder.parent / "cvat")
    lines = (folder.parent / "mots" / "instances_txt" / "clip.mkv.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["4", "10"]
    text = (folder.parent / "cvat" / "clip.mkv.xml").read_text()
    assert "<start_frame>1</start_frame>" in text
    assert "<frame_filter>step=3</frame_filter>" in text
    assert 'frame="4" outside="0"' in text
    assert 'frame="7" outside="1"' in text, "it pauses at the next frame that the task has"
