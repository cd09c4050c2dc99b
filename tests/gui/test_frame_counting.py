"""A long video in the window: its first frames at once, the others when they are counted and the hands are free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from annotator.io.images.frame_count import count_frames
from annotator.io.images.survey import Survey
from annotator.io.project import opened
from annotator.jobs.job import JobState
from annotator.ui.canvas.seen import seen_by, show_again
from annotator.ui.labelling import frame_counting
from tests.unit.io.test_video import write_video

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
FRAMES = 30


class Counting:
    """Real counting, which waits at a gate; it can be stopped there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate, self.begun = threading.Event(), 0
        monkeypatch.setattr(opened, "GLANCE_S", 0.0)
        monkeypatch.setattr(frame_counting, "count_frames", self.count)

    def count(self, path: Path, progress: Callable[[int, int], None]) -> Survey:
        self.begun += 1
        progress(2, FRAMES)
        while not self.gate.wait(0.01):
            progress(2, FRAMES)
        return count_frames(path, progress)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    made = Counting(monkeypatch)
    yield made
    made.gate.set()


@pytest.fixture
def video(desk: Any, counting: Counting) -> Any:
    folder = desk.root / "pictures"
    folder.mkdir()
    write_video(folder / "clip.avi", "MJPG", frames=FRAMES)
    desk.open(folder=folder)
    return desk


def test_first_frames_are_shown_and_the_others_come_when_the_hands_are_free(video: Any, counting: Counting) -> None:
    session, label = video.session, video.window.area.slices.label
    assert len(session.images) == 2
    assert label.text() == "1 / 2  ·  not all frames are counted yet"
    video.until(lambda: counting.begun == 1)
    job = video.window.jobs.jobs[0]
    assert job.title == "Count the frames of clip.avi"
    video.accept_at(30, 40)
    video.key(Qt.Key.Key_D)
    video.wait_image(1)
    video.click(60, 60)
    video.wait_mask(60, 60)
    counting.gate.set()
    video.until(lambda: job.standing.state is JobState.DONE)
    video.until(lambda: not video.window.jobs.running)
    video.key(Qt.Key.Key_Tab)
    assert len(session.images) == 2, "not in the middle of an object"
    video.key(Qt.Key.Key_Return)
    video.until(lambda: len(session.images) == FRAMES)
    video.wait_image(1)
    video.until(lambda: label.text() == f"2 / {FRAMES}")
    assert len(session.annotations) == 1
    assert session.store.annotation_counts() == {image.id: 1 for image in session.images[:2]}
    video.session.go_to(session.images[-1].id)
    video.wait_image(FRAMES - 1)
    assert counting.begun == 1


def test_the_frame_that_is_looked_at_stays_as_large_as_it_was(video: Any, counting: Counting) -> None:
    canvas, session = video.window.canvas, video.session
    video.key(Qt.Key.Key_D)
    video.wait_image(1)
    canvas.zoom_by(3.0)
    canvas.pan_by(-40, 25)
    before = seen_by(canvas)
    counting.gate.set()
    video.until(lambda: len(session.images) == FRAMES)
    video.wait_image(1)
    after = seen_by(canvas)
    assert (after.zoom, after.image_size) == (before.zoom, before.image_size)
    one_px = 1.5 / before.zoom
    assert abs(after.x - before.x) < one_px
    assert abs(after.y - before.y) < one_px
    video.key(Qt.Key.Key_F)
    assert seen_by(canvas) is None
    canvas.set_image_size(10, 10)
    show_again(canvas, after)
    assert seen_by(canvas) is None, "an image of another size"


def test_who_cancels_counting_keeps_the_first_frames_and_is_told(video: Any, counting: Counting) -> None:
    video.until(lambda: counting.begun == 1)
    video.window.jobs.jobs[0].cancel()
    told = "clip.avi has more frames than these. They come when the project is opened again."
    video.until(lambda: video.window.status.message.text() == told)
    video.key(Qt.Key.Key_D)
    video.wait_image(1)
    assert counting.begun == 1


def test_closing_stops_counting_and_the_next_time_goes_on_with_it(video: Any, counting: Counting) -> None:
    video.until(lambda: counting.begun == 1)
    job = video.window.jobs.jobs[0]
    folder = video.make_other_folder()
    video.program.files.open_path(folder)
    video.until(lambda: job.standing.state is JobState.CANCELLED)
    video.until(lambda: len(video.session.images) == 1)
    counting.gate.set()
    video.program.files.open_path(video.folder)
    # A reader that was asked for a frame may have counted meanwhile: then there is nothing left to count.
    video.until(lambda: len(video.session.images) == FRAMES)
