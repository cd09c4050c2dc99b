"""What a step to the next slice does on the window's thread, and what it leaves for later."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.project import Change
from annotator.ui.project import fact_book
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


def test_a_step_writes_no_facts_and_hides_nothing_that_is_shown_again(
    video: Any, qapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_book, "REST_MS", 60_000)
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
    assert session.facts.is_waiting
    session.facts._timer.setInterval(0)
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


class Counter(QObject):
    """Counts events of one kind of one widget."""

    def __init__(self, kind: QEvent.Type, of: QObject) -> None:
        super().__init__()
        self._kind, self.count = kind, 0
        of.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.count += event.type() is self._kind
        return False


def step_to_one_at_hand(video: Any) -> None:
    session, loader = video.session, video.program.loader
    following = session.neighbour(+1)
    video.until(lambda: loader.cached(following.id) is not None)
    video.key(Qt.Key.Key_D)
    assert video.program.bench.picture.image_id == following.id, "in this very event"


def test_a_step_lays_nothing_out_and_tells_of_each_slice_once(video: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that changes asked for a new layout up to the window, which then was painted as a whole."""
    monkeypatch.setattr(fact_book, "REST_MS", 60_000)
    video.program.bench.passing._timer.setInterval(60_000)
    video.window.status.encode.setText("encode 88888 ms cached")
    for _ in range(3):
        step_to_one_at_hand(video)  # the labels have the room of their longest text then
    for _ in range(8):
        QApplication.processEvents()  # a new layout goes up from widget to widget, an event each
    layouts, states = Counter(QEvent.Type.LayoutRequest, video.window), list[object]()
    enabled, enable = list[object](), video.window.actions_by_id.enable
    video.refine.state_changed.connect(states.append)
    video.window.actions_by_id.enable = lambda state: (enabled.append(state), enable(state))
    for steps in (1, 2):
        step_to_one_at_hand(video)
        QApplication.processEvents()
        assert layouts.count == 0
        assert len(states) == steps
        assert len(enabled) <= 4 * steps
    assert video.window.area.slices.label.text().startswith(f"{FRAMES} / {FRAMES}")


def test_panels_that_tell_of_a_slice_follow_when_the_person_rests(video: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fact_book, "REST_MS", 60_000)
    window, passing = video.window, video.program.bench.passing
    for name in ("facts", "window"):
        window.show_panel(name, True)
    shown, greys = list[Any](), list[object]()
    facts, panel = window.panels["facts"], window.panels["window"]
    show_facts, show_source = facts.show_facts, panel.show_source
    monkeypatch.setattr(facts, "show_facts", lambda found: (shown.append(dict(found)), show_facts(found)))
    monkeypatch.setattr(panel, "show_source", lambda *what: (greys.append(what), show_source(*what)))
    passing._timer.setInterval(60_000)
    for _ in range(3):
        step_to_one_at_hand(video)
    assert passing.is_passing
    assert not shown
    assert not greys
    passing._timer.setInterval(0)
    video.until(lambda: not passing.is_passing)
    assert len(greys) == 1
    assert "10 of 12" in shown[-1]["Series"]
    monkeypatch.setattr(video.program.loader, "cached", lambda _id: None)
    video.key(Qt.Key.Key_D)
    assert len(greys) == 1, "what is on the canvas stays until the next slice is read"
    video.wait_image(FRAMES // 2 + 4)
    video.until(lambda: len(greys) == 2)


def test_the_position_is_written_when_the_person_rests_and_when_the_project_closes(video: Any) -> None:
    session, store = video.session, video.session.store
    step_to_one_at_hand(video)
    here = str(session.image.id)
    assert store.meta_get("position") != here
    video.until(lambda: store.meta_get("position") == here)
    step_to_one_at_hand(video)
    here = session.image.id
    video.crash()
    video.open(folder=video.folder, first_row=FRAMES // 2 + 2)
    assert video.session.image.id == here


def test_the_cursor_lays_nothing_out(video: Any) -> None:
    """Its place in the status line changes with every move."""
    viewport = video.window.canvas.viewport()
    QTest.mouseMove(viewport, video._at(10, 10))
    for _ in range(8):
        QApplication.processEvents()
    layouts = Counter(QEvent.Type.LayoutRequest, video.window)
    for x in (12, 20, 30):
        QTest.mouseMove(viewport, video._at(x + 0.5, 20.5))
        QApplication.processEvents()
        assert video.window.status.place.text() == f"{x}, 20"
    assert layouts.count == 0
