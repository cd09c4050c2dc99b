"""What can be done with tracks, a row each; part of the table of actions."""

from __future__ import annotations

from annotator.ui.shell import window_state as when
from annotator.ui.shell.action_row import ActionRow

A = ActionRow
# fmt: off
TRACK_ACTIONS: tuple[ActionRow, ...] = (
    A("carry_forward", "Carry forward", "Track", "The selected objects, else all of this image, to the next key frame",
      run="tracks.carry", args=("forward",), keys=("Ctrl+Shift+Right",), enabled=when.on_slice_writable),
    A("carry_backward", "Carry backward", "Track", "The same toward the beginning of the series",
      run="tracks.carry", args=("backward",), keys=("Ctrl+Shift+Left",), enabled=when.on_slice_writable),
    A("carry_both", "Carry to both sides", "Track", "Forward, then backward, as one step",
      run="tracks.carry", args=("both",), keys=("Ctrl+Shift+B",), enabled=when.on_slice_writable),
    A("carry_one_forward", "Carry one frame forward", "Track", "To the next frame only",
      run="tracks.carry", args=("forward", 1), keys=("Alt+.",), enabled=when.on_slice_writable,
      together="Carry one frame"),
    A("carry_one_backward", "Carry one frame backward", "Track", "To the frame before only",
      run="tracks.carry", args=("backward", 1), keys=("Alt+,",), enabled=when.on_slice_writable,
      together="Carry one frame"),
    A("fill_between", "Fill between key frames", "Track", "From the key frames to both sides of here",
      run="tracks.fill", keys=("Ctrl+Shift+F",), enabled=when.on_slice_writable),
    A("stop_carrying", "Stop carrying", "Track", "What was carried stays",
      run="tracks.stop", enabled=when.carrying),
    A("key_frame", "Key frame", "Track", "Make one of a carried mask, or give it up; runs leave key frames as they are",
      run="track_edits.toggle_key", keys=("Alt+Y",), enabled=when.on_slice_writable, starts_section=True),
    A("doubtful_next", "Next doubtful frame", "Track", "Of the selected object, else of any",
      run="track_edits.go_doubtful", args=(+1,), keys=(".",), enabled=when.on_slice, repeats=True,
      together="Doubtful frames in turn"),
    A("doubtful_previous", "Previous doubtful frame", "Track", "The one before",
      run="track_edits.go_doubtful", args=(-1,), keys=("Ctrl+.",), enabled=when.on_slice, repeats=True,
      together="Doubtful frames in turn"),
    A("delete_carried", "Delete carried masks from here", "Track", "Key frames stay",
      run="track_edits.delete_carried", keys=("Shift+Del",), enabled=when.on_slice_writable, starts_section=True),
    A("split_track", "Split track here", "Track", "From this frame on it is another object",
      run="track_edits.split", enabled=when.on_slice_writable),
    A("limit_first", "First frame to carry to", "Track", "Runs go no further back; again takes that back",
      run="tracks.set_limit", args=("first",), keys=("Alt+I",), enabled=when.on_slice, starts_section=True),
    A("limit_last", "Last frame to carry to", "Track", "Runs go no further; again takes that back",
      run="tracks.set_limit", args=("last",), keys=("Alt+O",), enabled=when.on_slice),
)
# fmt: on
