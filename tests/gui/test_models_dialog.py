"""The panel of all models: listed with what they can, taken in, accepted, removed, used."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox

from annotator.engine import terms, weights
from annotator.ui.dialogs.models import ModelsDialog

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))
    desk.open()
    models = desk.program.files.models
    models._list_models = lambda: list(weights.list_segmenters())
    menu = desk.window.menus["Model"]
    menu.aboutToShow.emit()
    next(action for action in menu.actions() if action.text() == "All models…").trigger()
    dialog = desk.window.findChild(ModelsDialog)
    desk.until(lambda: dialog.list.topLevelItemCount() > 0)
    yield dialog
    if desk.window.findChild(ModelsDialog) is not None:
        dialog.reject()


def choose(dialog, name):
    (item,) = dialog.list.findItems(name, Qt.MatchFlag.MatchExactly)
    dialog.list.setCurrentItem(item)
    return item


@pytest.fixture
def agreeing(monkeypatch):
    """A person who reads and agrees; what was asked is kept."""
    asked = []

    def agree(box):
        asked.append(box.text())
        QTest.mouseClick(box.buttons()[0], LEFT)
        return 0

    monkeypatch.setattr(QMessageBox, "exec", agree)
    monkeypatch.setattr(QMessageBox, "clickedButton", lambda box: box.buttons()[0])
    return asked


def folder(tmp_path: Path) -> Path:
    place = tmp_path / "download" / "edgetam"
    place.mkdir(parents=True)
    (place / "config.json").write_text('{"model_type": "edgetam"}')
    (place / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}" + b"w" * 2_000_000)
    return place


def test_rows_have_air_and_begin_under_their_heads(panel):
    item = panel.list.topLevelItem(0)
    rect = panel.list.visualItemRect(item)
    assert rect.height() >= panel.list.fontMetrics().height() + 8
    picture = panel.list.grab(panel.list.viewport().geometry()).toImage()
    rect.translate(panel.list.viewport().pos())
    ground = picture.pixelColor(1, rect.center().y())
    assert all(
        picture.pixelColor(x, y) == ground for x in range(1, 5) for y in range(rect.top() + 1, rect.bottom() - 1)
    ), "letters begin at the edge"


def test_every_model_stands_there_with_what_it_can_and_needs(panel):
    names = [panel.list.topLevelItem(row).text(0) for row in range(panel.list.topLevelItemCount())]
    assert set(weights.registry()) <= set(names)
    assert choose(panel, "sam3").text(1) == "words"
    assert "example boxes, words" in panel.details.text()
    assert "SAM License" in panel.details.text()
    assert not panel.download_button.isEnabled(), "it is gated"
    assert panel.accept_button.isEnabled()
    choose(panel, "nano")
    assert panel.use_button.isEnabled()
    assert not panel.remove_button.isEnabled()
    assert "for its weights" in panel.details.text()
    assert "on the disk" in panel.total.text()


def test_a_folder_is_taken_in_and_removed(panel, desk, tmp_path, agreeing):
    choose(panel, "edgetam")
    work = panel.take_in(folder(tmp_path), panel.chosen)
    desk.until(lambda: not work.is_running)
    desk.until(lambda: "as it came" in choose(panel, "edgetam").text(4))
    assert choose(panel, "edgetam").text(2) == "2 MB"
    assert str(tmp_path / "models" / "edgetam") in panel.details.text()
    QTest.mouseClick(panel.remove_button, LEFT)
    desk.until(lambda: choose(panel, "edgetam").text(4).startswith("not on this computer"))
    assert agreeing == ["Remove edgetam (2 MB) from this computer?"]
    assert not (tmp_path / "models" / "edgetam").exists()


def test_a_licence_is_shown_and_accepted_once(panel, desk, agreeing):
    choose(panel, "sam3")
    QTest.mouseClick(panel.accept_button, LEFT)
    desk.until(lambda: not panel.accept_button.isEnabled())
    assert "SAM License" in agreeing[0]
    assert terms.is_accepted(weights.registry()["sam3"])
    assert terms.is_accepted(weights.registry()["sam3-clicks"]), "it is one licence"


def test_a_model_for_clicks_is_used_from_here(panel, desk):
    wanted = []
    desk.program.files.models.wanted.connect(wanted.append)
    choose(panel, "grabcut")
    QTest.mouseClick(panel.use_button, LEFT)
    desk.until(lambda: wanted == ["grabcut"])
