"""Where to click next: the layer of doubt (U), the ghost of a click (G), and what Enter and Esc mean then."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import UncertaintyMap
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas.heat_items import MOST_SIDE_PX, heat_image

K = Qt.Key
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


@pytest.fixture
def at_work(desk):
    """One click was made and answered."""
    desk.open()
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    return desk


def ghost(desk):
    return desk.program.commands.next_click.ghost


def grab(desk):
    image = desk.window.canvas.viewport().grab().toImage().convertToFormat(heat_image(np.zeros((1, 1))).format())
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[..., :3].astype(int)


def test_g_shows_a_ghost_enter_places_it_and_enter_accepts_again(at_work):
    desk = at_work
    before = grab(desk)
    desk.key(K.Key_G)
    first = ghost(desk)
    assert first is not None
    assert desk.window.canvas.contains_image_point(first.x, first.y)
    assert math.hypot(first.x - 60, first.y - 50) > 2, "not where there is a click already"
    assert first.is_positive != desk.refine.state.mask.contains(first.x, first.y)
    where = desk._at(first.x, first.y)
    changed = np.abs(grab(desk) - before).sum(-1) > 60
    ys, xs = np.nonzero(changed)
    assert changed[where.y(), where.x() - 12 : where.x() + 13].any(), "the marker is painted there"
    assert max(np.abs(xs - where.x()).max(), np.abs(ys - where.y()).max()) < 30, "and nowhere else"
    assert len(desk.engine.segmenter.decodes) == 1, "a proposal asks the model nothing"
    desk.key(K.Key_Return)
    assert ghost(desk) is None
    assert desk.session.annotations == ()
    assert len(desk.refine.state.prompts.points) == 2
    assert desk.refine.state.prompts.points[1] == first
    desk.until(lambda: not desk.refine.state.is_waiting)
    desk.key(K.Key_Return)
    assert len(desk.session.annotations) == 1
    assert desk.session.annotations[0].clicks == 2


def test_g_again_goes_on_and_comes_round_and_esc_drops_only_the_ghost(at_work):
    desk = at_work
    seen = []
    for _ in range(12):
        desk.key(K.Key_G)
        if ghost(desk) in seen:
            break
        seen.append(ghost(desk))
    assert len(seen) > 1
    assert ghost(desk) == seen[0]
    for place, one in enumerate(seen):
        assert all(math.hypot(one.x - o.x, one.y - o.y) > 2 for o in seen[:place])
    desk.key(K.Key_Escape)
    assert ghost(desk) is None
    assert desk.refine.state.is_active
    desk.key(K.Key_Escape)
    assert not desk.refine.state.is_active


def go_round(desk):
    """G until the first proposal comes again; all of them in their order."""
    seen = []
    while True:
        desk.key(K.Key_G)
        if ghost(desk) in seen:
            return seen
        seen.append(ghost(desk))


def test_what_was_passed_over_is_not_proposed_after_the_next_click_unless_the_mask_changed_there(at_work):
    desk = at_work
    shown = desk.refine.state.mask
    places = go_round(desk)
    desk.key(K.Key_Escape)
    desk.key(K.Key_G)
    assert ghost(desk) == places[0], "Esc is no opinion on them"
    desk.key(K.Key_G)
    desk.key(K.Key_G)
    passed = places[:2]
    desk.key(K.Key_Return)
    desk.until(lambda: not desk.refine.state.is_waiting)
    mask = desk.refine.state.mask
    later = go_round(desk)
    assert later
    stayed = [p for p in passed if mask.contains(p.x, p.y) == shown.contains(p.x, p.y)]
    assert stayed, "the mask did not change everywhere"
    for one in stayed:
        assert all(math.hypot(one.x - o.x, one.y - o.y) >= 2 for o in later)
    desk.key(K.Key_Escape)
    desk.key(K.Key_Escape)
    assert not desk.refine.state.is_active
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    assert go_round(desk) == places, "the next object knows nothing of it"


def doubting(desk, monkeypatch, squares, hard=()):
    """The engine's answers are sure of themselves; an adapter doubts squares (x, y, half side) of a 64 x 64 grid."""
    values = np.zeros((64, 64), np.float32)
    for x, y, half in squares:
        values[y - half : y + half + 1, x - half : x + half + 1] = 1
    plain = desk.engine.segmenter._candidate

    def with_map(*args):
        answer = plain(*args)
        logits = np.where(answer.logits > 0, 30, -30).astype(np.float32)
        return replace(answer, logits=logits, uncertainty=UncertaintyMap(values, Box(0, 0, 160, 120), hard))

    monkeypatch.setattr(desk.engine.segmenter, "_candidate", with_map)


def test_when_everything_was_passed_over_g_says_so_and_shows_it_again(at_work, monkeypatch):
    desk = at_work
    doubting(desk, monkeypatch, [(40, 40, 0)])
    desk.click(62, 50)
    desk.wait_mask(62, 50)
    desk.key(K.Key_G)
    desk.key(K.Key_G)
    point = PointPrompt(101.25, 75.9375)
    assert ghost(desk) == point
    desk.click(61, 50)
    desk.wait_mask(61, 50)
    desk.key(K.Key_G)
    assert ghost(desk) is None
    assert "passed all" in desk.window.status.message.text()
    desk.key(K.Key_G)
    assert ghost(desk) == point


def test_a_click_another_candidate_and_the_next_image_take_the_ghost_away(at_work):
    desk = at_work
    desk.key(K.Key_G)
    desk.key(K.Key_Tab)
    assert ghost(desk) is None, "it was about another candidate"
    desk.key(K.Key_G)
    assert ghost(desk) is not None
    desk.click(75, 50, button=Qt.MouseButton.RightButton)
    assert ghost(desk) is None
    desk.until(lambda: not desk.refine.state.is_waiting)
    desk.key(K.Key_G)
    desk.key(K.Key_D)
    assert ghost(desk) is None
    desk.wait_image(1)
    desk.key(K.Key_G)
    assert ghost(desk) is None, "there is no object in work"


def test_g_before_the_answer_shows_the_ghost_when_it_comes(at_work):
    desk = at_work
    desk.engine.hold()
    desk.click(66, 50)
    desk.key(K.Key_G)
    assert ghost(desk) is None
    desk.engine.let_go()
    desk.until(lambda: ghost(desk) is not None)
    assert not desk.refine.state.is_waiting


def test_the_side_button_of_the_mouse_does_what_enter_does(at_work):
    desk = at_work
    desk.key(K.Key_G)
    first = ghost(desk)
    QTest.mouseClick(desk.window.canvas.viewport(), Qt.MouseButton.BackButton, pos=QPoint(5, 5))
    assert desk.refine.state.prompts.points[-1] == first
    assert desk.session.annotations == ()


def test_u_shows_the_layer_where_the_doubt_is_and_hides_it_again(at_work):
    desk = at_work
    bare = grab(desk)
    desk.key(K.Key_U)
    warm = grab(desk)
    on_rim, far = desk._at(60 + 8, 50), desk._at(140, 110)
    diff = np.abs(warm - bare).sum(-1)
    assert diff[on_rim.y(), on_rim.x()] > 30
    assert diff[far.y(), far.x()] == 0
    overlays = desk.window.canvas._overlays

    def heat_at(x, y):
        place, image = overlays._heat.place, overlays._heat._image
        across, down = (x - place.left()) / place.width(), (y - place.top()) / place.height()
        return image.pixelColor(int(across * image.width()), int(down * image.height())).alpha()

    assert heat_at(60 + 8, 50) > heat_at(60, 50 + 3) + 20
    assert overlays._candidate._look.opacity == 0, "doubt takes the place of the fill"
    assert overlays._heat.zValue() < overlays._candidate.zValue(), "the outline stays on top"
    desk.window.canvas.set_peek(True)
    assert not desk.window.canvas._overlays._heat.isVisible(), "the bare image has no layer"
    desk.window.canvas.set_peek(False)
    desk.key(K.Key_U)
    assert np.abs(grab(desk) - bare).max() == 0


def test_the_layer_follows_the_object_in_work(desk):
    desk.open()
    desk.key(K.Key_U)
    heat = desk.window.canvas._overlays._heat
    assert heat.place.isEmpty()
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    assert not heat.place.isEmpty()
    desk.key(K.Key_Escape)
    assert heat.place.isEmpty()
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    desk.key(K.Key_D)
    assert heat.place.isEmpty()


def test_an_adapters_map_and_hard_points_are_used(desk, monkeypatch):
    doubting(desk, monkeypatch, [(44, 17, 0), (12, 48, 0)], (PointPrompt(33, 90, True),))
    desk.open()
    desk.key(K.Key_U)
    desk.click(60, 50)
    desk.wait_mask(60, 50)
    for point in (PointPrompt(33, 90), PointPrompt(111.25, 32.8125)):  # the hard point itself, then the other place
        desk.key(K.Key_G)
        assert ghost(desk) == point
    heat = desk.window.canvas._overlays._heat
    assert (heat.place.width(), heat.place.height()) == (160, 120)


def test_a_ghost_out_of_sight_is_brought_into_view(at_work):
    desk = at_work
    canvas = desk.window.canvas
    canvas.zoom_to(1600)
    canvas.pan_by(-900, -500)
    desk.key(K.Key_G)
    at = canvas.image_to_view(ghost(desk).x, ghost(desk).y).toPoint()
    assert canvas.viewport().rect().contains(at)


def alphas_of(image):
    return np.array(
        [[image.pixelColor(x, y).alpha() for x in range(image.width())] for y in range(image.height())], int
    )


def test_heat_is_clear_where_there_is_no_doubt_and_strong_where_there_is():
    values = np.zeros((24, 24), np.float32)
    values[6:18, 6:12], values[6:18, 12:18], values[0, 0] = 1.0, 0.5, np.nan
    alphas = alphas_of(heat_image(values))
    assert alphas.shape == (96, 96), "finer than the cells"
    assert alphas[:12].max() == 0
    assert alphas[48, 36] > alphas[48, 60] > 40


def test_heat_is_smooth_and_ends_softly_where_its_piece_ends():
    values = np.ones((20, 20), np.float32)
    values[:, 10:] = 0
    row = alphas_of(heat_image(values))[40]
    assert np.abs(np.diff(row)).max() < 0.4 * row.max(), "no stairs"
    whole = alphas_of(heat_image(np.ones((20, 20), np.float32)))
    assert whole.min() == whole.max(), "up to the image's own edge"
    piece = alphas_of(heat_image(np.ones((20, 20), np.float32), inner_sides=(True, False, True, True)))
    assert max(piece[40, 0], piece[40, -1], piece[-1, 40]) < 20
    assert piece[0, 40] == piece[40, 40] == whole[40, 40]
    assert np.abs(np.diff(piece[40])).max() < 40, "no edge is seen"


def test_the_switch_and_the_legend_are_on_the_canvas(at_work):
    desk = at_work
    legend = desk.window.area.doubt
    assert legend.isVisible()
    assert not any(part.isVisible() for part in legend._scale)
    assert legend.button.text() == "Doubt  U"
    QTest.mouseClick(legend.button, Qt.MouseButton.LeftButton)
    assert desk.window.actions_by_id["show_doubt"].isChecked()
    assert not desk.window.canvas._overlays._heat.place.isEmpty()
    assert all(part.isVisible() for part in legend._scale)
    assert legend.geometry().right() < desk.window.area.stack.width()
    desk.key(K.Key_U)
    assert not legend.button.isChecked()
    assert not any(part.isVisible() for part in legend._scale)
    desk.key(K.Key_Escape)
    assert legend.isHidden(), "no object, no doubt"


def test_the_layer_stays_as_small_as_the_doubt_that_it_shows(at_work):
    """Stretching it over a large image is the painter's, so that it costs no frame."""
    desk = at_work
    values = np.random.default_rng(0).random((128, 128), np.float32)
    desk.window.canvas.set_heat(heat_image(values), Box(0, 0, 16_000, 12_000))
    heat = desk.window.canvas._overlays._heat
    assert max(heat._image.width(), heat._image.height()) <= MOST_SIDE_PX
    assert (heat.place.width(), heat.place.height()) == (16_000, 12_000)
