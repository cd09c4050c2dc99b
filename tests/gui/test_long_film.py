"""A film strip of very many images is laid out in pieces, and still shows the image that is open."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from annotator.domain.image_filter import ImageFilter
from annotator.domain.project import ImageRecord, Status
from annotator.ui.look.theme import Theme
from annotator.ui.panels import film as film_module
from annotator.ui.panels.film import FilmStrip
from annotator.ui.panels.image_model import ImageModel
from annotator.ui.panels.list_models import ROW_ROLE

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


def test_a_letter_more_shows_what_the_whole_word_does(qapp) -> None:
    statuses = (Status.DONE, Status.UNSEEN)
    images = [ImageRecord(n, f"{'ab'[n % 2]}{n}.png", status=statuses[n % 3 == 0]) for n in range(1, 60)]
    model, fresh = ImageModel(lambda _image: None), ImageModel(lambda _image: None)
    for one in (model, fresh):
        one.set_rows(images, {})
        one.set_current(7)
    for part, status in (
        ("b", None),
        ("b1", None),
        ("b1", Status.DONE),
        ("b11", Status.DONE),
        ("1", Status.DONE),
        ("", None),
    ):
        model.set_filter(ImageFilter(part, status))
        fresh.set_filter(ImageFilter())
        fresh.set_filter(ImageFilter(part, status))
        shows = ImageFilter(part, status).matcher(())
        wanted = [image.id for image in images if shows(image) or image.id == 7]
        for one in (model, fresh):
            assert [one.index(row).data(ROW_ROLE).id for row in range(one.rowCount())] == wanted
