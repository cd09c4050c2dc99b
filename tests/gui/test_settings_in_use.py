"""Settings that change what the window shows, through the real dialog."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QImage

from annotator.io.settings import SETTINGS, Settings
from annotator.ui.mask_picture import MaskLook
from tests.gui.shell import Desk, restored_look  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
    pytest.mark.usefixtures("restored_look"),
]


@pytest.fixture
def desk(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    yield desk
    desk.close()


def test_the_window_is_dark_unless_somebody_wants_otherwise(desk):
    desk.build()
    assert desk.window.theme.tokens.name == "dark"
    assert next(s.choices for s in SETTINGS if s.key == "theme") == ("dark", "light", "system")


def outline_share(desk):
    """How much of the canvas has the outline's colour, with fills made invisible."""
    shot = desk.window.canvas.viewport().grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(shot.constBits(), np.uint8).reshape(shot.height(), shot.width(), 4)[..., 2::-1].astype(int)
    wanted = MaskLook(desk.session.category.colour, 0.0).line.getRgb()[:3]
    return float((np.abs(pixels - wanted).max(axis=2) <= 2).mean())


def test_the_width_of_outlines_is_a_setting(desk):
    folder = desk.root / "plain"
    folder.mkdir()
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(folder / "0.png")
    desk.open(folder=folder)
    desk.accept_at(60, 60)
    dialog = desk.window.program.files.show_settings()
    dialog.editors["mask_opacity"].setValue(0.0)
    shares = []
    for width_px in (0.0, 4.0, 8.0):
        dialog.editors["outline_width_px"].setValue(width_px)
        shares.append(outline_share(desk))
    dialog.close()
    assert shares[0] == 0.0
    assert shares[1] > 0
    assert 1.8 < shares[2] / shares[1] < 2.7  # the edges of the line are blended
    desk.close()
    desk.build()
    assert desk.window.canvas._overlays.layer._outline_px == 8.0


def test_images_above_the_limit_are_refused_until_it_is_raised(desk):
    folder = desk.root / "big"
    folder.mkdir()
    Image.fromarray(np.zeros((1100, 1000, 3), np.uint8)).save(folder / "0.png")
    Settings.load(desk.root / "settings.toml").set("max_image_megapixels", 1)
    desk.folder = folder
    desk.build()
    desk.window.program.files.open_path(folder)
    desk.until(lambda: "megapixels" in desk.window.area.error_bar.text)
    assert desk.shown_row() == -1
    dialog = desk.window.program.files.show_settings()
    dialog.editors["max_image_megapixels"].setValue(2)
    dialog.close()
    desk.wait_image(0)
    assert desk.window.area.error_bar.text == ""
