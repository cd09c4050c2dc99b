"""Every panel, from its row: on every screen its controls are seen, and the keyboard reaches and leaves them."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QLabel, QPushButton, QScrollArea, QTabBar, QWidget

from annotator.ui.shell.panel_specs import PANELS

K = Qt.Key
SHIFT = Qt.KeyboardModifier.ShiftModifier
SIZES = ((853, 480), (1280, 720), (1366, 768), (2560, 1440))
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints|This plugin does not support", extend=True)


@pytest.fixture
def desk(desk):
    desk.open()
    desk.accept_at(60, 60)
    desk.accept_at(30, 30)
    return desk


def press(key, modifier=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(QApplication.focusWidget(), key, modifier)


def only(desk, name):
    """Open this panel and no other that has to be asked for."""
    for spec in PANELS:
        if not spec.is_open and spec.id != name:
            desk.window.show_panel(spec.id, False)
    desk.window.show_panel(name, True)
    for _ in range(3):
        QApplication.processEvents()


def scrolled(widget, dock):
    """Whether a widget lies in a part of its panel that scrolls."""
    return any(area.isAncestorOf(widget) and area is not widget for area in dock.findChildren(QScrollArea))


def problems(dock):
    """Of a panel that is seen: controls that are not, and texts that are cut off."""
    rect, found = dock.rect(), []
    neighbours = [other for other in dock.window().docks.values() if other is not dock and other.isVisible()]
    covered = [QRect(other.mapToGlobal(QPoint()), other.size()) for other in neighbours]
    for part in dock.findChildren(QWidget):
        if not part.isVisible() or scrolled(part, dock):
            continue
        name = f"{type(part).__name__} {part.accessibleName() or getattr(part, 'text', str)()!r}"
        place = QRect(part.mapTo(dock, QPoint()), part.size())
        if isinstance(part, QPushButton | QLabel | QAbstractScrollArea) and not rect.contains(place):
            found.append(f"{name} at {place} leaves {rect}")
        elsewhere = QRect(part.mapToGlobal(QPoint()), part.size())
        if isinstance(part, QPushButton) and any(other.intersects(elsewhere) for other in covered):
            found.append(f"{name} is covered")
        if isinstance(part, QPushButton) and part.width() < part.sizeHint().width() - 14:
            found.append(f"{name} has {part.width()} of {part.sizeHint().width()} pixels")
    return found


def test_every_panel_is_whole_on_every_screen(desk):
    wrong = []
    for size in SIZES:
        desk.window.resize(*size)
        for spec in PANELS:
            only(desk, spec.id)
            wrong += [f"{spec.id} {size}: {text}" for text in problems(desk.window.docks[spec.id])]
    assert wrong == []


def unseen_buttons(panel):
    """Texts of its buttons that are shown, but not wholly to be seen."""
    buttons = [button for button in panel.findChildren(QPushButton) if button.isVisible()]
    return [button.text() for button in buttons if button.visibleRegion().boundingRect() != button.rect()]


def test_every_button_of_a_panel_is_seen_without_scrolling_on_a_laptop(desk):
    """But for the window panel's, which is a page of sliders."""
    desk.window.resize(1366, 768)
    for spec in PANELS:
        only(desk, spec.id)
        panel = desk.window.panels[spec.id]
        if spec.id != "window":
            desk.until(lambda panel=panel: unseen_buttons(panel) == [])  # a job that ends lays its panel out anew


def test_panels_that_are_asked_for_share_a_place_and_the_newest_is_in_front(desk):
    window = desk.window
    asked = [spec for spec in PANELS if not spec.is_open and spec.area is Qt.DockWidgetArea.RightDockWidgetArea]
    for spec in asked:
        window.show_panel(spec.id, True)
        QApplication.processEvents()
        behind = [one.id for one in asked if window.column.is_behind(one.id)]
        assert spec.id not in behind
        assert len(behind) == asked.index(spec), "the others are behind it"
    (tabs,) = window.findChildren(QTabBar, "panelTabs")
    assert [tabs.tabText(at) for at in range(tabs.count())] == [spec.title for spec in asked]
    QApplication.processEvents()
    shot, accent = tabs.grab().toImage(), window.theme.tokens.accent
    assert any(shot.pixelColor(x, shot.height() - 1).name() == accent for x in range(shot.width())), "marks the front"
    # Its key brings a panel to the front before it hides it.
    first = window.actions_by_id[f"panel_{asked[0].id}"]
    first.trigger()
    QApplication.processEvents()
    assert first.isChecked()
    assert not window.column.is_behind(asked[0].id)
    first.trigger()
    assert not first.isChecked()
    assert window.docks[asked[0].id].isHidden()


def part_of(window):
    focus = QApplication.focusWidget()
    for spec in PANELS:
        if window.docks[spec.id].isAncestorOf(focus):
            return spec.id
    return "image" if window.area.stack.isAncestorOf(focus) else "else"


def test_f6_stops_at_every_open_panel_where_it_can_be_seen(desk):
    window = desk.window
    for spec in PANELS:
        window.show_panel(spec.id, True)
    window.canvas.setFocus()
    wanted = [spec.id for spec in PANELS]
    rounds = []
    for modifier in (Qt.KeyboardModifier.NoModifier, SHIFT):
        seen = []
        for _ in range(40):
            press(K.Key_F6, modifier)
            QApplication.processEvents()
            name = part_of(window)
            if name == "image":
                break
            assert name == "else" or not QApplication.focusWidget().visibleRegion().isEmpty(), name
            seen.append(name)
        rounds.append([name for name in seen if name != "else"])
    assert rounds == [wanted, wanted[::-1]]


def can_stop(widget):
    has_own_focus = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.focusProxy() is None
    return widget.isVisible() and widget.isEnabled() and has_own_focus


def test_tab_reaches_every_control_of_every_panel_and_leaves_it(desk):
    window = desk.window
    window.notices.warn("Something.", about="test")
    wrong = []
    for spec in PANELS:
        only(desk, spec.id)
        dock = window.docks[spec.id]
        wanted = {part for part in dock.findChildren(QWidget) if can_stop(part)}
        view = window.panels[spec.id].view
        if not wanted or not can_stop(view):
            continue
        view.setFocus(Qt.FocusReason.ShortcutFocusReason)
        reached, has_left = {view}, False
        for _ in range(80):
            press(K.Key_Tab)
            reached.add(QApplication.focusWidget())
            has_left |= not dock.isAncestorOf(QApplication.focusWidget())
        names = [part.accessibleName() or getattr(part, "text", str)() for part in wanted - reached]
        if names or not has_left:
            wrong.append((spec.id, names, has_left))
    assert wrong == []


def test_f6_stops_at_what_floats_on_the_image_and_goes_on(desk):
    window = desk.window
    window.objects.select_ids(frozenset({desk.session.annotations[0].id}))
    desk.window.actions_by_id["grow"].trigger()
    desk.until(lambda: window.area.operation.is_open)
    window.canvas.setFocus()
    press(K.Key_F6)
    assert window.area.operation.isAncestorOf(QApplication.focusWidget())
    press(K.Key_F6)
    assert part_of(window) == "objects"
    press(K.Key_F6, SHIFT)
    press(K.Key_F6, SHIFT)
    assert QApplication.focusWidget() is window.canvas
