"""What a step to the next slice does on the window's thread, and what it leaves for later."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject, Qt

from annotator.domain.project import Change
from tests.unit.io.test_video import write_video

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
FRAMES = 12


class Shows(QObject):
    """Which widgets came and went."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Show, QEvent.Type.Hide) and watched.inherits("QWidget"):
            self.names.add(type(watched).__name__)
        return False


@pytest.fixture
def video(desk: Any) -> Any:
    folder = desk.root / "pictures"
    folder.mkdir()
    write_video(folder / "clip.avi", "MJPG", frames=FRAMES)
    desk.open(folder=folder, first_row=FRAMES // 2)
    desk.until(lambda: not desk.session.facts.is_waiting)
    return desk


def test_a_step_writes_no_facts_and_hides_nothing_that_is_shown_again(video: Any, qapp: Any) -> None:
    session, store = video.session, video.session.store
    changes: list[Change] = []
    session.changed.connect(changes.append)
    shows = Shows()
    loader = video.program.loader
    for step in (1, 2):
        video.until(lambda step=step: loader.cached(session.images[FRAMES // 2 + step].id) is not None)
        qapp.installEventFilter(shows)
        video.key(Qt.Key.Key_D)
        video.wait_image(FRAMES // 2 + step)
        qapp.removeEventFilter(shows)
    assert not shows.names & {"HintLine", "BusyLine", "ClassChip"}
    assert session.image.sha256, "known in the window at once"
    video.until(lambda: not session.facts.is_waiting)
    ids = {session.images[FRAMES // 2 + step].id for step in (1, 2)}
    told = [change.image_ids for change in changes if change.name == "image facts"]
    assert len(told) <= 1, "once, when the person rests"
    for image_id in ids:
        assert store.image(image_id).sha256 == session.images[session.row_of[image_id]].sha256


def test_facts_are_in_the_file_before_an_edit_and_when_the_project_closes(video: Any) -> None:
    session = video.session
    video.key(Qt.Key.Key_D)
    video.wait_image(FRAMES // 2 + 1)
    session.facts.take(session.image.id, sha256="ab" * 32, width=0, height=0, extra={})
    assert session.image.sha256 == "ab" * 32
    assert session.store.image(session.image.id).sha256 != "ab" * 32
    video.accept_at(30, 40)
    assert session.store.image(session.image.id).sha256 == "ab" * 32
