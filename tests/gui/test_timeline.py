"""The timeline of a series: small pictures, tracks in their class colours, going to where it is pressed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.io.settings import Settings
from annotator.ui.shell.timeline import Line
from tests.fakes import FakeCarrier

K = Qt.Key
ALT, CTRL, SHIFT = (getattr(Qt.KeyboardModifier, f"{name}Modifier") for name in ("Alt", "Control", "Shift"))
pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]
SLICES = 20
RED_FROM = 10
"""Pages from here on are red, those before blue."""


@pytest.fixture
def stack(desk):
    """A stack of pages and a photograph, and a model that carries; the first page is shown."""
    folder = desk.root / "pictures"
    folder.mkdir()
    colours = [(220, 20, 20) if at >= RED_FROM else (20, 20, 220) for at in range(SLICES)]
    pages = [Image.fromarray(np.full((120, 160, 3), colour, np.uint8)) for colour in colours]
    pages[0].save(folder / "m.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(folder / "z.png")
    desk.engine.segmenter = FakeCarrier()
    desk.open(folder=folder, first_row=SLICES // 2)
    desk.key(K.Key_Home, CTRL)
    desk.wait_image(0)
    return desk


def line_of(desk):
    return desk.window.area.slices.timeline


def bars(desk):
    return line_of(desk)._line.bars


def colour_at(desk, x, y):
    timeline = line_of(desk)
    return QColor(timeline.grab().toImage().pixelColor(round(x), round(y)))


def press(desk, position, y=5):
    QTest.mouseClick(line_of(desk), Qt.MouseButton.LeftButton, pos=QPoint(round(line_of(desk).x_of(position)), y))


def turn_wheel(timeline, notches):
    at, none = QPointF(timeline.rect().center()), Qt.MouseButton.NoButton
    plain, phase = Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    turn = QPoint(0, 120 * notches)
    event = QWheelEvent(at, timeline.mapToGlobal(at), QPoint(), turn, none, plain, phase, False)
    QApplication.sendEvent(timeline, event)


def carried_object(desk, x, y):
    """A click on the slice that is shown, accepted and carried to the end."""
    desk.click(x, y)
    desk.wait_mask(x, y)
    desk.key(K.Key_Return)
    desk.until(lambda: not desk.refine.state.is_active and bool(desk.session.annotations))
    desk.window.objects.select_ids(frozenset({desk.session.annotations[-1].id}))
    desk.key(K.Key_Right, CTRL | SHIFT)
    desk.until(lambda: not desk.program.tracks.carrying.is_running)


def test_pictures_of_the_slices_stand_where_these_are(stack):
    timeline, frames = line_of(stack), stack.program.commands.slices.timeline.frames
    ids = [stack.session.images[at].id for at in timeline.places()]
    assert 4 < len(ids) <= SLICES
    stack.until(lambda: all(frames.picture(one) is not None for one in ids))
    assert {position < RED_FROM for _slot, position in timeline.slots()} == {True, False}
    for slot, position in timeline.slots()[1:]:  # the mark of where one is stands on the first
        colour = colour_at(stack, slot.center().x(), 10)
        assert (colour.red() > 150 > colour.blue()) == (position >= RED_FROM)
        assert (colour.blue() > 150 > colour.red()) == (position < RED_FROM)
        assert slot.left() - 1 <= timeline.x_of(position + 0.5)
        assert timeline.x_of(position - 0.5) <= slot.right() + 1


def test_a_press_a_drag_and_the_wheel_go_there(stack):
    press(stack, 12)
    stack.wait_image(12)
    timeline = line_of(stack)
    QTest.mousePress(timeline, Qt.MouseButton.LeftButton, pos=QPoint(round(timeline.x_of(3)), 5))
    QTest.mouseMove(timeline, QPoint(round(timeline.x_of(17)), 5))
    QTest.mouseRelease(timeline, Qt.MouseButton.LeftButton, pos=QPoint(round(timeline.x_of(17)), 5))
    stack.wait_image(17)
    assert stack.window.area.slices.track.position == 17
    turn_wheel(timeline, -2)
    stack.wait_image(SLICES - 1)
    turn_wheel(timeline, -9)  # not beyond the series
    turn_wheel(timeline, 4)
    stack.wait_image(SLICES - 5)


def test_tracks_are_bars_in_their_class_colours_with_keys_and_doubt(stack):
    stack.engine.segmenter.looks = {7: 0.4, 8: 0.4, 15: None}
    low = line_of(stack).height()
    carried_object(stack, 60, 60)
    stack.until(lambda: len(bars(stack)) == 1 and bars(stack)[0].lost != ())
    bar, timeline = bars(stack)[0], line_of(stack)
    assert (bar.spans, bar.keys, bar.doubtful, bar.lost) == (((0, 15),), (0,), ((7, 9),), (14,))
    stack.until(lambda: timeline.height() > low)
    category = stack.session.categories[bar.category_id]
    y = timeline.bar_y(0) + 2
    assert colour_at(stack, timeline.x_of(3), y) == QColor(category.colour)
    assert colour_at(stack, timeline.x_of(17), y) == QColor(stack.window.theme.tokens.surface)
    doubtful = timeline.bar_y(0) + 6
    assert colour_at(stack, timeline.x_of(7.5), doubtful) == QColor(stack.window.theme.tokens.warn)
    stack.session.classes.change(category.id, colour="#123456")
    stack.until(lambda: colour_at(stack, timeline.x_of(3), y) == QColor("#123456"))
    stack.key(K.Key_Z, CTRL)  # the colour
    stack.key(K.Key_Z, CTRL)  # the run
    stack.until(lambda: bars(stack) == ())


def test_it_is_there_for_series_only_and_can_be_hidden_for_good(stack):
    assert line_of(stack).isVisible()
    stack.key(K.Key_Z, ALT)
    assert not line_of(stack).isVisible()
    assert Settings.load(stack.root / "settings.toml").get("timeline") is False
    stack.key(K.Key_Z, ALT)
    assert line_of(stack).isVisible()
    stack.session.go_to(stack.session.images[SLICES].id)
    stack.wait_image(SLICES)
    assert not line_of(stack).isVisible()


def test_only_what_is_wanted_last_is_read(stack):
    control = stack.program.commands.slices.timeline
    ids = [stack.session.images[at].id for at in line_of(stack).places()]
    stack.until(lambda: all(control.frames.picture(one) is not None for one in ids))
    control.frames.hold(True)  # as while it plays
    line_of(stack).show_line(Line(SLICES, (1, 3)))  # narrow pictures: more of them
    control._read_pictures()
    more = list(control.frames._wanted)
    assert more
    control.frames.want(more[:1])
    assert control.frames._wanted == more[:1]
    control.frames.hold(False)
    stack.until(lambda: control.frames.picture(more[0].image_id) is not None)
    assert all(control.frames.picture(one.image_id) is None for one in more[1:])


def test_in_a_low_window_it_leaves_room_for_the_image(stack):
    stack.window.resize(853, 480)
    stack.until(lambda: line_of(stack).picture_px < 30)
    stack.until(lambda: line_of(stack).height() <= 32)
    assert stack.window.canvas.viewport().height() > 170
