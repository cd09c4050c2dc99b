"""Tracks of other programs onto a video that is open: COCO video, YouTube-VIS and DAVIS, through the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from annotator.domain.mask import Mask
from annotator.io.formats.coco_video import export_coco_video
from annotator.io.formats.davis import export_davis
from annotator.io.formats.youtube_vis import export_youtube_vis
from annotator.io.project.store import ProjectStore
from annotator.ui.dialogs.work_dialog import WorkDialog
from tests.unit.io.builders import accept
from tests.unit.io.test_video import HEIGHT, WIDTH, write_video

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
FRAMES = 8


def block(frame: int) -> Mask:
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[20:50, 10 + 8 * frame : 40 + 8 * frame] = True
    return Mask.from_full(full)


def test_all_three_come_onto_the_open_video(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, folder = desk.root / "theirs", desk.root / "pictures"
    for made in (theirs, folder):
        made.mkdir()
    clip = write_video(theirs / "clip.avi", "MJPG", frames=FRAMES)
    (folder / "clip.avi").hardlink_to(clip)
    with ProjectStore.open_folder(theirs) as store:
        for image in store.images():
            if 2 <= image.frame <= 5:
                accept(store, image.id, block(image.frame), track_id=3)
        export_coco_video(store, desk.root / "tracks.json")
        export_youtube_vis(store, desk.root / "vis.json")
        export_davis(store, desk.root / "davis")
    desk.open(folder=folder, first_row=FRAMES // 2)
    session, picture = desk.session, next((desk.root / "davis").rglob("00004.png"))
    for given in (desk.root / "tracks.json", desk.root / "vis.json", picture):
        wait_for_tracks(desk, given, monkeypatch)
        assert [row.mask().same_pixels(block(4)) for row in session.annotations] == [True]
        assert len({row.track_id for row in session.store.all_annotations()} - {0}) == 1
        desk.window.actions_by_id["undo"].trigger()
        desk.until(lambda: not session.large.is_busy and not list(session.store.all_annotations()))


def wait_for_tracks(desk: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the menu, as a person does; only the system's own dialog for files is answered here."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args, **_more: (str(path), ""))
    desk.key(Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier)
    desk.until(lambda: desk.window.findChild(WorkDialog) is not None)
    dialog = desk.window.findChild(WorkDialog)
    desk.until(lambda: not dialog.is_running)
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    assert "4 objects" in dialog.report.toPlainText()
    dialog.close()
    desk.until(lambda: desk.window.findChild(WorkDialog) is None)
    desk.until(lambda: desk.window.area.slices.isVisible() and desk.shown_row() == FRAMES // 2)
    assert len(list(desk.session.store.all_annotations())) == 4
