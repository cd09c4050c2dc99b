"""Window and dialogs on screens that are small for them: 1080 lines at 150 % leave about 670, 720 lines about 440."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, QRect, QSize, Qt
from PySide6.QtGui import QPainter, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QPushButton, QScrollArea, QToolButton

from annotator.domain.adapter import DECIDING
from annotator.jobs.training_record import Wish
from annotator.ui.adapters.panel import AdapterPanel
from annotator.ui.adapters.train_dialog import CurvePlot, TrainDialog
from annotator.ui.adapters.training import Standing, TrainingRun
from annotator.ui.dialogs import scroll_pane
from annotator.ui.panels.delegates import SMALL_THUMB_PX, THUMB_PX
from annotator.ui.shell import screens
from annotator.ui.shell.action_rows import TOOL_STRIP
from annotator.ui.shell.screens import placed

LOW_PX = 600
SMALLEST = QSize(853, 400)
"""What 1280 x 720 at 150 % leaves beside a task bar and a title bar."""
FULL_HD, LAPTOP = QRect(0, 0, 1920, 1040), QRect(0, 0, 1366, 728)
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


@pytest.fixture
def desk(desk):
    desk.build()
    return desk


@pytest.fixture
def low_screen(monkeypatch):
    for name in ("annotator.ui.dialogs.scroll_pane.room_for", "annotator.ui.adapters.train_dialog.room_for"):
        monkeypatch.setattr(name, lambda _dialog: QSize(1280, LOW_PX))


def is_seen(widget):
    """Whether a widget lies wholly in its window."""
    window = widget.window()
    return widget.isVisible() and window.rect().contains(widget.rect().translated(widget.mapTo(window, QPoint())))


def wheel(widget):
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        *(at, widget.mapToGlobal(at), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton),
        *(Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False),
    )
    QApplication.sendEvent(widget, event)
    return event


def test_settings_scroll_and_keep_their_button(desk, low_screen):
    dialog = desk.program.files.show_settings()
    close = next(button for button in dialog.findChildren(QPushButton) if button.text() == "Close")
    assert dialog.height() == LOW_PX
    assert is_seen(close)
    assert not is_seen(dialog.editors["cache_disk_gib"])
    # The wheel scrolls, wherever the pointer is; it turns a field only when that has the focus.
    dialog.activateWindow()
    desk.until(dialog.isActiveWindow)
    opacity, pane = dialog.editors["mask_opacity"], dialog.findChild(QScrollArea)
    before = opacity.value()
    assert not wheel(opacity).isAccepted(), "the system gives it to the pane"
    assert opacity.value() == before
    wheel(pane.viewport())
    assert pane.verticalScrollBar().value() > 0
    opacity.setFocus()
    wheel(opacity)
    assert opacity.value() != before
    # A field that is reached by key comes into view.
    dialog.editors["cache_disk_enabled"].setFocus()
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert is_seen(dialog.editors["cache_disk_gib"])
    dialog.close()


def test_the_keys_scroll_by_key(desk, low_screen):
    sheet = desk.program.files.show_keys()
    assert sheet.height() == LOW_PX
    sheet.activateWindow()
    desk.until(sheet.isActiveWindow)
    bar = sheet.findChild(QScrollArea).verticalScrollBar()
    for _ in range(-(-bar.maximum() // bar.pageStep())):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_PageDown)
    assert bar.value() == bar.maximum() > 0
    sheet.close()


def test_with_room_nothing_scrolls(desk, monkeypatch):
    monkeypatch.setattr(scroll_pane, "room_for", lambda _dialog: QSize(1920, 1040))
    dialog = desk.program.files.show_settings()
    bar = dialog.findChild(QScrollArea).verticalScrollBar()
    desk.until(lambda: not bar.isVisible())
    dialog.close()


def test_keys_are_found_by_typing(desk, monkeypatch):
    """There are more than a screen has room for."""
    monkeypatch.setattr(scroll_pane, "room_for", lambda _dialog: QSize(1920, 1040))
    sheet = desk.program.files.show_keys()
    desk.until(lambda: sheet.isActiveWindow())

    def shown():
        return [label.text() for label in sheet.findChild(QScrollArea).widget().findChildren(QLabel)]

    assert len(shown()) > 200
    for letter in "loupe":
        QTest.keyClick(QApplication.focusWidget(), letter)
    assert sheet.search.text() == "loupe"
    assert sorted(shown()) == ["Loupe", "View", "hold ,"]
    bar = sheet.findChild(QScrollArea).verticalScrollBar()
    desk.until(lambda: not bar.isVisible())
    sheet.search.setText("no such thing")
    assert shown() == ["No key is called that."]
    sheet.search.clear()
    assert len(shown()) > 200
    sheet.close()


def test_the_result_of_a_training_keeps_its_buttons(desk, low_screen, tmp_path):
    def around(value):
        return {"mean": value, "low": value - 0.01, "high": value + 0.01}

    rows = [{"measure": DECIDING, "base": around(0.5), "adapter": around(0.6), "difference": around(0.1)}]
    rows += [{**rows[0], "measure": f"IoU, {clicks} clicks"} for clicks in range(10)]
    wish = Wish(tmp_path / "p.annot", "cells", "", "fake", 20.0, tmp_path / "run", config=None, device="cpu")
    run = TrainingRun(wish)
    run.standing = Standing(rows=tuple(rows), validation=((0.1, 0.5), (0.2, 0.6)))
    dialog = TrainDialog(lambda *_: wish, lambda _wish: run, desk.window, run=run)
    dialog.show()
    assert dialog.height() <= LOW_PX
    assert is_seen(dialog.install_button)
    assert is_seen(dialog.close_button)
    assert dialog.table.verticalScrollBar().maximum() > 0
    dialog.close()


# --- where nothing is larger than 853 x 400 ---------------------------------------------------------------------------


@pytest.fixture
def smallest_screen(monkeypatch):
    for name in ("annotator.ui.dialogs.scroll_pane.room_for", "annotator.ui.adapters.train_dialog.room_for"):
        monkeypatch.setattr(name, lambda _dialog: SMALLEST)


def show_export(desk):
    desk.program.files.export()
    desk.until(lambda: QApplication.activeModalWidget() is not None)
    return QApplication.activeModalWidget()


def show_adapters(desk):
    panel = AdapterPanel(desk.window)
    panel.open()
    return panel


def show_training(desk):
    dialog = TrainDialog(lambda *_: None, lambda _wish: None, desk.window)
    dialog.show()
    return dialog


@pytest.mark.parametrize(
    "show",
    [
        lambda desk: desk.program.files.show_settings(),
        lambda desk: desk.program.files.show_keys(),
        lambda desk: desk.program.files.show_about(),
        show_export,
        show_adapters,
        show_training,
    ],
    ids=["settings", "keys", "about", "export", "adapters", "training"],
)
def test_every_dialog_is_wholly_on_the_smallest_screen(qtbot, desk_with_folder, smallest_screen, show):
    dialog = show(desk_with_folder)
    assert isinstance(dialog, QDialog)
    qtbot.waitExposed(dialog)
    assert dialog.width() <= SMALLEST.width()
    assert dialog.height() <= SMALLEST.height()
    for button in dialog.findChildren(QPushButton):
        assert button.isHidden() or is_seen(button) or isinstance_of_pane(button), button.text()
    for pane in dialog.findChildren(scroll_pane.ScrollPane):
        cut_px = pane.widget().width() - pane.viewport().width()
        assert cut_px <= scroll_pane.BAR_ROOM_PX, "the scroll bar covers nothing but the margin for it"
    dialog.close()


def isinstance_of_pane(widget):
    """Whether a widget lies in a part that scrolls."""
    return any(pane.isAncestorOf(widget) for pane in widget.window().findChildren(QScrollArea))


@pytest.fixture
def desk_with_folder(desk):
    desk.window.close()
    desk.window.deleteLater()
    desk.open(images=2)
    return desk


def test_a_report_that_comes_does_not_push_the_buttons_out(desk_with_folder, smallest_screen):
    dialog = show_export(desk_with_folder)
    dialog._end("a line\n" * 40, is_over=False)
    desk_with_folder.until(dialog.report.isVisible)
    assert dialog.height() <= SMALLEST.height()
    assert is_seen(dialog.close_button)
    assert is_seen(dialog.start_button)
    dialog.close()


def test_the_window_takes_the_smallest_screen_and_shows_every_part(desk):
    window = desk.window
    window.resize(SMALLEST)
    desk.until(lambda: window.size() == SMALLEST)
    overflow = window.strip.findChild(QToolButton, "qt_toolbar_ext_button")
    assert overflow is None or overflow.isHidden()
    for name in filter(None, TOOL_STRIP):
        assert is_seen(window.strip.button(name)), name
    assert is_seen(window.film.view)
    assert window.film._delegate.thumb_px == SMALL_THUMB_PX
    assert window.area.stack.height() >= 190, "most of it is for the image"
    for button in window.classes._buttons.values():
        assert is_seen(button)
    window.resize(800, 740)
    desk.until(lambda: window.film._delegate.thumb_px == THUMB_PX)
    for size in (SMALLEST, QSize(800, 740)):  # the strip's panel takes no more than the strip
        window.resize(size)
        film = window.film
        desk.until(lambda film=film: film.height() == film.view.height())


# --- where the window goes --------------------------------------------------------------------------------------------

corner, length = st.integers(-4000, 4000), st.integers(300, 4000)
rectangles = st.builds(QRect, corner, corner, length, length)


@given(rectangles, st.lists(rectangles, min_size=1, max_size=3))
def test_a_window_is_wholly_on_one_screen_and_no_smaller_than_it_has_to_be(wanted, there):
    found = placed(wanted, there)
    homes = [screen for screen in there if screen.contains(found)]
    assert homes
    assert any(found.size() == wanted.size().boundedTo(home.size()) for home in homes)
    if any(screen.contains(wanted) for screen in there):
        assert found == wanted


def test_what_no_screen_shows_goes_to_the_first():
    assert LAPTOP.contains(placed(QRect(2500, 100, 1440, 900), [LAPTOP]))
    assert placed(QRect(100, 50, 1000, 600), [LAPTOP, FULL_HD]) == QRect(100, 50, 1000, 600)


@pytest.mark.parametrize("room", [QRect(0, 0, 853, 440), QRect(0, 25, 1366, 700), QRect(0, 0, 2560, 1400)])
def test_the_first_window_fits_the_screen(desk, monkeypatch, room):
    monkeypatch.setattr(screens, "_rooms", lambda: [room])
    place = screens.first_place(desk.window)
    assert room.contains(place.adjusted(0, -screens.FRAME_PX[1], 0, 0))
    assert place.width() == min(1440, room.width())
    assert place.height() == min(900, room.height() - screens.FRAME_PX[1])


def test_a_geometry_of_a_larger_screen_is_brought_into_sight(desk, monkeypatch):
    window = desk.window
    window.setGeometry(QRect(2100, 300, 1900, 1000))
    geometry, state = window.layout_state()
    room = QRect(0, 0, 853, 440)
    monkeypatch.setattr(screens, "_rooms", lambda: [room])
    window.restore_layout(geometry, state, hidden=[], opened=[])
    assert room.contains(window.geometry())
    # One that fits stays where it was.
    window.setGeometry(QRect(40, 50, 700, 380))
    geometry, state = window.layout_state()
    window.setGeometry(QRect(0, 32, 850, 400))
    window.restore_layout(geometry, state, hidden=[], opened=[])
    assert window.geometry() == QRect(40, 50, 700, 380)


def test_the_hint_is_read_in_the_narrowest_window(desk_with_folder):
    desk = desk_with_folder
    hint, stack = desk.window.area.hint, desk.window.area.stack
    heights = []
    for size, is_narrow in (((1280, 800), False), ((640, 380), True), ((1280, 800), False)):
        desk.window.resize(*size)
        desk.until(lambda is_narrow=is_narrow: (stack.width() < 500) is is_narrow)
        assert stack.rect().contains(hint.geometry())
        heights.append(hint.height())
    wide, narrow, wide_again = heights
    assert wide == wide_again < narrow, "two lines only where one has no room"


# --- texts that were cut ----------------------------------------------------------------------------------------------


def test_the_choice_of_a_model_shows_what_it_stands_for(desk):
    dialog = desk.program.files.show_settings()
    choice = dialog.editors["model"]
    line = choice.lineEdit()
    desk.until(choice.isVisible)
    assert line.fontMetrics().horizontalAdvance(line.placeholderText()) <= line.contentsRect().width()
    dialog.close()


@pytest.mark.parametrize("points", [(), ((0.1, 0.5), (0.2, 0.61))])
def test_the_titles_of_the_curves_are_whole(qtbot, monkeypatch, points):
    plot = CurvePlot()
    qtbot.addWidget(plot)
    plot.resize(580, 150)
    plot.show_standing(Standing(validation=points, loss=points))
    drawn = []
    monkeypatch.setattr(QPainter, "drawText", lambda _painter, *rest: drawn.append(rest[-1]))
    plot.grab()
    assert "Validation, boundary IoU" in drawn
    assert ("0.610" if points else "after the first epoch") in drawn
    assert not any("…" in text for text in drawn)


def test_the_title_of_the_film_strip_is_whole_beside_another_panel(desk):
    desk.program.files.open_path(desk.make_folder(images=12))
    window = desk.window
    window.resize(853, 480)
    window.show_panel("jobs", True)
    dock, film = window.docks["images"], window.film
    title = dock.titleBarWidget()
    desk.until(lambda: dock.detail.text() == "1 / 12  ·  0 of 12 done" and dock.width() < 500)

    def is_whole():
        parts = (dock.detail, film.filter.field, film.filter.choice)
        return all(title.rect().contains(QRect(part.mapTo(title, QPoint()), part.size())) for part in parts)

    desk.until(is_whole)
    assert dock.detail.width() >= dock.detail.sizeHint().width()
    assert film.view.y() == 0, "no gap above the tiles"


def test_the_colours_of_doubt_are_the_same_in_a_light_window(desk):
    ramp = desk.window.area.doubt._scale[1]
    shots = []
    for theme in ("dark", "light"):
        desk.window.theme.apply(theme)
        shot = ramp.grab().toImage()
        shots.append([shot.pixelColor(x, 5).name() for x in (10, 36, 62)])
    assert shots[0] == shots[1]


@pytest.mark.parametrize("name", ["window", "jobs"])
def test_what_a_panel_scrolls_is_as_wide_as_what_is_seen(desk_with_folder, name):
    """After any size: an older one once left a margin, in which texts were cut."""
    desk = desk_with_folder
    panel = desk.window.panels[name]
    desk.window.show_panel(name, True)
    for size in ((853, 480), (1366, 768)):
        desk.window.resize(*size)
        desk.until(lambda: panel.view.widget().width() == panel.view.viewport().width())
        assert panel.view.viewport().width() >= panel.width() - 30
