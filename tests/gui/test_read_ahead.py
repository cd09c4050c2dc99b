"""Slices are read before somebody comes to them, and what is asked for goes first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PySide6.QtCore import Qt

from annotator.ui.labelling.read_ahead import NEXT
from annotator.ui.threads import loading

K = Qt.Key
pytestmark = [pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)]
SLICES, MIDDLE = 14, 7


class Reads:
    """Reads of frames, in order; those of ``held`` stand at the gate."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[int] = []
        self.held: Callable[[int], bool] = lambda _frame: False
        self.gate = threading.Event()
        real = loading.load_image

        def load(path: Path, *, frame: int, **named: Any) -> object:
            self.begun.append(frame)
            if self.held(frame):
                self.gate.wait(60)
            return real(path, frame=frame, **named)

        monkeypatch.setattr(loading, "load_image", load)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    made = Reads(monkeypatch)
    yield made
    made.gate.set()


def make_stack(folder: Path, count: int = SLICES) -> Path:
    folder.mkdir(exist_ok=True)
    pages = [Image.new("L", (40, 30), 5 * number) for number in range(count)]
    pages[0].save(folder / "m.tif", save_all=True, append_images=pages[1:])
    return folder


@pytest.fixture
def loader(qtbot: Any, reads: Reads) -> Iterator[loading.ImageLoader]:
    made = loading.ImageLoader()
    yield made
    reads.gate.set()
    made.shut_down()


@pytest.fixture
def desk(desk: Any, reads: Reads) -> Any:  # the gate opens before the window closes
    return desk


def rows_in_memory(desk: Any) -> set[int]:
    return {row for row, image in enumerate(desk.session.images) if desk.loader.cached(image.id) is not None}


# --- the loader -----------------------------------------------------------------------------------------------------


def test_what_is_wanted_does_not_wait_for_what_is_read_ahead(
    qtbot: Any, tmp_path: Path, loader: loading.ImageLoader, reads: Reads
) -> None:
    path, shown = make_stack(tmp_path / "s") / "m.tif", list[int]()
    loader.loaded.connect(lambda _epoch, picture: shown.append(picture.image_id))
    reads.held = lambda frame: frame in (1, 2, 3)
    for frame in (1, 2, 3):
        loader.preload(100 + frame, path, frame=frame)
    qtbot.waitUntil(lambda: len(reads.begun) == loading.AHEAD_AT_ONCE)
    loader.request(1, 109, path, frame=9, keeps_ahead=True)
    qtbot.waitUntil(lambda: shown == [109])
    assert not any(loader.holds(100 + frame) for frame in (1, 2, 3))
    loader.request(2, 101, path, frame=1, keeps_ahead=True)  # it is being read already
    reads.gate.set()
    qtbot.waitUntil(lambda: shown == [109, 101])
    assert reads.begun.count(1) == 1


def test_memory_is_kept_for_the_nearest_slices(
    qtbot: Any, tmp_path: Path, loader: loading.ImageLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_stack(tmp_path / "s") / "m.tif"
    ended: list[bool] = []
    loader.ahead_ended.connect(lambda: ended.append(True))
    for frame in range(3):
        loader.preload(frame, path, frame=frame)
        qtbot.waitUntil(lambda: loader.ahead == 0)
    size = loader.cached(0).nbytes  # type: ignore[union-attr]
    monkeypatch.setattr(loading, "kept_bytes", lambda: 4 * size)
    loader.keep_near((5, 6, 4, 7))
    for frame in (5, 6, 4, 7):
        loader.preload(frame, path, frame=frame)
        qtbot.waitUntil(lambda: loader.ahead == 0)
    assert {frame for frame in range(SLICES) if loader.holds(frame)} == {4, 5, 6, 7}, "the others go first"
    loader.keep_near((5, 6, 4, 7, 3))
    loader.preload(3, path, frame=3)
    qtbot.waitUntil(lambda: loader.ahead == 0)
    assert {frame for frame in range(SLICES) if loader.holds(frame)} == {4, 5, 6, 7}, "then the farthest"
    assert len(ended) == 8


def test_pictures_take_no_more_than_their_part_of_what_an_image_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.budget, "limit_bytes", lambda: 400 << 20)
    assert loading.kept_bytes() == 100 << 20
    monkeypatch.setattr(loading.budget, "limit_bytes", lambda: 400 << 30)
    assert loading.kept_bytes() == loading.LRU_BYTES


def test_after_its_end_a_loader_reads_nothing_ahead(tmp_path: Path, loader: loading.ImageLoader, reads: Reads) -> None:
    """A timer of the window may still ask for it."""
    loader.shut_down()
    loader.preload(1, make_stack(tmp_path / "s") / "m.tif", frame=1)
    loader._ahead_pool.waitForDone(5000)
    assert (loader.ahead, reads.begun) == (0, [])


# --- the window -----------------------------------------------------------------------------------------------------


def test_at_rest_all_slices_are_read_the_nearest_first_and_a_held_key_finds_them_there(desk: Any, reads: Reads) -> None:
    desk.open(folder=make_stack(desk.root / "stack"), first_row=MIDDLE)
    desk.until(lambda: len(rows_in_memory(desk)) == SLICES)
    assert sorted(reads.begun) == list(range(SLICES)), "each once"
    distances = [abs(frame - MIDDLE) for frame in reads.begun]
    assert distances[0] == 0
    assert max(distances[: len(NEXT) + 1]) <= 3, "the next ones before all others"
    assert distances[-1] >= MIDDLE - 1
    reads.held = lambda _frame: True
    for row in range(MIDDLE + 1, SLICES):
        desk.key(K.Key_D)
        assert desk.shown_row() == row, "in this very event"
    for row in reversed(range(SLICES - 1)):
        desk.key(K.Key_PageUp)
        assert desk.shown_row() == row


def test_the_model_goes_before_slices_that_somebody_may_come_to(desk: Any, reads: Reads) -> None:
    desk.engine.segmenter.encode_gate.close()
    desk.open(folder=make_stack(desk.root / "stack"), first_row=MIDDLE)
    next_ones = {MIDDLE, *(MIDDLE + step for step in NEXT)}
    desk.until(lambda: rows_in_memory(desk) == next_ones)
    desk.program.bench.passing._on_rest()
    assert desk.loader.ahead == 0
    desk.engine.segmenter.encode_gate.open()
    desk.until(lambda: len(rows_in_memory(desk)) == SLICES)


def test_whoever_goes_on_is_read_ahead_of_and_leaving_the_series_ends_it(desk: Any, reads: Reads) -> None:
    folder = make_stack(desk.make_folder(images=1))
    desk.engine.segmenter.encode_gate.close()  # so that at rest no more than the next ones are read
    desk.open(folder=folder)
    reads.held = lambda frame: frame > MIDDLE + 3
    desk.session.go_to(desk.session.images[1 + MIDDLE].id)
    desk.until(lambda: {1 + MIDDLE + step for step in (0, *NEXT)} <= rows_in_memory(desk))
    desk.key(K.Key_D)
    desk.wait_image(2 + MIDDLE)
    desk.until(lambda: MIDDLE + 4 in reads.begun)
    assert desk.loader.ahead
    desk.key(K.Key_Home, Qt.KeyboardModifier.AltModifier)
    desk.wait_image(0)
    assert desk.loader.ahead == 0
    begun = len(reads.begun)
    reads.gate.set()
    desk.loader._ahead_pool.waitForDone(5000)
    desk.qtbot.waitUntil(lambda: not desk.loader._reading)
    assert reads.begun[begun:] == [], "nothing more of it"


def test_a_series_of_another_project_has_a_slider_of_its_own(desk: Any) -> None:
    """Both have the same number."""
    desk.open(folder=make_stack(desk.root / "stack"), first_row=MIDDLE)
    assert desk.window.area.slices.label.text() == f"{MIDDLE + 1} / {SLICES}"
    desk.program.files.open_path(make_stack(desk.root / "other stack", 4))
    desk.until(lambda: len(desk.session.images) == 4)
    desk.wait_image(2)
    assert desk.window.area.slices.label.text() == "3 / 4"
    assert desk.window.area.slices.track.count == 4
