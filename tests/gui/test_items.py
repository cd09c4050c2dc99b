"""What the items paint, pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shiboken6
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PySide6.QtCore import QEvent, QObject, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QGraphicsItem, QGraphicsScene, QGraphicsView
from pytestqt.qtbot import QtBot

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.palette import oklab, rgb_of
from annotator.domain.prompt import PointPrompt
from annotator.ui.canvas import mask_items
from annotator.ui.canvas.items import BoxItem, ImageItem, PointItem
from annotator.ui.canvas.mask_items import MaskItem, ObjectLayer, ObjectView
from annotator.ui.canvas.mask_picture import TINTS, MaskLook
from annotator.ui.canvas.prepared import prepare_image
from annotator.ui.canvas.tints import TintBook

GREEN = "#00c000"


def pixels_of(image: QImage) -> np.ndarray:
    """H x W x 4 uint8 RGBA, not premultiplied."""
    plain = image.convertToFormat(QImage.Format.Format_RGBA8888)
    height, width = plain.height(), plain.width()
    rows = np.frombuffer(plain.constBits(), np.uint8).reshape(height, plain.bytesPerLine())
    return rows[:, : 4 * width].reshape(height, width, 4).copy()


def render(item: QGraphicsItem, view: QRectF, scale: float) -> np.ndarray:
    """The part ``view`` of the scene at ``scale`` device pixels per image pixel on nothing."""
    scene = QGraphicsScene()
    scene.addItem(item)
    canvas = QImage(
        round(view.width() * scale), round(view.height() * scale), QImage.Format.Format_ARGB32_Premultiplied
    )
    canvas.fill(Qt.GlobalColor.transparent)
    painter = QPainter(canvas)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    scene.render(painter, QRectF(canvas.rect()), view)
    painter.end()
    scene.removeItem(item)
    return pixels_of(canvas)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def blob(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    ring = np.hypot((columns - width / 2) / (width * 0.45), (rows - height / 2) / (height * 0.45))
    return (ring < 1) & (ring > 0.4)


# --- the image --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 5, 63, 64, 65, 127])
def test_any_width_is_painted_unsheared(qapp: QApplication, width: int) -> None:
    rgb = noise(9, width)
    item = ImageItem()
    item.set_image(prepare_image(rgb))
    painted = render(item, QRectF(0, 0, width, 9), 1)
    np.testing.assert_array_equal(painted[..., :3], rgb)
    assert (painted[..., 3] == 255).all()


@pytest.mark.parametrize("width", [5, 66, 67])
def test_an_image_above_the_fast_size_is_painted_from_its_own_memory(
    qapp: QApplication, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotator.ui.canvas.prepared.FAST_FORMAT_PIXELS", 10)
    rgb = noise(8, width)
    prepared = prepare_image(rgb)
    assert prepared.levels[0].format() == QImage.Format.Format_RGB888
    assert prepared.nbytes == 0
    item = ImageItem()
    item.set_image(prepared)
    np.testing.assert_array_equal(render(item, QRectF(0, 0, width, 8), 1)[..., :3], rgb)


def test_a_view_with_strides_is_painted_right(qapp: QApplication) -> None:
    rgb = noise(20, 30)[::2, ::-3]
    item = ImageItem()
    item.set_image(prepare_image(rgb))
    np.testing.assert_array_equal(render(item, QRectF(0, 0, 10, 10), 1)[..., :3], rgb)


def test_pixels_live_as_long_as_the_prepared_image(qapp: QApplication) -> None:
    rgb = noise(40, 41)
    expected = rgb.copy()
    item = ImageItem()
    item.set_image(prepare_image(rgb))
    del rgb
    np.testing.assert_array_equal(render(item, QRectF(0, 0, 41, 40), 1)[..., :3], expected)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_not_an_image_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="H x W x 3"):
        prepare_image(bad)


def test_pixels_are_squares_above_200_percent_and_blend_below(qapp: QApplication) -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:, 2:] = 200
    item = ImageItem()
    item.set_image(prepare_image(rgb))
    sharp = render(item, QRectF(0, 0, 4, 4), 8)[..., 0]
    assert set(np.unique(sharp)) == {0, 200}
    np.testing.assert_array_equal(sharp, np.repeat(np.repeat(rgb[..., 0], 8, 0), 8, 1))
    soft = render(item, QRectF(0, 0, 4, 4), 1.5)[..., 0]
    assert len(np.unique(soft)) > 2


def test_a_grid_lies_on_pixel_edges_above_1600_percent(qapp: QApplication) -> None:
    item = ImageItem()
    item.set_image(prepare_image(np.zeros((4, 4, 3), np.uint8)))
    assert render(item, QRectF(0, 0, 4, 4), 16)[..., 0].max() == 0
    painted = render(item, QRectF(0, 0, 4, 4), 20)[..., 0]
    lit = np.flatnonzero(painted[10] > 0)
    assert set(lit) <= {0, 19, 20, 39, 40, 59, 60, 79}
    assert {20, 40, 60} <= set(lit) | set(lit + 1)


def test_a_small_view_uses_a_smaller_level_that_agrees(qapp: QApplication) -> None:
    rows, columns = np.mgrid[:3000, :2501]
    rgb = np.stack((rows % 256, columns % 256, (rows + columns) // 40), axis=2).astype(np.uint8)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 12)
    prepared = prepare_image(rgb)
    assert [(q.width(), q.height()) for q in prepared.levels] == [(2501, 3000), (1251, 1500), (626, 750)]
    item = ImageItem()
    item.set_image(prepared)
    painted = render(item, QRectF(0, 0, 2500, 3000), 0.2)[..., :3].astype(int)
    wanted = cv2.resize(rgb[:, :2500], (500, 600), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(painted - wanted)[3:-3, 3:-3].mean() < 2


@pytest.mark.parametrize("scale", [37.0, 50.0, 3.3])
def test_a_far_corner_of_a_wide_image_is_in_its_place(qapp: QApplication, scale: float) -> None:
    """Fixed-point steps over the whole image would be several pixels off here."""
    width = 30_000
    rgb = np.zeros((4, width, 3), np.uint8)
    rgb[:, width - 5] = 255
    item = ImageItem()
    item.set_image(prepare_image(rgb))
    painted = render(item, QRectF(width - 10, 0, 10, 4), scale)[1, :, 0]
    lit = np.flatnonzero(painted > 200)
    assert abs(lit[0] - 5 * scale) <= 1.5
    assert abs(lit[-1] + 1 - 6 * scale) <= 1.5


# --- masks ------------------------------------------------------------------------------------------------------------


def shown(
    mask: Mask, *, opacity: float = 1.0, selected: bool = False, scale: float = 1.0, outline_px: float = 2.0
) -> np.ndarray:
    item = MaskItem()
    item.set_mask(mask, MaskLook(GREEN, opacity, is_selected=selected, is_strong=True, outline_px=outline_px))
    return render(item, QRectF(0, 0, mask.width, mask.height), scale)


@pytest.mark.parametrize("width", [61, 62, 63, 64])
@pytest.mark.parametrize("scale", [1, 4])
def test_the_fill_covers_the_mask(qapp: QApplication, width: int, scale: int) -> None:
    mask = Mask(blob(50, width), 7, 11, 100, 90)
    alpha = shown(mask, opacity=0.5, outline_px=0, scale=scale)[..., 3]
    wanted = np.repeat(np.repeat(mask.full(), scale, 0), scale, 1)
    np.testing.assert_array_equal(alpha > 64, wanted)
    inner = cv2.erode(wanted.astype(np.uint8), np.ones((5 * scale, 5 * scale), np.uint8)) > 0
    assert np.abs(alpha[inner].astype(int) - 128).max() <= 1
    assert len(np.unique(alpha)) > 2 or scale == 4, "edges are smooth below 400 %"


@settings(max_examples=80, deadline=None)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sampled_from([1.0, 3.0]))
def test_no_pixel_of_a_mask_is_lost_or_added_by_smooth_edges(bits: np.ndarray, scale: float) -> None:
    if not bits.any():
        return
    mask = Mask(bits, 3, 2, 15, 13)
    alpha = shown(mask, outline_px=0, scale=scale)[..., 3]
    centres = np.round((np.arange(15) + 0.5) * scale - 0.5).astype(int)
    at_centres = alpha[np.ix_(centres[:13], centres)]
    np.testing.assert_array_equal(at_centres > 127, mask.full())


def test_a_round_edge_is_round_on_the_screen(qapp: QApplication) -> None:
    """At 250 % the border of the fill stays within a third of an image pixel of the circle that the mask samples."""
    rows, columns = np.mgrid[:60, :60]
    mask = Mask(np.hypot(columns - 29.5, rows - 29.5) < 24, 0, 0, 60, 60)
    alpha = shown(mask, outline_px=0, scale=2.5)[..., 3]
    y, x = np.nonzero((alpha > 100) & (alpha < 155))
    assert len(x) > 30
    away = np.hypot((x + 0.5) / 2.5 - 30, (y + 0.5) / 2.5 - 30) - 24
    assert np.abs(away).max() < 0.9
    assert away.std() < 0.25


@pytest.mark.parametrize("ground", [0, 120, 255])
@pytest.mark.parametrize("scale", [1.0, 2.0, 6.0])
@pytest.mark.parametrize("colour", ["#f0e442", "#0072b2", "#ffffff"])
def test_the_outline_is_seen_on_any_ground(qapp: QApplication, ground: int, scale: float, colour: str) -> None:
    mask = Mask(blob(30, 30), 5, 5, 40, 40)
    item = MaskItem()
    item.set_mask(mask, MaskLook(colour, 0.0))
    painted = render(item, QRectF(0, 0, 40, 40), scale).astype(float)
    alpha = painted[..., 3:] / 255
    on_ground = (painted[..., :3] * alpha + ground * (1 - alpha)).mean(axis=2)
    row = on_ground[on_ground.shape[0] // 2]
    assert row.max() - row.min() > 70, "a bright line beside a dark one"


def test_objects_of_one_class_differ_by_tint(qapp: QApplication) -> None:
    looks = [MaskLook("#0072b2", 0.5, tint=tint) for tint in range(TINTS)]
    colours = {look.fill.name() for look in looks}
    assert len(colours) == TINTS
    assert looks[0].fill.name() == "#0072b2", "the plain colour is one of them"
    first = oklab(rgb_of(["#0072b2"]))
    for look in looks:
        assert np.linalg.norm(oklab(rgb_of([look.fill.name()])) - first) < 0.16, "it is still the class's"


def test_neighbours_get_other_tints() -> None:
    book, boxes = TintBook(TINTS), {}
    for at in range(64):
        x, y = at % 8 * 40, at // 8 * 40
        boxes[at] = (x, y, x + 40, y + 40)
    given = {at: book.tint(at, box) for at, box in boxes.items()}
    for at in boxes:
        assert at % 8 == 7 or given[at] != given[at + 1]
        assert at >= 56 or given[at] != given[at + 8]
    assert {at: book.tint(at, box) for at, box in boxes.items()} == given, "it is remembered"
    book.forget(5)
    assert book.tint(5, boxes[5]) == given[5]


def test_the_fill_is_exact_at_high_zoom(qapp: QApplication) -> None:
    mask = Mask(blob(15, 17), 3, 2, 30, 25)
    painted = shown(mask, scale=7, outline_px=0)[..., 3] > 0
    np.testing.assert_array_equal(painted, np.repeat(np.repeat(mask.full(), 7, 0), 7, 1))


def on_outline(mask: Mask, scale: int) -> np.ndarray:
    """Device pixels that touch the outline."""
    full = np.repeat(np.repeat(mask.full().astype(np.uint8), scale, 0), scale, 1)
    return cv2.dilate(full, np.ones((3, 3), np.uint8)) != cv2.erode(full, np.ones((3, 3), np.uint8))


def test_the_outline_is_two_pixels_wide_on_the_edges(qapp: QApplication) -> None:
    mask = Mask(blob(20, 24), 6, 5, 40, 36)
    painted = shown(mask, opacity=0.0, scale=6)
    line = painted[..., 3] > 128
    wanted = on_outline(mask, 6)
    assert (line & wanted).sum() / (line | wanted).sum() > 0.97
    colour = QColor(MaskLook(GREEN, 0.0, is_strong=True).line)
    assert np.abs(painted[line][:, :3].astype(int) - [colour.red(), colour.green(), colour.blue()]).max() <= 3


def test_a_selected_mask_has_a_white_hairline_outside(qapp: QApplication) -> None:
    mask = Mask(blob(20, 24), 6, 5, 40, 36)
    painted = shown(mask, opacity=0.0, selected=True, scale=6)
    white = (painted[..., :3] > 250).all(axis=2) & (painted[..., 3] > 200)
    full = np.repeat(np.repeat(mask.full().astype(np.uint8), 6, 0), 6, 1)
    around = (cv2.dilate(full, np.ones((7, 7), np.uint8)) > 0) & (cv2.dilate(full, np.ones((5, 5), np.uint8)) == 0)
    assert (white & around).sum() / around.sum() > 0.95


@pytest.mark.parametrize("zoom", [0.5, 2, 4])
def test_a_part_of_a_mask_is_the_same_as_in_the_whole(qapp: QApplication, zoom: float) -> None:
    mask = Mask(blob(60, 80), 10, 10, 100, 80)
    item = MaskItem()
    item.set_mask(mask, MaskLook(GREEN, 0.5))
    whole = render(item, QRectF(0, 0, 100, 80), zoom)
    part = render(item, QRectF(20, 16, 40, 30), zoom)
    left, top, right, bottom = (int(length * zoom) for length in (20, 16, 60, 46))
    np.testing.assert_array_equal(part, whole[top:bottom, left:right])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 38), st.integers(0, 28), st.integers(1, 14), st.integers(1, 14), st.booleans()),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([0.1, 0.3, 0.6, 1.0, 3.0, 5.0]),
)
def test_a_mask_that_was_edited_looks_as_if_it_were_new(
    edits: list[tuple[int, int, int, int, bool]], scale: float
) -> None:
    """Also when it grew, shrank or left its crop."""
    plane = np.zeros((30, 40), np.bool_)
    plane[8:20, 10:31] = True
    item, look, view = MaskItem(), MaskLook(GREEN, 0.5, is_strong=True), QRectF(0, 0, 40, 30)
    item.set_mask(Mask.from_full(plane), look)
    for x, y, width, height, is_added in edits:
        render(item, view, scale)
        plane[y : y + height, x : x + width] = is_added
        item.set_mask(Mask.from_full(plane), look)
    fresh = MaskItem()
    fresh.set_mask(Mask.from_full(plane), look)
    np.testing.assert_array_equal(render(item, view, scale), render(fresh, view, scale))


@pytest.mark.parametrize("zoom", [0.2, 0.7, 1.0, 3.0, 6.0])
def test_an_edit_of_a_large_mask_repaints_what_it_changed_and_no_more(qtbot: QtBot, zoom: float) -> None:
    """The window shows the same as one that painted all of it, and the rest of it was left alone."""
    plane = np.ones((900, 1200), np.bool_)
    plane[:40], plane[:, 1150:] = False, False
    view = QGraphicsView()
    view.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    view.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
    qtbot.addWidget(view)
    scene, item, look = QGraphicsScene(view), MaskItem(), MaskLook(GREEN, 0.5, is_strong=True)
    scene.setSceneRect(0, 0, 1200, 900)
    scene.addItem(item)
    view.setScene(scene)
    view.resize(600, 500)
    view.scale(zoom, zoom)
    item.set_zoom(zoom)
    item.set_mask(Mask.from_full(plane), look)
    view.centerOn(600, 450)
    view.show()
    qtbot.waitExposed(view)
    for edited in (slice(100, 110), slice(440, 460)):  # Qt paints a new item as a whole twice
        QApplication.processEvents()
        watcher = PaintWatcher()
        view.viewport().installEventFilter(watcher)
        plane[edited, 590:620] = False
        item.set_mask(Mask.from_full(plane), look)
        QApplication.processEvents()
    assert watcher.painted.width() <= 38 * zoom + 40
    assert watcher.painted.height() <= 28 * zoom + 40
    on_screen = view.screen().grabWindow(view.winId()).toImage()
    view.viewport().update()
    QApplication.processEvents()
    assert watcher.painted == view.viewport().rect()
    wanted = view.screen().grabWindow(view.winId()).toImage()
    assert not wanted.isNull()
    assert np.abs(pixels_of(on_screen).astype(int) - pixels_of(wanted)).max() <= 2


class PaintWatcher(QObject):
    """Notes what of a widget is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.painted = QRect()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent):
            self.painted = self.painted.united(event.region().boundingRect())
        return False


def test_an_empty_mask_paints_nothing(qapp: QApplication) -> None:
    assert shown(Mask.empty(20, 20))[..., 3].max() == 0


def test_setting_the_same_mask_again_computes_nothing(qapp: QApplication) -> None:
    item, mask = MaskItem(), Mask(blob(10, 10), 0, 0, 20, 20)
    item.set_mask(mask, MaskLook(GREEN, 0.5))
    picture = item._picture
    item.set_mask(mask, MaskLook("#ff0000", 0.5))
    assert item._picture is picture
    assert (render(item, QRectF(0, 0, 20, 20), 1)[..., 0] > 200).any()


# --- the layer of accepted objects ------------------------------------------------------------------------------------


def square(object_id: int, x: int, y: int, side: int, colour: str = GREEN) -> ObjectView:
    return ObjectView(object_id, Mask(np.ones((side, side), np.bool_), x, y, 200, 200), colour)


def layer_with(*views: ObjectView) -> ObjectLayer:
    layer = ObjectLayer()
    layer.set_image_size(200, 200)
    layer.set_objects(views)
    return layer


def test_a_click_hits_the_smallest_object_under_it(qapp: QApplication) -> None:
    layer = layer_with(square(2, 20, 20, 20), square(1, 0, 0, 100), square(3, 150, 150, 20))
    assert layer.hit(25, 25) == 2
    assert layer.hit(5, 5) == 1
    assert layer.hit(160, 160) == 3
    assert layer.hit(120, 120) == 0
    layer.set_hidden(frozenset({2}))
    assert layer.hit(25, 25) == 1
    layer.remove(1)
    assert layer.hit(25, 25) == 0


def test_a_hole_is_not_hit(qapp: QApplication) -> None:
    bits = np.ones((30, 30), np.bool_)
    bits[10:20, 10:20] = False
    layer = layer_with(ObjectView(1, Mask(bits, 50, 50, 200, 200), GREEN))
    assert layer.hit(55, 55) == 1
    assert layer.hit(65, 65) == 0


def test_putting_and_removing_keeps_the_order_by_size(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_items, "TINTS", 1)  # which tint an object has follows from what came before it
    one_by_one = layer_with()
    views = [square(i, 10 + i, 10, side) for i, side in enumerate((30, 5, 60, 12, 45, 5), start=1)]
    for view in views:
        one_by_one.put(view)
    one_by_one.put(square(3, 13, 10, 8))
    one_by_one.remove(5)
    one_by_one.remove(77)
    rest = [view for view in views if view.id not in (3, 5)] + [square(3, 13, 10, 8)]
    at_once = layer_with(*rest)
    area = QRectF(0, 0, 200, 200)
    np.testing.assert_array_equal(render(one_by_one, area, 1), render(at_once, area, 1))
    assert one_by_one.ids == {1, 2, 3, 4, 6}
    assert all(one_by_one.hit(x, 12) == at_once.hit(x, 12) for x in range(8, 80))


def test_a_new_colour_is_painted(qapp: QApplication) -> None:
    view = square(1, 20, 20, 40)
    layer = layer_with(view)
    render(layer, QRectF(0, 0, 200, 200), 1)
    layer.put(ObjectView(1, view.mask, "#ff0000"))
    painted = render(layer, QRectF(0, 0, 200, 200), 1)[40, 40]
    assert painted[0] > 240
    assert painted[1] < 10


def test_tiny_objects_are_plain_but_visible(qapp: QApplication) -> None:
    layer = layer_with(square(1, 100, 100, 30))
    painted = render(layer, QRectF(0, 0, 200, 200), 0.25)
    assert painted[28, 28, 3] > 180


# --- prompts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.5, 1.0, 10.0])
def test_dots_have_one_size_at_every_zoom(qapp: QApplication, scale: float) -> None:
    side = 60 / scale
    item = PointItem(PointPrompt(side / 2, side / 2), QColor(GREEN))
    painted = render(item, QRectF(0, 0, side, side), scale)[..., 3] > 128
    rows, columns = np.nonzero(painted)
    assert 15 <= np.ptp(rows) + 1 <= 18
    assert 15 <= np.ptp(columns) + 1 <= 18
    assert abs(rows.mean() - 29.5) < 1


def test_signs_differ_by_shape(qapp: QApplication) -> None:
    """In one and the same colour a plus in a disc and a minus in a ring are told apart."""
    dots = []
    for is_positive in (True, False):
        item = PointItem(PointPrompt(30, 30, is_positive), QColor(GREEN))
        dots.append(render(item, QRectF(0, 0, 60, 60), 1)[20:40, 20:40].astype(int))
    assert (np.abs(dots[0] - dots[1]).max(axis=2) > 80).mean() > 0.15


def test_a_box_is_dashed_and_has_eight_handles(qapp: QApplication) -> None:
    item = BoxItem(QColor("#ffffff"), has_handles=True)
    item.set_box(Box(20, 30, 120, 90))
    assert {(h.pos().x(), h.pos().y()) for h in item.childItems()} == {
        (x, y) for x in (20, 70, 120) for y in (30, 60, 90) if (x, y) != (70, 60)
    }
    painted = render(item, QRectF(0, 0, 200, 120), 1)
    top = painted[30, 28:62, :3].mean(axis=1)
    assert top.max() > 200
    assert top.min() < 120
    assert item.boundingRect().contains(QPointF(19, 29))


def test_a_tile_that_is_painted_after_the_scene_is_gone_is_no_error(qapp):
    layer = ObjectLayer()
    shiboken6.delete(layer)
    layer._tiles._changed(QRectF(0, 0, 8, 8))
