"""Playing a video at half, normal and double speed, and going far by keys."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from annotator.io.settings import Settings
from tests.unit.io.test_video import write_video

K = Qt.Key
ALT, CTRL = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier
pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
FRAMES = 30
STEP_MS = 40.0


@pytest.fixture
def video(desk):
    """A video of 25 frames a second, its first frame shown, and a clock that stands."""
    folder = desk.root / "pictures"
    folder.mkdir()
    write_video(folder / "clip.avi", "MJPG", frames=FRAMES)
    desk.open(folder=folder, first_row=FRAMES // 2)
    desk.key(K.Key_Home, CTRL)
    desk.wait_image(0)
    desk.clock_ms = 0.0
    slices = desk.program.commands.slices
    slices.now_ms = lambda: desk.clock_ms
    return desk


def after(desk, waited_ms):
    desk.clock_ms += waited_ms
    desk.program.commands.slices.show_following()


def test_speeds_are_chosen_by_key_and_by_the_button_and_remembered(video):
    bar, settings = video.window.area.slices, video.root / "settings.toml"
    assert bar.speed_button.text() == "1×"
    video.key(K.Key_3, ALT)
    assert (bar.speed_button.text(), Settings.load(settings).get("play_speed")) == ("2×", 2.0)
    half = next(one for one in bar.speed_button.menu().actions() if one.text() == "Half speed")
    half.trigger()
    assert (bar.speed_button.text(), Settings.load(settings).get("play_speed")) == ("0.5×", 0.5)
    assert half.isChecked()
    assert not video.window.actions_by_id["play_double"].isChecked()


def test_a_video_plays_in_its_own_time_times_the_speed(video):
    slices = video.program.commands.slices
    video.key(K.Key_P, ALT)
    slices._timer.stop()  # its beats are given by hand
    after(video, STEP_MS)
    video.wait_image(1)
    after(video, 3 * STEP_MS)  # late: what was missed is passed over
    video.wait_image(4)
    slices.show_speed(2.0)
    slices._timer.stop()
    after(video, 4 * STEP_MS)
    video.wait_image(12)
    slices.show_speed(0.5)
    slices._timer.stop()
    after(video, 4 * STEP_MS)
    video.wait_image(14)
    after(video, 0.1 * STEP_MS)  # too early
    assert video.session.row_of[video.session.image.id] == 14


def test_keys_go_far_and_to_the_ends_of_the_series(video):
    for key, modifier, row in (
        (K.Key_PageDown, ALT, 10),
        (K.Key_End, CTRL, FRAMES - 1),
        (K.Key_PageUp, ALT, FRAMES - 11),
        (K.Key_Home, CTRL, 0),
    ):
        video.key(key, modifier)
        video.wait_image(row)
