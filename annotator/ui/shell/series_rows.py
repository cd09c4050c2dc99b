"""What can be done with series of slices, a row each; part of the table of actions."""

from __future__ import annotations

from annotator.ui.shell import window_state as when
from annotator.ui.shell.action_row import ActionRow

A = ActionRow
# fmt: off
SERIES_ACTIONS: tuple[ActionRow, ...] = (
    A("make_series", "Numbered files as a series", "Image", "Files named as this one with another number become slices",
      run="files.numbered.make", enabled=when.writable, starts_section=True),
    A("part_series", "Take the series apart", "Image", "Of numbered files: each is an image of its own again",
      run="files.numbered.part", enabled=when.on_slice_writable),
)
# fmt: on
