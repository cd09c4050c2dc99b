"""Panels, film strip, candidate strip, class finder, error bar: alone, with real events."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QToolButton, QWidget

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate
from annotator.domain.project import Annotation, Category, ImageRecord, Status
from annotator.ui.look.numbers import area_text
from annotator.ui.look.theme import Theme
from annotator.ui.panels.chips import class_icon, paint_class_chip
from annotator.ui.panels.dock import ClassPanel, ObjectPanel
from annotator.ui.panels.film import FilmStrip
from annotator.ui.panels.list_models import DETAIL_ROLE, NUMBER_ROLE, ROW_ROLE, stretches
from annotator.ui.shell.area import ErrorBar
from annotator.ui.shell.finder import ClassFinder
from annotator.ui.shell.hud import CandidateStrip, ClassChip, common_frame, silhouette

K = Qt.Key
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
CATEGORIES = {1: Category(1, "object", "#e69f00", 1), 2: Category(2, "cell", "#56b4e9", 2)}


@pytest.fixture
def theme(qapp):
    return Theme(qapp, "dark")


def annotation(number: int, category_id: int = 1) -> Annotation:
    full = np.zeros((40, 60), bool)
    full[number : number + 10, 5:15] = True
    return Annotation(number, 1, category_id, 0, 0, 0, 0, 0, b"", 60, 40).with_mask(Mask.from_full(full))


def candidate(side: int, label: str) -> Candidate:
    full = np.zeros((40, 60), bool)
    full[2 : 2 + side, 2 : 2 + side] = True
    return Candidate(np.zeros((4, 4), np.float32), 0.5 + side / 100, 0.9, Mask.from_full(full), label)


@pytest.fixture
def objects(theme, qtbot):
    panel = ObjectPanel(theme)
    qtbot.addWidget(panel)
    panel.resize(260, 300)
    panel.set_rows([annotation(n) for n in range(1, 6)], CATEGORIES)
    panel.show()
    return panel


def row_centre(panel, row: int) -> QPoint:
    return panel.view.visualRect(panel.model.index(row)).center()


def test_objects_are_selected_by_click(objects, qtbot):
    with qtbot.waitSignal(objects.selection_changed) as seen:
        QTest.mouseClick(objects.view.viewport(), Qt.MouseButton.LeftButton, pos=row_centre(objects, 2))
    assert seen.args == [frozenset({3})]
    shift = Qt.KeyboardModifier.ShiftModifier
    QTest.mouseClick(objects.view.viewport(), Qt.MouseButton.LeftButton, shift, row_centre(objects, 4))
    assert objects.selected_ids() == {3, 4, 5}


def test_a_double_click_refines(objects, qtbot):
    QTest.mouseClick(objects.view.viewport(), Qt.MouseButton.LeftButton, pos=row_centre(objects, 1))
    with qtbot.waitSignal(objects.refine_wanted) as seen:
        QTest.mouseDClick(objects.view.viewport(), Qt.MouseButton.LeftButton, pos=row_centre(objects, 1))
    assert seen.args == [2]


def test_selection_survives_accepts_and_changes(objects):
    objects.select_ids(frozenset({2, 3}))
    objects.set_rows([annotation(n) for n in range(1, 7)], CATEGORIES)
    assert objects.selected_ids() == {2, 3}
    objects.set_rows([annotation(n, 2) for n in range(1, 7)], CATEGORIES)
    assert objects.selected_ids() == {2, 3}
    objects.set_rows([annotation(n) for n in (1, 3, 4)], CATEGORIES)
    assert objects.selected_ids() == {3}


def test_what_is_selected_is_told_without_a_look_at_each(objects, monkeypatch):
    """Qt asks for the flags of every index that it gives out: tens of milliseconds with thousands of objects."""
    rows = [annotation(1 + n % 20) for n in range(300)]
    objects.set_rows([replace(row, id=1 + at) for at, row in enumerate(rows)], CATEGORIES)
    asked, model = [], type(objects.model)
    for name in ("flags", "data"):
        plain = getattr(model, name)
        monkeypatch.setattr(model, name, lambda *words, plain=plain: (asked.append(1), plain(*words))[1])
    some = frozenset({2, 3, 4, 9, 300})
    objects.select_ids(frozenset(range(1, 301)))
    assert objects.selected_ids() == frozenset(range(1, 301))
    objects.select_ids(some | {999})
    assert objects.selected_ids() == some
    assert len(asked) < 100
    assert stretches([1, 2, 3, 8, 299]) == [(1, 3), (8, 8), (299, 299)]
    assert stretches([]) == []


def test_context_menu_deletes_and_reclasses(objects, qtbot):
    menu = objects.make_menu(frozenset({1, 2}))
    texts = [action.text() for action in menu.actions() if action.text()]
    assert texts == ["Change class", "Approved", "Needs rework", "Note…", "Delete 2 objects"]
    with qtbot.waitSignal(objects.delete_wanted) as seen:
        menu.actions()[-1].trigger()
    assert seen.args == [frozenset({1, 2})]
    classes = menu.actions()[0].menu()
    with qtbot.waitSignal(objects.reclass_wanted) as seen:
        classes.actions()[1].trigger()
    assert seen.args == [frozenset({1, 2}), 2]
    assert objects.make_menu(frozenset({1})).actions()[0].text() == "Refine with clicks"


def test_a_read_only_list_offers_nothing(objects):
    objects.set_rows([annotation(1)], CATEGORIES, is_writable=False)
    assert objects.make_menu(frozenset({1})) is None


def test_rows_tell_screen_readers_what_they_are(objects):
    index = objects.model.index(0)
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "1 object, 100 pixels"


@pytest.fixture
def classes(theme, qtbot):
    panel = ClassPanel(theme)
    qtbot.addWidget(panel)
    panel.resize(260, 300)
    panel.set_rows(list(CATEGORIES.values()), {1: 3}, current=1)
    panel.show()
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    return panel


def test_a_class_is_picked_by_click(classes, qtbot):
    with qtbot.waitSignal(classes.picked) as seen:
        QTest.mouseClick(classes.view.viewport(), Qt.MouseButton.LeftButton, pos=row_centre(classes, 1))
    assert seen.args == [2]


def test_a_class_is_renamed_in_place(classes, qtbot):
    classes.edit_name(2)
    editor = classes.view.findChild(QLineEdit)
    assert editor is not None
    assert editor.text() == "cell"
    editor.selectAll()
    QTest.keyClicks(editor, "nucleus")
    with qtbot.waitSignal(classes.rename_wanted) as seen:
        QTest.keyClick(editor, K.Key_Return)
    assert seen.args == [2, "nucleus"]


def test_only_unused_classes_can_be_deleted(classes, qtbot):
    delete = classes._buttons["delete"]
    assert not delete.isEnabled()
    classes.view.setCurrentIndex(classes.model.index(1))
    assert delete.isEnabled()
    with qtbot.waitSignal(classes.delete_wanted) as seen:
        delete.click()
    assert seen.args == [2]
    classes.set_rows(list(CATEGORIES.values()), {}, current=1, is_writable=False)
    assert not any(button.isEnabled() for button in classes._buttons.values())


def test_film_asks_for_what_is_in_view_only(theme, qtbot):
    asked: list[int] = []
    film = FilmStrip(theme, lambda record: asked.append(record.id))
    qtbot.addWidget(film)
    film.resize(600, 130)
    film.set_rows([ImageRecord(n, f"{n}.png", status=Status.DONE if n < 4 else Status.UNSEEN) for n in range(1, 2001)])
    film.show()
    qtbot.waitUntil(lambda: len(asked) >= 4)
    film.grab()
    assert len(asked) < 12
    assert film.progress_text() == "3 of 2\u202f000 done"
    film.set_current(1500)
    assert film.progress_text() == "1\u202f500 / 2\u202f000  ·  3 of 2\u202f000 done"
    film.grab()
    assert any(1490 < n < 1510 for n in asked)
    pixmap = QPixmap(20, 10)
    pixmap.fill(QColor("#ff00ff"))
    film.set_thumbnail(1500, pixmap)
    rect = film.view.visualRect(film.model.index(1499))
    shot = film.view.viewport().grab().toImage()
    at = QPoint(rect.left() + 60, rect.top() + 40) * shot.devicePixelRatio()
    assert shot.pixelColor(at).name() == "#ff00ff"
    with qtbot.waitSignal(film.picked) as seen:
        QTest.mouseClick(film.view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert seen.args == [1500]
    assert film.model.index(0).data(ROW_ROLE).status is Status.DONE


def test_candidates_show_only_when_there_is_a_choice(theme, qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    parent.show()
    strip = CandidateStrip(theme, parent)
    one, two, three = candidate(8, "part"), candidate(16, "whole"), candidate(30, "group")
    strip.show_candidates((one,), 0, colour="#e69f00")
    assert strip.isHidden()
    strip.show_candidates((one, two, three), 1, colour="#e69f00")
    assert strip.isVisible()
    assert [b.isChecked() for b in strip._buttons] == [False, True, False]
    assert strip._buttons[2].accessibleName() == "candidate group, predicted quality 0.80"
    with qtbot.waitSignal(strip.chosen) as seen:
        QTest.mouseClick(strip._buttons[2], Qt.MouseButton.LeftButton)
    assert seen.args == [2]
    strip.show_candidates((one, two, three), 1, colour="#56b4e9")
    assert strip._buttons[0]._colour == "#56b4e9", "another class was chosen"
    strip.show_candidates((), 0, colour="#e69f00")
    assert strip.isHidden()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (37, 41), (3, 3)])
def test_silhouettes_of_all_shapes(qapp, shape):
    mask = Mask(np.ones(shape, bool), 0, 0, 600, 600)
    image = silhouette(mask, 40, frame=common_frame([mask]))
    inked = sum(image.pixelColor(x, y).alpha() > 0 for x in range(40) for y in range(40))
    long, short = max(shape), min(shape)
    assert inked == 36 * max(1, round(36 * short / long))
    empty = Mask.empty(5, 5)
    assert silhouette(empty, 40, frame=common_frame([empty])).pixelColor(20, 20).alpha() == 0


def test_silhouettes_of_candidates_share_one_scale(qapp):
    part, group = (Mask(np.ones((n, n), bool), 50, 50, 600, 600) for n in (10, 40))
    frame = common_frame([part, group])
    assert frame == (50, 50, 40, 40)
    inked = [
        sum(silhouette(m, 40, frame=frame).pixelColor(x, y).alpha() > 0 for x in range(40) for y in range(40))
        for m in (part, group)
    ]
    assert inked == [81, 1296]


def test_class_finder(qtbot):
    parent = QWidget()
    parent.resize(400, 300)
    qtbot.addWidget(parent)
    parent.show()
    parent.activateWindow()
    qtbot.waitUntil(parent.isActiveWindow)
    finder = ClassFinder(parent)
    finder.open_for(list(CATEGORIES.values()), can_add=True)
    QTest.keyClicks(finder.field, "ce")
    with qtbot.waitSignal(finder.picked) as seen:
        QTest.keyClick(finder.field, K.Key_Return)
    assert seen.args == [2]
    assert finder.isHidden()
    finder.open_for(list(CATEGORIES.values()), can_add=True)
    QTest.keyClicks(finder.field, "Nucleus")
    with qtbot.waitSignal(finder.new_wanted) as seen:
        QTest.keyClick(finder.field, K.Key_Return)
    assert seen.args == ["Nucleus"]
    finder.open_for(list(CATEGORIES.values()), can_add=False)
    QTest.keyClicks(finder.field, "Nucleus")
    assert finder.list.count() == 0
    with qtbot.waitSignal(finder.closed):
        QTest.keyClick(finder.field, K.Key_Escape)


def test_error_bar_has_one_action(theme, qtbot):
    bar = ErrorBar(theme)
    qtbot.addWidget(bar)
    bar.show_message("The disk is full.", action=("Try again", lambda: done.append(1)))
    done: list[int] = []
    assert bar.text == "The disk is full."
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    assert done == [1]
    assert bar.text == ""
    bar.show_message("Read-only.", is_error=False)
    assert bar.button.isHidden()


def test_the_error_bar_gives_back_what_a_newer_message_covered(theme, qtbot):
    bar = ErrorBar(theme)
    qtbot.addWidget(bar)
    bar.show_message("The model is missing.", topic="model")
    bar.show_message("Looking through scans…", is_error=False, action=("Stop", lambda: None), topic="opening")
    assert bar.text == "Looking through scans…"
    bar.withdraw("opening")
    assert bar.text == "The model is missing."
    assert bar.property("level") == "error"
    assert bar.button.isHidden()
    bar.show_message("The disk is full.", topic="save")
    bar.withdraw("model")
    assert bar.text == "The disk is full."
    bar.show_message("The disk is still full.", topic="save")
    bar.withdraw("save")
    assert bar.text == ""


def test_closing_a_message_shows_the_one_beneath(theme, qtbot):
    bar = ErrorBar(theme)
    qtbot.addWidget(bar)
    bar.show_message("The model is missing.", topic="model")
    bar.show_message("The disk is full.", topic="save")
    for expected in ("The model is missing.", ""):
        QTest.mouseClick(bar.findChild(QToolButton), Qt.MouseButton.LeftButton)
        assert bar.text == expected


def test_class_chip(theme, qtbot):
    chip = ClassChip(theme, None)
    qtbot.addWidget(chip)
    chip.set_category(CATEGORIES[2], note="removing")
    assert chip.accessibleName() == "Class in use: cell removing"
    with qtbot.waitSignal(chip.clicked):
        QTest.mouseClick(chip, Qt.MouseButton.LeftButton)
    chip.set_category(None)
    assert chip.isHidden()


def painted_chip(category, number=0):
    image = QImage(24, 24, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    paint_class_chip(painter, QRectF(3, 3, 18, 18), category, "#808080", number)
    painter.end()
    return image


def test_chips_differ_by_shape_and_by_number_in_one_colour(qapp):
    same = [Category(n, "a", "#e69f00") for n in range(1, 6)]
    shapes = [painted_chip(category) for category in same]
    assert all(a != b for a, b in itertools.combinations(shapes, 2))
    numbers = [painted_chip(same[0], number) for number in (0, 1, 9, 12, 128)]
    assert all(a != b for a, b in itertools.combinations(numbers, 2))
    icons = [class_icon(category).pixmap(16).toImage() for category in same]
    assert all(a != b for a, b in itertools.combinations(icons, 2))


def test_a_class_without_key_has_a_number_too(classes):
    classes.set_rows([*CATEGORIES.values(), Category(3, "third", "#009e73")], {}, current=1)
    model = classes.model
    assert [model.index(row).data(NUMBER_ROLE) for row in range(3)] == [1, 2, 10]


def test_the_image_that_is_open_is_in_the_middle_third(theme, qtbot):
    film = FilmStrip(theme, lambda _record: None)
    qtbot.addWidget(film)
    film.resize(900, 130)
    film.set_rows([ImageRecord(n, f"{n}.png") for n in range(1, 101)])
    film.show()
    qtbot.waitExposed(film)
    width = film.view.viewport().width()
    for number in (40, 41, 42, 43, 44, 45, 46, 47, 20, 19, 60):
        film.set_current(number)
        middle = film.view.visualRect(film.model.index(number - 1)).center().x()
        assert width / 3 - 1 <= middle <= 2 * width / 3 + 1, number
    film.set_current(1)
    assert film.view.visualRect(film.model.index(0)).left() >= 0


def test_long_names_in_the_film_strip_keep_their_ends(theme, qtbot, monkeypatch):
    film = FilmStrip(theme, lambda _record: None)
    qtbot.addWidget(film)
    film.resize(300, 130)
    film.set_rows([ImageRecord(1, "a/very_long_name_of_a_series_0001.png"), ImageRecord(2, "2.png")])
    drawn = []
    monkeypatch.setattr(QPainter, "drawText", lambda _painter, *rest: drawn.append(rest[-1]))
    film.show()
    qtbot.waitExposed(film)
    film.view.viewport().grab()
    assert any(text.endswith("001") and "…" in text and text.startswith("v") for text in drawn)
    assert "2.png" in drawn


def test_an_object_row_tells_which_version_of_a_model_made_it(objects):
    made = replace(annotation(1), model="nano", model_sha256="13458c2e" + "0" * 56)
    objects.set_rows(
        [made, replace(made, id=2, model_sha256="f" * 64), replace(made, id=3, model="", model_sha256="")], {}
    )
    tips = [objects.model.index(row).data(Qt.ItemDataRole.ToolTipRole).splitlines()[-1] for row in range(3)]
    assert tips[0].endswith("nano 13458c2e")
    assert tips[1].endswith("nano ffffffff")
    assert "nano" not in tips[2]


def test_an_object_row_tells_area_score_and_shape(objects, monkeypatch):
    scored = replace(annotation(1), score=0.934)
    objects.set_rows([scored, annotation(2)], CATEGORIES)
    model = objects.model
    assert model.index(0).data(DETAIL_ROLE) == "100 px²  ·  0.93"
    assert model.index(1).data(DETAIL_ROLE) == "100 px²"
    objects.set_rows([scored, annotation(2)], CATEGORIES, spacing_mm=(0.5, 0.25))
    assert model.index(1).data(DETAIL_ROLE) == "100 px²  ·  12.5 mm²"
    assert "12.5 mm²" in model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "px" in model.index(0).data(Qt.ItemDataRole.ToolTipRole)
    shot = objects.view.viewport().grab().toImage()
    rect = objects.view.visualRect(model.index(0))
    left = [QColor(shot.pixel(x, rect.center().y())).name() for x in range(44, 78)]
    assert "#e69f00" in left, "its shape in its class's colour"


@pytest.mark.parametrize(
    ("area", "spacing", "text"),
    [
        (1, None, "1 px²"),
        (12345, None, "12\u202f345 px²"),
        (10, (0.1, 0.1), "0.1 mm²"),
        (123456, (0.5, 0.5), "30\u202f864 mm²"),
    ],
)
def test_areas_in_words(area, spacing, text):
    assert area_text(area, spacing) == text


def test_the_spacing_of_an_image_is_used_when_it_makes_sense():
    assert ImageRecord(1, "a.dcm", extra={"spacing_mm": [0.5, 0.25]}).spacing_mm == (0.5, 0.25)
    for odd in (None, [0.5], [0, 1], ["a", "b"], "x", [-1, 1]):
        assert ImageRecord(1, "a.dcm", extra={"spacing_mm": odd}).spacing_mm is None
    assert ImageRecord(1, "a.png").spacing_mm is None
