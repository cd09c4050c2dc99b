"""Which greys are shown: real drags and keys, what the project remembers, and what the model sees."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from annotator.domain.window import CT_PRESETS, Window
from annotator.io.images.windowed import SHOWS_NOTHING
from annotator.io.project.store import ProjectStore
from annotator.io.project.windows import PREFIX, AsShown, WindowBook
from annotator.ui.threads import window_painter
from tests.gui.shell import LEFT, NONE, Desk
from tests.unit.io.test_readers_dicom import write

RIGHT = Qt.MouseButton.RightButton
SHIFT = Qt.KeyboardModifier.ShiftModifier
HELD_DOWN, UP = True, False
RAMP = np.tile(np.linspace(-1000, 2000, 160), (120, 1)).astype(np.int16)
UID = "1.2.826.0.1.3680043.8.498.1234567"


def ct_folder(root: Path, *, count: int = 2, uid: str = UID, **tags: object) -> Path:
    """Slices of one series, a ramp of Hounsfield units each."""
    folder = root / "ct"
    folder.mkdir()
    for number in range(count):
        write(folder / f"{number}.dcm", RAMP + number, SeriesInstanceUID=uid, **tags)
    return folder


def photo_folder(root: Path) -> Path:
    folder = root / "photos"
    folder.mkdir()
    for number in range(2):
        grey = np.linspace(60 + number, 180, 160)[None, :, None]
        Image.fromarray(np.broadcast_to(grey, (120, 160, 3)).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


class Hands:
    """Drags with either button, and what they come to."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.greys = desk.program.greys
        self.panel = desk.window.panels["window"]

    @property
    def window(self) -> Window | None:
        return self.picture.loaded.window

    @property
    def picture(self):
        return self.desk.program.bench.picture

    def drag(self, dx: int, dy: int, button=LEFT, *, modifier=NONE, is_let_go: bool = True) -> None:
        viewport = self.desk.window.canvas.viewport()
        start = self.desk.window.canvas.image_to_view(80, 60).toPoint()
        QTest.mousePress(viewport, button, modifier, start)
        for part in (0.4, 0.7, 1.0):
            at = start + QPoint(round(dx * part), round(dy * part))
            # QTest.mouseMove tells no buttons and no modifiers.
            move(viewport, at, button, modifier)
        if is_let_go:
            QTest.mouseRelease(viewport, button, modifier, start + QPoint(dx, dy))

    def painted(self, wanted: Window | None = None) -> None:
        """Until the whole image is on the screen as it is wanted."""

        def is_there() -> bool:
            shown = self.desk.window.canvas._overlays.ground.image
            return (
                self.greys._wished == 0
                and self.picture is not None
                and shown is self.picture.prepared
                and self.desk.window.canvas.preview.preview is None
                and (wanted is None or self.window == wanted)
            )

        self.desk.until(is_there)

    def encoded(self) -> None:
        key = self.picture.loaded.image_key
        self.desk.until(lambda: key in self.desk.engine.segmenter.encodes)

    def on_screen(self, x: int, y: int) -> int:
        """The grey of an image pixel that the canvas paints."""
        level: QImage = self.desk.window.canvas._overlays.ground.image.levels[0]
        return level.pixelColor(x, y).red()


def move(viewport, at: QPoint, button, modifier) -> None:
    from PySide6.QtCore import QEvent, QPointF
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    place, whole = QPointF(at), QPointF(viewport.mapToGlobal(at))
    event = QMouseEvent(QEvent.Type.MouseMove, place, whole, Qt.MouseButton.NoButton, button, modifier)
    QApplication.sendEvent(viewport, event)


@pytest.fixture
def ct(desk: Desk, tmp_path: Path) -> Hands:
    desk.open(folder=ct_folder(tmp_path))
    return Hands(desk)


@pytest.fixture
def one_slice(desk: Desk, tmp_path: Path) -> Hands:
    """Nothing is encoded ahead."""
    desk.open(folder=ct_folder(tmp_path, count=1))
    hands = Hands(desk)
    hands.encoded()
    return hands


@pytest.fixture
def photos(desk: Desk, tmp_path: Path) -> Hands:
    desk.open(folder=photo_folder(tmp_path))
    return Hands(desk)


def stored(desk: Desk) -> dict[str, str]:
    """What the project remembers of windows."""
    project = desk.session.store.path
    with ProjectStore.open(project, read_only=True) as store:
        found = store._fetch("SELECT k, v FROM meta WHERE k LIKE 'window/%' AND v <> ''")
    return {key.removeprefix(PREFIX): value for key, value in found}


# --- gestures -------------------------------------------------------------------------------------------------------


def test_dragging_with_the_tool_changes_the_window_and_the_model_sees_it_once(one_slice: Hands) -> None:
    ct = one_slice
    before, encodes = ct.picture.loaded, ct.desk.engine.segmenter.encodes
    ct.desk.key(Qt.Key.Key_W)
    ct.drag(-60, 30)
    ct.painted()
    assert ct.window is not None
    assert ct.window.width < before.source.default.width
    assert ct.window.centre > before.source.default.centre
    ct.encoded()
    assert encodes == [before.image_key, ct.picture.loaded.image_key]
    assert encodes[0] != encodes[1]
    assert ct.desk.window.canvas.tool == "window"


def test_w_held_during_a_drag_gives_the_tool_from_before_back(ct: Hands) -> None:
    canvas = ct.desk.window.canvas
    QTest.keyPress(canvas, Qt.Key.Key_W)
    assert canvas.tool == "window"
    ct.drag(40, 0)
    assert canvas.tool == "window"
    QTest.keyRelease(canvas, Qt.Key.Key_W)
    assert canvas.tool == "click"
    QTest.keyPress(canvas, Qt.Key.Key_W)
    ct.drag(40, 0, is_let_go=False)
    QTest.keyRelease(canvas, Qt.Key.Key_W)
    assert canvas.tool == "window"  # the drag goes on
    QTest.mouseRelease(canvas.viewport(), LEFT, NONE, QPoint(10, 10))
    assert canvas.tool == "click"
    ct.desk.key(Qt.Key.Key_W)
    ct.drag(20, 0)
    assert canvas.tool == "window"  # only tapped: it stays in the hand
    ct.painted()


def test_a_right_drag_in_dicom_is_the_windows_and_a_right_click_still_removes(ct: Hands) -> None:
    ct.drag(50, 0, RIGHT)
    ct.painted()
    assert ct.window is not None
    assert ct.desk.refine.state.prompts.is_empty
    ct.desk.click(80, 60)
    ct.desk.wait_mask(80, 60)
    ct.desk.click(82, 62, button=RIGHT)
    assert [point.is_positive for point in ct.desk.refine.state.prompts.points] == [True, False]


def test_a_right_drag_of_the_brush_and_of_photographs_is_the_tools(ct: Hands) -> None:
    ct.desk.click(80, 60)
    ct.desk.wait_mask(80, 60)
    ct.desk.key(Qt.Key.Key_P)
    ct.drag(10, 0, RIGHT)
    assert ct.window is None
    assert len(ct.desk.refine.state.prompts.strokes) == 1


def test_a_right_drag_on_a_photograph_is_no_window(photos: Hands) -> None:
    photos.drag(50, 0, RIGHT)
    assert photos.greys._wished == 0
    assert photos.window is None


def test_esc_in_a_drag_takes_it_back_and_a_double_click_resets(ct: Hands) -> None:
    ct.desk.key(Qt.Key.Key_1, SHIFT)
    brain = Window(40.0, 80.0)
    ct.painted(brain)
    ct.desk.key(Qt.Key.Key_W)
    ct.drag(80, 80, is_let_go=False)
    assert ct.greys._now != brain
    ct.desk.key(Qt.Key.Key_Escape)
    assert ct.greys._now == brain
    assert ct.desk.window.canvas.preview.preview is None
    QTest.mouseRelease(ct.desk.window.canvas.viewport(), LEFT, NONE, QPoint(5, 5))
    assert ct.window == brain
    QTest.mouseDClick(ct.desk.window.canvas.viewport(), LEFT, NONE, QPoint(100, 100))
    ct.painted()
    assert ct.window is None
    assert not stored(ct.desk)


def test_shift_makes_a_drag_finer(ct: Hands) -> None:
    ct.desk.key(Qt.Key.Key_W)
    ct.drag(60, 0, modifier=SHIFT)
    ct.painted()
    default = ct.picture.loaded.source.default
    assert default.width < ct.window.width < default.dragged(60, 0, (-1000, 2000)).width


# --- keys and panel -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_presets_of_ct(ct: Hands, number: int) -> None:
    ct.desk.key(Qt.Key(Qt.Key.Key_0 + number), SHIFT)
    preset = CT_PRESETS[number - 1]
    ct.painted(Window(float(preset.centre), float(preset.width)))
    shares = (RAMP[0] - (preset.centre - preset.width / 2)) / preset.width
    wanted = np.rint(shares.clip(0, 1) * 255)
    assert [ct.on_screen(x, 50) for x in range(160)] == wanted.astype(int).tolist()
    ct.desk.key(Qt.Key.Key_0, SHIFT)
    ct.painted()
    assert ct.window is None


def test_percentiles_and_full_range_of_other_deep_images(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    values = np.tile(np.linspace(100, 5000, 160), (120, 1)).astype(np.uint16)
    values[0, 0] = 65_000
    tifffile.imwrite(folder / "a.tif", values)
    desk.open(folder=folder)
    hands = Hands(desk)
    desk.key(Qt.Key.Key_2, SHIFT)
    hands.painted()
    assert hands.window.limits == pytest.approx((100, 65_000))
    assert hands.on_screen(159, 50) < 30
    desk.key(Qt.Key.Key_1, SHIFT)
    hands.painted()
    assert hands.on_screen(159, 50) > 250
    desk.key(Qt.Key.Key_4, SHIFT)
    assert "no preset" in desk.window.status.message.text()


def test_typed_values_gamma_local_contrast_and_inversion(ct: Hands) -> None:
    ct.desk.key(Qt.Key.Key_W, SHIFT)
    assert ct.panel.isVisible()
    for field, text in ((ct.panel.level, "100"), (ct.panel.width_box, "500")):
        field.setFocus()
        field.selectAll()
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key.Key_Return)
    ct.painted()
    assert (ct.window.centre, ct.window.width) == (100.0, 500.0)
    ct.panel.gamma.setFocus()
    for slider in (ct.panel.gamma, ct.panel.local):
        for _ in range(10):
            QTest.keyClick(slider, Qt.Key.Key_Right)
    ct.painted()
    assert ct.window.gamma > 1
    assert ct.window.clahe > 0
    ct.desk.window.canvas.setFocus()
    ct.desk.key(Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier | SHIFT)
    ct.painted()
    assert ct.window.is_inverted
    assert ct.panel.invert.isChecked()
    QTest.mouseClick(ct.panel.reset, LEFT)
    ct.painted()
    assert ct.window is None
    assert not ct.panel.invert.isChecked()


def test_the_handles_of_the_histogram(ct: Hands) -> None:
    ct.desk.key(Qt.Key.Key_W, SHIFT)
    histogram = ct.panel.histogram
    low, high = ct.picture.loaded.source.default.limits
    y = histogram.height() // 2
    for value, target in ((low, 0.0), (high, 1000.0)):
        start, end = (QPoint(round(histogram.place_of(at)), y) for at in (value, target))
        QTest.mousePress(histogram, LEFT, NONE, start)
        move(histogram, end, LEFT, NONE)
        QTest.mouseRelease(histogram, LEFT, NONE, end)
    ct.painted()
    step = 3000 / histogram.width()
    assert ct.window.limits == pytest.approx((0.0, 1000.0), abs=2 * step)
    histogram.setFocus()
    QTest.keyClick(histogram, Qt.Key.Key_Right)
    moved = ct.greys._now
    assert moved.width == pytest.approx(ct.window.width, rel=0.01) or moved != ct.window
    ct.painted()
    assert ct.window.centre > 500
    QTest.mouseDClick(histogram, LEFT, NONE, QPoint(50, y))
    ct.painted()
    assert ct.window is None


def test_brightness_and_contrast_of_a_photograph(photos: Hands) -> None:
    photos.desk.key(Qt.Key.Key_W, SHIFT)
    panel = photos.panel
    assert panel.brightness.isVisible()
    assert not panel.level.isVisible()
    before = photos.on_screen(80, 60)
    for _ in range(5):
        QTest.keyClick(panel.brightness, Qt.Key.Key_Right)
    photos.painted()
    assert photos.on_screen(80, 60) > before
    steep = [photos.on_screen(x, 60) for x in (10, 150)]
    for _ in range(5):
        QTest.keyClick(panel.contrast, Qt.Key.Key_Right)
    photos.painted()
    assert np.diff([photos.on_screen(x, 60) for x in (10, 150)]) > np.diff(steep)
    photos.desk.window.canvas.setFocus()
    photos.desk.key(Qt.Key.Key_1, SHIFT)
    photos.painted()
    assert photos.on_screen(159, 60) > 250


# --- what the project remembers -------------------------------------------------------------------------------------


def test_a_series_has_one_window_and_it_is_there_again(ct: Hands, tmp_path: Path) -> None:
    desk = ct.desk
    desk.key(Qt.Key.Key_2, SHIFT)
    lung = Window(-600.0, 1500.0)
    ct.painted(lung)
    desk.key(Qt.Key.Key_D)
    desk.wait_image(1)
    assert ct.window == lung
    assert UID not in "".join(stored(desk))
    folder = desk.folder
    desk.close()
    desk.open(folder=folder, first_row=1)
    again = Hands(desk)
    assert again.window == lung
    assert again.panel.scope.text() == "For this series"
    assert "window 1500" in desk.window.status.message.text().lower()


def test_photographs_have_their_own_window_or_one_for_all(photos: Hands) -> None:
    desk = photos.desk
    desk.key(Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier | SHIFT)
    photos.painted()
    desk.key(Qt.Key.Key_D)
    desk.wait_image(1)
    assert photos.window is None
    desk.key(Qt.Key.Key_A)
    desk.wait_image(0)
    desk.window.actions_by_id["window_all"].trigger()
    desk.key(Qt.Key.Key_D)
    desk.wait_image(1)
    assert photos.window.is_inverted
    assert photos.panel.scope.text() == "For all images of this kind"
    desk.key(Qt.Key.Key_0, SHIFT)  # but not this one
    photos.painted()
    assert photos.window is None
    desk.key(Qt.Key.Key_A)
    desk.wait_image(0)
    assert photos.window.is_inverted


def test_a_remembered_window_that_blanks_the_image_is_no_trap(desk: Desk, tmp_path: Path) -> None:
    folder = ct_folder(tmp_path, count=1)
    with ProjectStore.open_folder(folder) as store:
        book = WindowBook.of(store, store.meta_set)
        book.keep(AsShown().load(folder / "0.dcm"), Window(30_000.0, 5.0))
    desk.open(folder=folder)
    hands = Hands(desk)
    assert hands.window is None
    assert hands.on_screen(150, 60) > 200
    assert SHOWS_NOTHING in desk.window.status.message.text()


def test_a_read_only_project_can_be_looked_at_through_windows(desk: Desk, tmp_path: Path) -> None:
    folder = ct_folder(tmp_path)
    with ProjectStore.open_folder(folder):
        desk.open(folder=folder)
        assert not desk.session.is_writable
        hands = Hands(desk)
        desk.key(Qt.Key.Key_W)
        hands.drag(-50, 0)
        hands.painted()
        assert hands.window is not None
        desk.key(Qt.Key.Key_D)
        desk.wait_image(1)
        assert hands.window is not None  # as long as the window is open
        assert desk.window.canvas.tool == "window"
    assert not stored(desk)


# --- the model, and the object in work ------------------------------------------------------------------------------


def test_clicks_that_are_there_are_answered_again_and_undo_still_leads_through_them(ct: Hands) -> None:
    desk = ct.desk
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.click(90, 60)
    desk.wait_mask(90, 60)
    desk.key(Qt.Key.Key_3, SHIFT)
    ct.painted(Window(400.0, 1800.0))
    key = ct.picture.loaded.image_key
    desk.until(lambda: desk.engine.segmenter.decodes[-1].image_key.endswith(key))
    desk.wait_mask(90, 60)
    assert len(desk.engine.segmenter.decodes[-1].prompts.points) == 2
    assert desk.refine.state.image_key == key
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.wait_mask(60, 60)
    assert len(desk.refine.state.prompts.points) == 1
    desk.key(Qt.Key.Key_Return)
    assert len(desk.session.annotations) == 1


def test_an_accept_that_waits_belongs_to_what_was_seen(ct: Hands) -> None:
    desk = ct.desk
    before = ct.picture.loaded.image_key
    desk.engine.hold()
    desk.click(60, 60)
    desk.key(Qt.Key.Key_Return)
    desk.key(Qt.Key.Key_4, SHIFT)
    ct.painted(Window(50.0, 400.0))
    desk.click(100, 60)
    desk.engine.let_go()
    desk.until(lambda: len(desk.session.annotations) == 1)
    desk.wait_mask(100, 60)
    keys = [call.image_key.split(":")[-1] for call in desk.engine.segmenter.decodes]
    assert keys[0] == before
    assert keys[-1] == ct.picture.loaded.image_key


def test_while_a_drag_goes_on_only_the_part_in_view_is_painted_and_never_on_the_gui_thread(
    one_slice: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct = one_slice
    threads: list[int] = []
    sizes: list[tuple[int, int]] = []
    real = window_painter.show

    def show(native, window):
        threads.append(threading.get_ident())
        sizes.append(native.size_wh)
        return real(native, window)

    monkeypatch.setattr(window_painter, "show", show)
    encodes = list(ct.desk.engine.segmenter.encodes)
    canvas = ct.desk.window.canvas
    canvas.zoom_to(800)
    ct.desk.key(Qt.Key.Key_W)
    ct.drag(-80, 0, is_let_go=False)
    ct.desk.until(lambda: canvas.preview.preview is not None and not ct.greys._painter._is_running)
    assert threading.get_ident() not in threads
    assert all(width < 160 and height < 120 for width, height in sizes)
    assert ct.desk.engine.segmenter.encodes == encodes
    place = canvas.preview.preview.place
    assert place.width() < 160
    QTest.mouseRelease(canvas.viewport(), LEFT, NONE, QPoint(5, 5))
    ct.painted()
    ct.encoded()


def test_a_change_of_images_in_a_drag_leaves_the_next_one_as_it_is(ct: Hands) -> None:
    desk = ct.desk
    desk.key(Qt.Key.Key_W)
    ct.drag(-80, 0, is_let_go=False)
    desk.key(Qt.Key.Key_D)
    desk.wait_image(1)
    QTest.mouseRelease(desk.window.canvas.viewport(), LEFT, NONE, QPoint(5, 5))
    ct.desk.until(lambda: not ct.greys._painter._is_running)
    assert ct.window is None
    assert desk.window.canvas.preview.preview is None
    assert not stored(desk)


def test_the_memory_limit_is_said_and_the_image_stays(ct: Hands) -> None:
    desk = ct.desk
    desk.settings.set("memory_limit_mib", 64)
    from annotator.domain import budget

    budget.set_limit_bytes(1000)
    try:
        desk.key(Qt.Key.Key_1, SHIFT)
        desk.until(lambda: "memory" in desk.window.area.error_bar.text)
    finally:
        budget.set_limit_bytes(None)
    assert ct.window is None
    desk.key(Qt.Key.Key_1, SHIFT)
    ct.painted(Window(40.0, 80.0))
