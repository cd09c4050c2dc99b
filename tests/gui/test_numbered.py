"""Numbered files in the window: offered, made a series, taken apart again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotator.ui.project.numbered import DECLINED, TOPIC

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]


def make_scan(folder: Path, *, count: int = 12, name: str = "z{:03d}.png") -> Path:
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(noise.integers(0, 255, (60, 80), np.uint8)).save(folder / name.format(number))
    return folder


def test_an_offer_is_taken_and_the_series_taken_apart_and_made_by_hand(desk: Any) -> None:
    make_scan(desk.root / "both")
    make_scan(desk.root / "both" / "photos", name="IMG_{:04d}.png")
    desk.open(folder=desk.root / "both", first_row=0)
    window, session, film = desk.window, desk.session, desk.window.film.model
    desk.until(lambda: window.notices.has(TOPIC))
    assert "12 files count up, from z000.png to z011.png." in window.area.error_bar.text, "and no photographs"
    assert film.rowCount() == 24, "only offered"
    window.area.error_bar.button.click()
    desk.until(lambda: film.rowCount() == 13)
    desk.until(lambda: desk.shown_row() == 0)
    desk.window.actions_by_id["next_entry"].trigger()
    for _ in range(11):
        desk.window.actions_by_id["next_entry"].trigger()
    desk.until(lambda: window.area.slices.isVisible())
    assert window.area.slices.track.count == 12
    window.actions_by_id["part_series"].trigger()
    desk.until(lambda: film.rowCount() == 24)
    assert not window.area.slices.isVisible()
    desk.until(lambda: session.image is not None and session.image.path.startswith("z"))
    window.actions_by_id["make_series"].trigger()
    desk.until(lambda: film.rowCount() == 13)
    assert not window.notices.has(TOPIC)


def test_what_is_declined_is_remembered(desk: Any) -> None:
    desk.open(folder=make_scan(desk.root / "scan"), first_row=0)
    desk.until(lambda: desk.window.notices.has(TOPIC))
    desk.window.area.error_bar.close_button.click()
    assert len(json.loads(desk.session.store.meta_get(DECLINED))) == 1
    desk.session.opened.emit()  # as when it is opened the next time
    desk.until(lambda: not desk.program.files.numbered.is_looking)
    assert not desk.window.notices.has(TOPIC)
