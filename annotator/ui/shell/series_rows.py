"""What can be done with series of slices, a row each; part of the table of actions."""

from __future__ import annotations

from annotator.domain.pace import SPEEDS
from annotator.ui.shell import window_state as when
from annotator.ui.shell.action_row import ActionRow

A = ActionRow
HALF, NORMAL, DOUBLE = SPEEDS
SPEED_ACTIONS = {HALF: "play_half", NORMAL: "play_normal", DOUBLE: "play_double"}
"""Action ids by speed."""
# fmt: off
PLAY_ACTIONS: tuple[ActionRow, ...] = (
    A("play_slices", "Play the slices", "Image", "One slice after the other, again and again",
      run="commands.slices.play", keys=("Alt+P",), enabled=when.on_slice, icon="play", is_switch=True),
    A("play_half", "Half speed", "Image", "Of playing; remembered",
      run="commands.slices.choose_speed", args=(HALF,), keys=("Alt+1",), enabled=when.in_project, group="play_speed",
      together="Play at half, normal or double speed"),
    A("play_normal", "Normal speed", "Image", "Of playing: that of a video, 12 slices a second of a stack",
      run="commands.slices.choose_speed", args=(NORMAL,), keys=("Alt+2",), enabled=when.in_project, group="play_speed",
      together="Play at half, normal or double speed"),
    A("play_double", "Double speed", "Image", "Of playing; remembered",
      run="commands.slices.choose_speed", args=(DOUBLE,), keys=("Alt+3",), enabled=when.in_project, group="play_speed",
      together="Play at half, normal or double speed"),
    A("first_slice", "First slice", "Image", "Of the series",
      run="commands.slices.go_to", args=(0,), keys=("Ctrl+Home",), enabled=when.on_slice,
      together="First or last slice"),
    A("last_slice", "Last slice", "Image", "Of the series",
      run="commands.slices.go_to_last", keys=("Ctrl+End",), enabled=when.on_slice, together="First or last slice"),
)
SERIES_ACTIONS: tuple[ActionRow, ...] = (
    A("make_series", "Numbered files as a series", "Image", "Files named as this one with another number become slices",
      run="files.numbered.make", enabled=when.writable, starts_section=True),
    A("part_series", "Take the series apart", "Image", "Of numbered files: each is an image of its own again",
      run="files.numbered.part", enabled=when.on_slice_writable),
    A("choose_frames", "Frames of this video…", "Image", "Every n-th one, or a range of time; no work is lost",
      run="files.frames.choose", enabled=when.on_video_writable),
)
# fmt: on
