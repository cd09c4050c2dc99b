"""Texts that come from files are shown as they are: never as HTML, which may open a path or a server."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt
from PySide6.QtGui import QAction, QHelpEvent
from PySide6.QtWidgets import QAbstractItemView, QApplication, QLabel, QMessageBox, QToolTip

from annotator.ui.look.plain import menu_text, title_text
from annotator.ui.shell.panel_specs import PANELS
from tests.sources import sources

PLAIN = Qt.TextFormat.PlainText
IMAGE = "<b>a & [*] &amp;.png"
FOLDER = "<i>cells & [*] nuclei"
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


@pytest.fixture
def hostile(desk, tmp_path):
    """A window with names in the folder, the images and the classes that are HTML and hold signs of Qt."""
    picture = tmp_path / "secret.png"
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(picture)
    desk.class_name = f'<img src="{picture}"> & <b>bold</b>'
    folder = tmp_path / FOLDER
    folder.mkdir()
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(folder / IMAGE)
    desk.open(folder=folder)
    desk.session.classes.add(desk.class_name)
    desk.session.classes.pick(2)
    desk.accept_at(60, 60)
    desk.window.status.tell(desk.class_name)
    desk.window.area.error_bar.show_message(f"{desk.class_name} cannot be read", topic="file")
    for spec in PANELS:
        desk.window.show_panel(spec.id, True)
    return desk


def formats() -> set[Qt.TextFormat]:
    """Of all labels that there are, as Qt will paint them."""
    labels = [widget for widget in QApplication.allWidgets() if isinstance(widget, QLabel)]
    for label in labels:
        label.ensurePolished()
    return {label.textFormat() for label in labels}


def tips(window) -> set[str]:
    """All tooltips that the window has: of widgets, actions and rows of lists."""
    found = {widget.toolTip() for widget in QApplication.allWidgets()}
    found |= {action.toolTip() for action in window.findChildren(QAction)}
    for view in window.findChildren(QAbstractItemView):
        model = view.model()
        for row in range(model.rowCount(QModelIndex()) if model else 0):
            found.add(str(model.index(row, 0).data(Qt.ItemDataRole.ToolTipRole) or ""))
    return found - {""}


def shown_tip() -> QLabel:
    (label,) = (w for w in QApplication.topLevelWidgets() if w.objectName() == "qtooltip_label" and w.isVisible())
    return label


def test_no_label_is_html(hostile):
    assert formats() == {PLAIN}
    assert hostile.window.area.error_bar.label.text().startswith("<img")
    hostile.program.files.show_about().close()
    hostile.program.files.show_settings().close()
    assert formats() == {PLAIN}


def test_a_label_does_not_open_a_picture(hostile):
    """A picture of 300 pixels would make it that high."""
    label = QLabel(hostile.class_name, hostile.window)
    assert label.sizeHint().height() < 40
    hostile.program.theme.apply("light")
    assert label.sizeHint().height() < 40


def test_no_tooltip_is_html(hostile):
    found = tips(hostile.window)
    assert any(hostile.class_name in tip for tip in found)
    assert any(IMAGE in tip for tip in found)
    for tip in found:
        QToolTip.showText(QPoint(5, 5), tip, hostile.window)
        assert (shown_tip().text(), shown_tip().textFormat()) == (tip, PLAIN)
        QToolTip.hideText()


def test_the_tooltip_of_a_row(hostile):
    view = hostile.window.classes.view
    at = view.visualRect(view.model().index(1, 0)).center()
    event = QHelpEvent(QEvent.Type.ToolTip, at, view.viewport().mapToGlobal(at))
    QApplication.sendEvent(view.viewport(), event)
    assert shown_tip().text().startswith(hostile.class_name)
    assert shown_tip().textFormat() == PLAIN
    QToolTip.hideText()


def test_a_message_box_is_plain(hostile):
    box = QMessageBox(QMessageBox.Icon.Question, hostile.class_name, hostile.class_name, parent=hostile.window)
    box.setInformativeText(hostile.class_name)
    box.show()
    assert formats() == {PLAIN}
    box.close()
    box.deleteLater()


def read_by_a_person(text: str) -> str:
    return re.sub("&(.)", r"\1", text.partition("\t")[0])


def test_menus_and_titles_show_signs_of_qt_as_they_are(hostile):
    menu = hostile.window.objects.make_menu(frozenset({hostile.session.annotations[0].id}))
    classes = next(action.menu() for action in menu.actions() if action.menu() is not None)
    assert hostile.class_name in {read_by_a_person(action.text()) for action in classes.actions()}
    menu.deleteLater()
    recent = hostile.program.files._recent
    recent.fill()
    assert any(FOLDER in read_by_a_person(action.text()) for action in recent.menu.actions())
    assert f" – {FOLDER} – Annotator" in hostile.window.windowHandle().title()


def test_signs_of_qt():
    assert menu_text("a & b\tc") == "a && b c"
    assert title_text("a [*] b") == "a [*][*] b"


def test_nothing_asks_for_html():
    """What is shown as HTML has to be built with escaped names: there is no such place."""
    asks = {"RichText", "AutoText", "MarkdownText", "setHtml", "setMarkdown", "setTextFormat", "QTextBrowser"}
    asks |= {"QTextEdit", "QStaticText", "QTextDocument", "setWhatsThis", "QGraphicsTextItem", "insertHtml"}
    for source in sources():
        names = {node.attr for node in source.nodes if isinstance(node, ast.Attribute)}
        calls = [node.func for node in source.nodes if isinstance(node, ast.Call)]
        names |= {call.id for call in calls if isinstance(call, ast.Name)}
        assert not names & asks, source.place
