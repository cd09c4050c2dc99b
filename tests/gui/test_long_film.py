"""A film strip of very many images is laid out in pieces, and still shows the image that is open."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from annotator.domain.project import ImageRecord
from annotator.ui.look.theme import Theme
from annotator.ui.panels import film as film_module
from annotator.ui.panels.film import FilmStrip

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
COUNT = 3_000


def test_tiles_are_laid_out_in_pieces_and_the_image_is_shown(qtbot, qapp) -> None:
    film = FilmStrip(Theme(QApplication.instance(), "dark"), lambda _image: None)
    qtbot.addWidget(film)
    film.resize(600, 120)
    film.show()
    asked = [0]
    rows = type(film.model).rowCount

    def counted(self, *words):
        asked[0] += 1
        return rows(self, *words)

    type(film.model).rowCount = counted
    try:
        film.set_rows([ImageRecord(n, f"{n}.png") for n in range(1, COUNT + 1)])
        film.set_current(2_400)  # the last of its piece
        film.view.doItemsLayout()
        assert asked[0] < COUNT, "the first piece only"
        index = film.model.index(2_399)

        def is_in_the_middle() -> bool:
            rect, third = film.view.visualRect(index), film.view.viewport().width() / 3
            return rect.isValid() and third <= rect.center().x() <= 2 * third

        qtbot.waitUntil(is_in_the_middle, timeout=8000)
        first = film.model.index(0)
        film.set_current(1)
        assert film.view.viewport().rect().intersects(film.view.visualRect(first))
    finally:
        type(film.model).rowCount = rows
    assert film_module._BATCH < COUNT
    assert film.view.focusPolicy() != Qt.FocusPolicy.NoFocus
