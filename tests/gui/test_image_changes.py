"""From image to image: reads that are not wanted any more, and images with hundreds of objects."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Edit, RowChange
from annotator.ui.labelling import canvas_objects
from annotator.ui.threads import loading
from tests.gui.shell import Desk

K = Qt.Key
pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]
MANY = 60
"""More masks than are decoded within a frame."""


class Reads:
    """Reads of image files, which can be held; what was begun, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        real = loading.load_image

        def load(path: Path, **named: object):
            self.begun.append(path.name)
            self.gate.wait(10)
            return real(path, **named)

        monkeypatch.setattr(loading, "load_image", load)


@pytest.fixture
def reads(monkeypatch):
    made = Reads(monkeypatch)
    yield made
    made.gate.set()


@pytest.fixture
def desk(desk, reads):
    yield desk
    reads.gate.set()


def shown_ids(desk: Desk) -> frozenset[int]:
    return desk.window.canvas._layer.ids


def give_objects(desk: Desk, count: int) -> None:
    """Objects on the current image, as an import would."""
    store, image = desk.session.store, desk.session.image
    ids = [store.new_id("annotation") + number for number in range(count)]
    row = Annotation(0, image.id, 1, 0, 0, 0, 0, 0, b"", image.width, image.height)
    changes = []
    for number, annotation_id in enumerate(ids):
        mask = Mask(np.ones((4, 4), np.bool_), 5 * (number % 30), 5 * (number // 30), image.width, image.height)
        fields = {name: getattr(row, name) for name in Annotation.__dataclass_fields__} | {"id": annotation_id}
        changes.append(RowChange(None, Annotation(**fields).with_mask(mask)))
    desk.session.apply(Edit("import", tuple(changes)))


def hold_reads_and_go(desk: Desk, reads: Reads, steps: int) -> None:
    """Press D while no file is read to its end; the first one's read has begun."""
    desk.until(lambda: desk.loader.cached(desk.session.images[1].id) is not None)
    desk.loader.clear()
    reads.begun.clear()
    reads.gate.clear()
    desk.key(K.Key_D)
    desk.until(lambda: reads.begun == ["1.png"])
    for _ in range(steps - 1):
        desk.key(K.Key_D)


def test_only_the_newest_image_is_read_when_the_key_is_held(desk, reads):
    desk.open(images=12)
    hold_reads_and_go(desk, reads, 9)
    reads.gate.set()
    desk.wait_image(9)
    # Two threads were busy; the others were passed over, and those beside the shown one come ahead of time.
    assert "9.png" in reads.begun[:3]
    desk.until(lambda: desk.loader.cached(desk.session.images[10].id) is not None)
    assert len({f"{number}.png" for number in range(1, 8)} & set(reads.begun)) <= 2


def test_an_image_that_is_wanted_again_in_time_is_not_read_twice(desk, reads):
    desk.open(images=6)
    hold_reads_and_go(desk, reads, 3)
    desk.key(K.Key_A)
    desk.key(K.Key_A)
    assert desk.session.image.path == "1.png"
    reads.gate.set()
    desk.wait_image(1)
    assert reads.begun.count("1.png") == 1


def test_a_given_up_read_begins_again(qtbot, tmp_path, desk, reads):
    desk.make_folder(images=2)
    loader, seen = loading.ImageLoader(), []
    loader.loaded.connect(lambda epoch, picture: seen.append((epoch, picture.image_id)))
    reads.gate.clear()
    loader.request(1, 10, desk.folder / "0.png")
    qtbot.waitUntil(lambda: reads.begun == ["0.png"])
    loader._wanted = {}  # as seen by the reading thread: another image is wanted
    reads.gate.set()
    loader._pool.waitForDone(5000)
    # Its answer, "given up", is on its way while the image is asked for again.
    loader.request(2, 10, desk.folder / "0.png")
    qtbot.waitUntil(lambda: seen == [(2, 10)])
    assert reads.begun == ["0.png", "0.png"]
    loader.shut_down()


class Decoders:
    """Whether each mask was decoded on the GUI thread; the gate holds the other thread."""

    def __init__(self) -> None:
        self.were_main: list[bool] = []
        self.gate = threading.Event()
        self.gate.set()


@pytest.fixture
def decoders(monkeypatch):
    made, real = Decoders(), Annotation.mask

    def mask(self):
        is_main = threading.current_thread() is threading.main_thread()
        made.were_main.append(is_main)
        if not is_main:
            made.gate.wait(10)
        return real(self)

    monkeypatch.setattr(Annotation, "mask", mask)
    yield made
    made.gate.set()


def come_back_to_many(desk: Desk, decoders) -> frozenset[int]:
    """Show an image with many objects whose masks are not known; its ids."""
    desk.open()
    give_objects(desk, MANY)
    desk.until(lambda: len(shown_ids(desk)) == MANY)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.program.views.objects._masks.clear()
    decoders.were_main.clear()
    desk.key(K.Key_A)
    desk.wait_image(0)
    return frozenset(a.id for a in desk.session.annotations)


def test_many_masks_are_decoded_beside_the_gui_thread(desk, decoders):
    ids = come_back_to_many(desk, decoders)
    desk.until(lambda: shown_ids(desk) == ids)
    assert decoders.were_main == [False] * MANY
    assert desk.window.objects.model.rowCount() == MANY


def test_an_object_accepted_while_masks_are_decoded_is_there_at_once(desk, decoders):
    decoders.gate.clear()
    desk.open()
    give_objects(desk, MANY)
    assert shown_ids(desk) == frozenset()
    desk.click(150, 110)
    desk.wait_mask(150, 110)
    desk.key(K.Key_Return)
    accepted = desk.session.annotations[-1]
    assert shown_ids(desk) == {accepted.id}
    desk.window.objects.select_ids(frozenset({desk.session.annotations[0].id}))
    desk.key(K.Key_Delete)
    decoders.gate.set()
    desk.until(lambda: len(shown_ids(desk)) == MANY)
    assert shown_ids(desk) == {a.id for a in desk.session.annotations}


def test_a_change_of_many_objects_is_handed_over_in_pieces(desk, decoders, monkeypatch):
    """A view of every object in one event took longer than a frame, with thousands of them."""
    ids = come_back_to_many(desk, decoders)
    objects, layer = desk.program.views.objects, desk.window.canvas._layer
    desk.until(lambda: shown_ids(desk) == ids and objects.is_complete)
    monkeypatch.setattr(canvas_objects, "MANY_OBJECTS", 20)
    monkeypatch.setattr(canvas_objects, "PIECE_OBJECTS", 20)
    gone, stays = sorted(ids)[:-5], frozenset(sorted(ids)[-5:])
    given, plain = [], layer.change

    def change(put, away, *, is_last=True):
        given.append((len(put), len(away), is_last))
        plain(put, away, is_last=is_last)

    monkeypatch.setattr(layer, "change", change)
    desk.session.delete(gone)
    desk.until(lambda: objects.is_complete and shown_ids(desk) == stays)
    sizes = [min(20, len(gone) - at) for at in range(0, len(gone), 20)]
    painted = [at + 20 >= len(gone) for at in range(0, len(gone), 20)]
    assert given == [(0, size, is_last) for size, is_last in zip(sizes, painted, strict=True)]
    given.clear()
    decoders.were_main.clear()
    desk.session.undo()
    desk.until(lambda: objects.is_complete and shown_ids(desk) == ids)
    assert given == [(size, 0, is_last) for size, is_last in zip(sizes, painted, strict=True)]
    assert not decoders.were_main, "their masks are known"
    given.clear()
    desk.session.classes.change(desk.session.category.id, colour="#123456")
    desk.until(lambda: objects.is_complete and {view.colour for view in layer._views.values()} == {"#123456"})
    assert max(put for put, _away, _is_last in given) == 20
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert shown_ids(desk) == frozenset()
    assert objects.is_complete


def test_an_image_with_more_objects_than_are_kept_is_shown(desk, decoders, monkeypatch):
    """Its masks were forgotten as soon as they were decoded, and decoded again."""
    monkeypatch.setattr(canvas_objects, "_KEPT_MASKS", MANY - 10)
    ids = come_back_to_many(desk, decoders)
    desk.until(lambda: shown_ids(desk) == ids)
    assert desk.program.views.objects.is_complete
    assert len(decoders.were_main) == MANY


def test_masks_that_come_late_do_not_land_on_the_next_image(desk, decoders):
    decoders.gate.clear()
    desk.open()
    give_objects(desk, MANY)
    desk.key(K.Key_D)
    desk.wait_image(1)
    decoders.gate.set()
    desk.program.views.objects._reader._pool.waitForDone(5000)
    desk.accept_at(60, 60)
    assert len(shown_ids(desk)) == 1


def test_selected_objects_are_not_counted_at_every_click(desk, monkeypatch):
    desk.open()
    give_objects(desk, 3)
    desk.key(K.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(desk.window.objects.selected_ids()) == 3
    asked = []
    real = desk.window.objects.selected_ids
    monkeypatch.setattr(desk.window.objects, "selected_ids", lambda: asked.append(1) or real())
    desk.click(150, 110)
    desk.wait_mask(150, 110)
    assert asked == []
    assert desk.window.actions_by_id["delete"].isEnabled()


def test_keys_go_ten_images_on_and_to_both_ends(desk):
    desk.open(images=13)
    for key, row in ((K.Key_PageDown, 10), (K.Key_PageDown, 12), (K.Key_PageUp, 2), (K.Key_End, 12), (K.Key_Home, 0)):
        desk.key(key, Qt.KeyboardModifier.AltModifier)
        desk.wait_image(row)
    desk.key(K.Key_Home, Qt.KeyboardModifier.AltModifier)
    desk.until(lambda: desk.window.status.message.text() == "This is the first image.")
