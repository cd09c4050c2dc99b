"""A long video is glanced at, shown by its first frames, and counted to its end step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.domain.errors import ImageError
from annotator.domain.media import TIME_KEY
from annotator.domain.ports.jobs import WorkCancelled
from annotator.domain.project import Edit, RowChange, Status
from annotator.io.images import decoding, frame_count, video
from annotator.io.images.frame_count import count_frames
from annotator.io.images.reading import survey_files
from annotator.io.project import opened
from annotator.io.project.opened import open_project
from annotator.io.project.picking import OpeningWish
from tests.unit.io.test_video import number_in, write_video
from tests.unit.io.uneven_video import write_uneven_video

FRAMES = 40


def test_a_glance_shows_the_first_frames_and_counting_goes_on_to_those_of_a_survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.avi", "MJPG", FRAMES)
    glance = decoding.survey(path, within_s=0.0)
    assert (glance.frames, glance.is_counted) == (2, False)
    assert video._counting == [], "the file is not kept open"
    monkeypatch.setattr(video, "_facts", None)  # nobody waits for the others
    image = decoding.load_image(path, frame=1)
    assert number_in(image.rgb) == 1
    assert image.note == "frame 2, at 0.04 s"
    monkeypatch.undo()
    steps = [decoding.count(path, seconds=0.0)]
    while steps[-1].survey is None:
        steps.append(decoding.count(path, seconds=0.001))
    assert [one.frames for one in steps] == sorted(one.frames for one in steps)
    assert (steps[-1].frames, steps[0].about) == (FRAMES, FRAMES)
    assert video._counting == []
    counted = decoding.survey(path, within_s=0.0)
    assert counted.is_counted, "it is known from now on"
    (tmp_path / "b.avi").write_bytes(path.read_bytes())
    assert counted == decoding.survey(tmp_path / "b.avi"), "as if it had been counted at once"
    again = decoding.load_image(path, frame=1)
    assert again.image_key == image.image_key
    assert again.note == f"frame 2 of {FRAMES}, at 0.04 s"


def test_another_video_and_a_changed_one_are_counted_from_their_beginnings(tmp_path: Path) -> None:
    first, other = (write_video(tmp_path / name, "MJPG", frames) for name, frames in (("a.avi", 30), ("b.avi", 20)))
    assert decoding.count(first, seconds=0.0).survey is None
    assert decoding.count(other, seconds=0.0).survey is None
    first.write_bytes(write_video(tmp_path / "c.avi", "MJPG", 10).read_bytes())
    assert [decoding.count(path, seconds=60.0).frames for path in (first, other)] == [10, 20]


def test_counting_tells_how_far_it_is_and_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_count, "STEP_S", 0.0)
    path = write_video(tmp_path / "a.avi", "MJPG", 4)
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        raise WorkCancelled

    with pytest.raises(WorkCancelled):
        count_frames(path, stop)
    assert told == [(2, 4)]
    monkeypatch.setattr(frame_count, "STEP_S", 60.0)
    assert count_frames(path, lambda *_: None) == decoding.survey(path)
    (tmp_path / "no.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(500))
    with pytest.raises(ImageError, match="no picture"):
        decoding.count(tmp_path / "no.mp4", seconds=60.0)


def write_whole(path: Path) -> None:
    write_video(path, "MJPG", FRAMES)


def write_cut_off(path: Path) -> None:
    write_whole(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def write_uneven(path: Path) -> None:
    write_uneven_video(path, [at * (10 + at) for at in range(FRAMES)])


@pytest.mark.parametrize(("name", "write"), [("a.avi", write_whole), ("a.avi", write_cut_off), ("a.mkv", write_uneven)])
def test_a_project_gets_the_other_frames_once_they_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(opened, "GLANCE_S", 0.0)
    folders = [tmp_path / "quick", tmp_path / "whole"]
    for folder in folders:
        folder.mkdir()
        write(folder / name)
    found = open_project(folders[0], is_quick=True)
    series = next(iter(found.series.values()))
    assert [image.frame for image in found.images] == [0, 1]
    cut_off = ("cut off: the frames that follow are missing",) if write is write_cut_off else ()
    assert (series.is_counted, series.notes) == (False, (*cut_off, "not all frames are counted yet"))
    assert found.first_id == found.images[0].id
    with found.store as store:
        store.apply(Edit("status", (RowChange(found.images[1], replace(found.images[1], status=Status.DONE)),)))
    found = open_project(folders[0], is_quick=True)
    assert len(found.images) == 2, "still not counted"
    found.store.close()
    counted = decoding.survey(folders[0] / name)
    wish = OpeningWish(counted=((name, counted),))  # a full disk keeps nothing of it, so it is handed on
    found, plain = open_project(folders[0], is_quick=True, wish=wish), open_project(folders[1])
    frames = len(plain.images)
    assert frames == FRAMES or write is write_cut_off
    assert len(found.images) == frames > 2
    for one, other in zip(found.images, plain.images, strict=True):
        assert replace(one, id=other.id, status=other.status) == other
    assert found.images[1].status is Status.DONE
    last = (FRAMES - 1) * (9 + FRAMES) if write is write_uneven else 40.0 * (frames - 1)
    assert found.images[-1].extra[TIME_KEY] == last
    assert [one.extra for one in found.series.values()] == [one.extra for one in plain.series.values()]
    found.store.close()
    plain.store.close()


def test_a_look_without_haste_counts_what_a_window_had_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of the command line: the window was closed before it had counted."""
    monkeypatch.setattr(opened, "GLANCE_S", 0.0)
    write_video(tmp_path / "a.avi", "MJPG", FRAMES)
    open_project(tmp_path, is_quick=True).store.close()
    assert not survey_files(tmp_path, ["a.avi"], within_s=0.0)["a.avi"].is_counted
    found = open_project(tmp_path)
    found.store.close()
    assert len(found.images) == FRAMES
    assert all(one.is_counted for one in found.series.values())
