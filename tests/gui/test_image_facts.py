"""The panel of image facts: it follows the image that is open, and is copied as a table."""

from __future__ import annotations

import hashlib

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

K, LEFT = Qt.Key, Qt.MouseButton.LeftButton
ALT_SHIFT = Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def panel(desk):
    desk.open(images=2)
    desk.key(K.Key_I, ALT_SHIFT)
    assert desk.window.docks["facts"].isVisible()
    return desk.window.panels["facts"]


def test_it_follows_the_image_and_its_objects(desk, panel) -> None:
    facts = dict(panel.facts)
    digest = hashlib.sha256((desk.folder / "0.png").read_bytes()).hexdigest()
    assert (facts["File"], facts["Size"], facts["Objects"], facts["SHA-256"]) == ("0.png", "160 x 120 px", "0", digest)
    desk.window.canvas.setFocus()
    desk.accept_at(60, 60)
    assert dict(panel.facts)["Objects"] == "1"
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert (dict(panel.facts)["File"], dict(panel.facts)["Objects"]) == ("1.png", "0")
    QTest.mouseClick(panel.copy_button, LEFT)
    assert QApplication.clipboard().text().splitlines()[0] == "File\t1.png"


def test_millimetres_stand_there_where_they_are_known_and_nothing_is_left_of_a_closed_project(desk, panel) -> None:
    image = desk.session.image
    sides = {"sha256": image.sha256, "width": 160, "height": 120}
    desk.session.facts.take(image.id, **sides, extra={"spacing_mm": [0.5, 0.25]})
    desk.until(lambda: dict(panel.facts).get("In space") == "80 mm x 30 mm")
    desk.session.close()
    assert panel.facts == ()
    assert not panel.hint.isHidden()
