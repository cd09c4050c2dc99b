"""A series in the window: one tile, a slider, keys and wheel, playing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.domain.image_filter import ImageFilter
from annotator.domain.project import Status, status_edit
from annotator.io.images.reading import load_image
from annotator.ui.panels.list_models import DRAFTS_ROLE, ROW_ROLE, SLICES_ROLE
from annotator.ui.shell.slice_bar import Mark
from tests.unit.io.dicom_builders import write_slice

K = Qt.Key
CTRL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
SLICES = 9


@pytest.fixture
def stack(desk):
    """A photograph, a stack of nine pages and another photograph; the middle page is shown."""
    folder = desk.root / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8)
    pages = [Image.fromarray(np.roll(noise, number)) for number in range(SLICES)]
    pages[0].save(folder / "m.tif", save_all=True, append_images=pages[1:])
    for name in ("a.png", "z.png"):
        Image.fromarray(noise).save(folder / name)
    desk.open(folder=folder)
    desk.window.film.picked.emit(desk.window.film.model.index(1).data(ROW_ROLE).id)
    desk.wait_image(1 + SLICES // 2)
    return desk


def bar(desk):
    return desk.window.area.slices


def position(desk):
    return bar(desk).track.position


def wheel(desk, notches, modifier):
    canvas = desk.window.canvas
    at = QPointF(canvas.viewport().rect().center())
    turn = QPoint(120 * notches, 0)  # sideways, as with Alt on most systems
    event = QWheelEvent(
        at,
        canvas.viewport().mapToGlobal(at),
        QPoint(),
        turn,
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas.viewport(), event)


def test_a_series_is_one_tile_that_says_how_many_slices_it_has(stack):
    model = stack.window.film.model
    assert [model.index(row).data() for row in range(model.rowCount())] == ["a.png", "m.tif", "z.png"]
    assert [model.index(row).data(SLICES_ROLE) for row in range(3)] == [None, SLICES, None]
    assert "9 slices, 0 done" in model.index(1).data(Qt.ItemDataRole.ToolTipRole)
    for image in stack.session.images[1 : SLICES + 1]:
        stack.session.apply(status_edit(image, Status.DONE))
    assert model.index(1).data(ROW_ROLE).status is Status.DONE
    stack.session.undo()
    assert model.index(1).data(ROW_ROLE).status is Status.IN_PROGRESS
    assert "8 done" in model.index(1).data(Qt.ItemDataRole.ToolTipRole)


def test_the_slider_goes_through_the_slices_and_is_there_for_slices_only(stack):
    assert bar(stack).isVisible()
    assert position(stack) == SLICES // 2
    track = bar(stack).track
    QTest.mouseClick(track, Qt.MouseButton.LeftButton, pos=QPoint(round(track.x_of(7)), track.height() // 2))
    stack.wait_image(8)
    assert (position(stack), bar(stack).label.text()) == (7, "8 / 9")
    track.setFocus()
    stack.key(K.Key_Home)
    stack.wait_image(1)
    stack.key(K.Key_Left)
    assert position(stack) == 0
    stack.key(K.Key_Right)
    stack.wait_image(2)
    stack.key(K.Key_End)
    stack.wait_image(SLICES)
    stack.session.go_to(stack.session.images[0].id)
    stack.wait_image(0)
    assert not bar(stack).isVisible()


def test_keys_and_the_wheel_with_alt_go_slice_by_slice(stack):
    stack.key(K.Key_D)
    stack.wait_image(6)
    stack.key(K.Key_PageUp)
    stack.wait_image(5)
    wheel(stack, -2, ALT)
    stack.wait_image(7)
    wheel(stack, 3, ALT)
    stack.wait_image(4)
    zoom = stack.window.canvas.zoom
    wheel(stack, -40, ALT)
    stack.wait_image(SLICES)  # not beyond the series
    assert stack.window.canvas.zoom == zoom


def test_zoom_and_place_stay_from_slice_to_slice(stack):
    canvas = stack.window.canvas
    canvas.zoom_by(3.0)
    canvas.pan_by(20, 10)
    before = canvas.zoom, canvas.view_to_image(QPointF(50, 50))
    stack.key(K.Key_D)
    stack.wait_image(6)
    assert (canvas.zoom, canvas.view_to_image(QPointF(50, 50))) == before
    stack.key(K.Key_PageDown, CTRL)
    stack.wait_image(SLICES + 1)
    assert canvas.zoom != before[0]


def test_a_series_is_left_and_come_back_to_at_the_same_slice(stack):
    stack.key(K.Key_D)
    stack.wait_image(6)
    stack.key(K.Key_PageDown, CTRL)
    stack.wait_image(SLICES + 1)
    stack.key(K.Key_PageUp, CTRL)
    stack.wait_image(6)
    stack.key(K.Key_PageUp, CTRL)
    stack.wait_image(0)
    stack.key(K.Key_PageUp, CTRL)
    assert "first image or series" in stack.window.status.message.text()
    assert stack.window.film.model.index(1).data(ROW_ROLE).frame == 5


def test_slices_with_objects_and_finished_ones_are_marked(stack):
    stack.accept_at(60, 60)
    marks = bar(stack).track._slices.marks
    assert [at for at, mark in enumerate(marks) if mark is Mark.OBJECTS] == [SLICES // 2]
    stack.key(K.Key_D)
    stack.wait_image(6)
    stack.key(K.Key_X)
    marks = bar(stack).track._slices.marks
    assert (marks[4], marks[5]) == (Mark.OBJECTS, Mark.DONE)
    stack.key(K.Key_Z, CTRL)
    stack.key(K.Key_Z, CTRL)
    assert set(bar(stack).track._slices.marks) == {Mark.NONE}


def test_a_click_on_a_slice_is_kept_with_it(stack):
    stack.click(60, 60)
    stack.wait_mask(60, 60)
    stack.key(K.Key_D)
    stack.wait_image(6)
    assert not stack.refine.state.is_active
    assert stack.window.film.model.index(1).data(DRAFTS_ROLE) == 1
    stack.key(K.Key_A)
    stack.wait_image(5)
    stack.until(lambda: stack.refine.state.mask is not None)
    stack.key(K.Key_Return)
    stack.until(lambda: len(stack.session.annotations) == 1)
    assert stack.session.image.frame == 4


def test_playing_shows_one_slice_after_the_other_and_starts_again(stack):
    slices = stack.program.commands.slices
    stack.key(K.Key_P, ALT)
    assert slices.is_playing
    seen = set()
    stack.until(lambda: seen.add(position(stack)) or len(seen) == SLICES)
    stack.key(K.Key_P, ALT)
    assert not slices.is_playing
    bar(stack).play_button.click()
    assert slices.is_playing
    stack.session.go_to(stack.session.images[0].id)
    assert not slices.is_playing
    assert not stack.window.actions_by_id["play_slices"].isEnabled()


def test_a_filter_keeps_a_series_while_one_of_its_slices_fits(stack):
    model = stack.window.film.model
    stack.session.apply(status_edit(stack.session.images[3], Status.DONE))
    stack.window.film.model.set_filter(ImageFilter(status=Status.DONE))
    assert [model.index(row).data() for row in range(model.rowCount())] == ["m.tif"]
    stack.session.go_to(stack.session.images[0].id)
    assert [model.index(row).data() for row in range(model.rowCount())] == ["a.png", "m.tif"]
    stack.session.undo()
    stack.session.go_to(stack.session.images[0].id)
    assert [model.index(row).data() for row in range(model.rowCount())] == ["a.png"]


def test_a_slice_that_cannot_be_read_does_not_show_its_neighbour(stack):
    path = stack.folder / "m.tif"
    data = path.read_bytes()
    path.write_bytes(data[:200])
    stack.loader.clear()
    stack.session.go_to(stack.session.images[SLICES].id)
    stack.until(lambda: stack.window.area.error_bar.text != "")
    assert not stack.window.canvas.has_image
    assert bar(stack).isVisible()


def test_slices_with_a_window_each_do_not_flicker(desk):
    folder = desk.root / "ct"
    ramp = np.tile(np.linspace(0, 1000, 64), (48, 1))
    for number in range(4):
        own = {"WindowCenter": 300 + 100 * number, "WindowWidth": 400 + 100 * number}
        write_slice(folder / f"{number}.dcm", ramp, number=number, position=(0, 0, 2.0 * number), **own)
    desk.open(folder=folder, first_row=2)
    panel, shown = desk.window.panels["window"], {}
    for number in (2, 3, 2, 1):
        desk.window.area.slices.track.moved.emit(number)
        desk.wait_image(number)
        shown.setdefault(number, []).append(desk.program.bench.picture.loaded)
    assert {image.rgb.tobytes() for several in shown.values() for image in several} == {shown[2][0].rgb.tobytes()}
    assert shown[2][0].image_key == load_image(folder / "2.dcm").image_key
    assert panel.scope.text() == "One for the series, as its file asks"
    desk.key(K.Key_2, Qt.KeyboardModifier.ShiftModifier)
    desk.qtbot.waitUntil(lambda: desk.program.bench.picture.loaded.window is not None)
    assert panel.scope.text() == "For this series"
    desk.key(K.Key_0, Qt.KeyboardModifier.ShiftModifier)
    desk.qtbot.waitUntil(lambda: desk.program.bench.picture.loaded.rgb.tobytes() == shown[2][0].rgb.tobytes())
    assert panel.scope.text() == "One for the series, as its file asks"
