"""Every n-th frame and a range of time of a video, in the window."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.frame_pick import FramePick
from annotator.ui.project import frame_choice
from annotator.ui.project.frame_choice import OFFERED, TOPIC
from tests.unit.io.test_video import write_video

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
FRAMES = 60


@pytest.fixture
def video(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of 25 frames a second, long enough to be asked about."""
    monkeypatch.setattr(frame_choice, "MANY_FRAMES", FRAMES)
    folder = desk.root / "pictures"
    folder.mkdir()
    write_video(folder / "clip.avi", "MJPG", frames=FRAMES)
    desk.open(folder=folder, first_row=FRAMES // 2)
    return desk


def dialog_of(desk: Any) -> Any:
    desk.until(lambda: desk.program.files.frames.dialog is not None)
    return desk.program.files.frames.dialog


def frames_of(desk: Any) -> list[int]:
    return [image.frame for image in desk.session.images]


def test_a_long_video_is_offered_chosen_changed_and_taken_back(video: Any) -> None:
    window, session = video.window, video.session
    video.until(lambda: window.notices.has(TOPIC))
    assert "clip.avi has 60 frames" in window.area.error_bar.text
    video.accept_at(30, 40)
    window.area.error_bar.button.click()
    dialog = dialog_of(video)
    QTest.keyClicks(dialog.start, "0:00.400")
    QTest.keyClicks(dialog.end, "2")
    dialog.every.setFocus()
    dialog.every.selectAll()
    QTest.keyClicks(dialog.every, "10")
    assert dialog.count.text() == "5 of 60 frames, 0.4 s apart."
    QTest.keyClicks(dialog.end, "x")
    assert not dialog.take_button.isEnabled()
    assert "is not a time" in dialog.note.text()
    QTest.keyClick(dialog.end, Qt.Key.Key_Backspace)
    dialog.every.selectAll()
    QTest.keyClicks(dialog.every, "9")
    assert dialog.count.text().endswith("1 other frame with work stays, too.")
    QTest.mouseClick(dialog.take_button, Qt.MouseButton.LeftButton)
    video.until(lambda: frames_of(video) == [10, 19, 28, 30, 37, 46])
    video.until(lambda: session.image is not None and session.image.frame == 30)
    assert len(session.annotations) == 1
    video.until(lambda: window.area.slices.isVisible())
    assert window.area.slices.track.count == 6
    assert "every 9th frame from 0:00.400 to 0:02.000" in window.area.slices.track.toolTip()
    assert len(json.loads(session.store.meta_get(OFFERED))) == 1
    assert not window.notices.has(TOPIC)
    window.actions_by_id["undo"].trigger()
    video.until(lambda: frames_of(video) == list(range(FRAMES)))
    window.actions_by_id["redo"].trigger()
    video.until(lambda: frames_of(video) == [10, 19, 28, 30, 37, 46])
    video.until(lambda: session.image is not None)
    window.actions_by_id["choose_frames"].trigger()
    dialog = dialog_of(video)
    assert dialog.pick() == FramePick(9, 400, 2000)
    QTest.mouseClick(dialog.all_button, Qt.MouseButton.LeftButton)
    QTest.mouseClick(dialog.take_button, Qt.MouseButton.LeftButton)
    video.until(lambda: frames_of(video) == list(range(FRAMES)))
    assert not window.notices.has(TOPIC), "somebody was asked"


def test_all_frames_is_an_answer_too(video: Any) -> None:
    video.until(lambda: video.window.notices.has(TOPIC))
    video.window.area.error_bar.close_button.click()
    video.session.opened.emit()  # as when it is opened the next time
    assert not video.window.notices.has(TOPIC)
