"""Labels whose text changes all the time look like others, and ask for a layout only where they need more room."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QWidget

from annotator.ui.look.still import StillLabel


@pytest.mark.parametrize("style", ["", "QLabel { color: #778899; padding: 0 8px; }"])
@pytest.mark.parametrize("side", [Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignLeft])
def test_it_is_painted_as_a_label(qapp: QApplication, style: str, side: Qt.AlignmentFlag) -> None:
    images = []
    for label in (QLabel(), StillLabel()):
        label.setStyleSheet(style)
        label.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        label.setText("104, 254")
        label.resize(120, 24)
        images.append(label.grab().toImage())
        label.deleteLater()
    assert images[0] == images[1]


def test_its_room_grows_and_goes_with_its_text(qapp: QApplication) -> None:
    window, label = QWidget(), StillLabel()
    row = QHBoxLayout(window)
    row.addWidget(label)
    label.setText("104 / 200")
    wide = label.sizeHint().width()
    label.setText("9 / 200")
    assert label.text() == label.accessibleDescription() == "9 / 200"
    assert label.sizeHint().width() == wide
    label.blank()
    assert label.text() == ""
    assert label.sizeHint().width() == wide
    label.clear()
    assert label.sizeHint().width() < wide
    label.setMinimumWidth(2 * wide)
    empty = label.sizeHint()
    label.setText("104 / 200")
    assert label.sizeHint() == empty, "it has room already"
    window.deleteLater()
