"""The window with its model on a server: the same project, and nothing lost when the server goes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton

from annotator.domain.ports.engine import Engine, Segmenter
from annotator.domain.project import Annotation
from annotator.engine.cache import TieredCache
from annotator.engine.load import load_segmenter
from annotator.ui.app import default_factory
from annotator.ui.dialogs.remote_server import RemoteServerDialog
from annotator.ui.project import server_watch
from tests.gui.shell import Desk
from tests.loopback_server import LoopbackServer

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load_segmenter("nano", device="cpu")


@pytest.fixture
def server(nano: Segmenter) -> Iterator[LoopbackServer]:
    made = LoopbackServer(nano)
    yield made
    made.end()


class First:
    """The engine that the window starts with."""

    def __init__(self, make: Callable[[Callable[[str], None]], Engine]) -> None:
        self.factory = make

    def let_go(self) -> None: ...
    def let_load(self) -> None: ...


def far(desk: Desk, address: str) -> None:
    """Start with the server's model; others can be chosen."""

    def factory_for(name: str) -> Any:
        return default_factory(name, config=None, device="cpu", settings=desk.settings)

    desk.engine = First(lambda progress: factory_for(address)(progress))  # type: ignore[assignment]
    desk.options["factory_for"] = factory_for
    folder = desk.root / "pictures"
    folder.mkdir(exist_ok=True)
    for number in range(2):
        image = np.full((120, 160, 3), 120, np.uint8)
        image[40:80, 50:110] = (230, 60, 40 + 90 * number)
        image[90:112, 10:34] = (20, 200, 90)
        Image.fromarray(image).save(folder / f"{number}.png")
    desk.open(folder=folder)
    desk.settings.set("model", address)


def label(desk: Desk) -> list[Annotation]:
    """A click, one more, accept; a box; the same on the next image with a correction of what was accepted."""
    for row in range(2):
        desk.wait_image(row)
        desk.click(80, 60)
        desk.wait_mask(80, 60)
        desk.click(20, 20, button=Qt.MouseButton.RightButton)
        desk.until(lambda: len(desk.refine.state.prompts.points) == 2 and not desk.refine.state.is_waiting)
        desk.key(Qt.Key.Key_Return)
        desk.until(lambda: len(desk.session.annotations) == 1)
        desk.drag((8, 88), (36, 114))
        desk.wait_mask(22, 101)
        desk.key(Qt.Key.Key_Return)
        desk.until(lambda: len(desk.session.annotations) == 2)
        desk.key(Qt.Key.Key_D)
    store = desk.session.store
    assert store is not None
    return list(store.all_annotations())


def test_a_project_is_the_same_to_the_bit(
    desk: Desk, nano: Segmenter, server: LoopbackServer, qtbot: Any, tmp_path: Any
) -> None:
    """With the model in the same precision, which is chosen anew each time that it is loaded."""
    far(desk, server.address)
    there = label(desk)
    desk.close()
    (tmp_path / "here").mkdir()
    here_desk = Desk(qtbot, tmp_path / "here")
    here_desk.engine = First(lambda _progress: Engine(nano, TieredCache(ram_bytes=1 << 28)))  # type: ignore[assignment]
    try:
        far_folder = here_desk.root / "pictures"
        far_folder.mkdir()
        for file in desk.folder.glob("*.png"):
            (far_folder / file.name).write_bytes(file.read_bytes())
        here_desk.open(folder=far_folder)
        here = label(here_desk)
    finally:
        here_desk.close()
    assert len(there) == len(here) == 4

    def plain(one: Annotation) -> Annotation:
        return replace(one, created_at="", seconds=0.0)

    assert [plain(one) for one in there] == [plain(one) for one in here]


def test_a_server_that_dies_in_the_middle_of_an_object_costs_nothing(
    desk: Desk, nano: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_watch, "AGAIN_MS", 50)
    server = LoopbackServer(nano)
    far(desk, server.address)
    assert f"127.0.0.1:{server.port}" in desk.window.status.engine.text()
    desk.click(80, 60)
    desk.wait_mask(80, 60)
    assert "network" in desk.window.status.decode.text()
    server.end()
    desk.click(20, 20, button=Qt.MouseButton.RightButton)
    bar = desk.window.area.error_bar
    desk.until(lambda: "does not answer" in bar.text or "cannot answer" in bar.text)
    assert [point.is_positive for point in desk.refine.state.prompts.points] == [True, False]
    assert desk.program.server.is_looking
    anew = LoopbackServer(nano, port=server.port)
    try:
        desk.until(lambda: not desk.refine.state.is_waiting and not desk.refine.state.is_stale)
        desk.wait_mask(80, 60)
        desk.until(lambda: not bar.text)
        desk.key(Qt.Key.Key_Return)
        desk.until(lambda: len(desk.session.annotations) == 1)
        assert len(desk.session.annotations[0].prompts["points"]) == 2
        desk.close()
    finally:
        anew.end()


def test_one_key_goes_on_with_the_model_of_this_computer(desk: Desk, nano: Segmenter) -> None:
    server = LoopbackServer(nano)
    far(desk, server.address)
    server.end()
    desk.click(80, 60)
    bar = desk.window.area.error_bar
    desk.until(lambda: desk.program.server.is_looking)  # it went in the middle of an encode, or before the click
    (button,) = (one for one in bar.findChildren(QPushButton) if one.text() == "Work on this computer")
    button.click()
    desk.wait_mask(80, 60)
    info = desk.client.info
    assert info is not None
    assert not info.server
    assert not desk.program.server.is_looking
    assert desk.settings.get("model") == ""


def test_the_menus_dialog_takes_an_address(desk: Desk, server: LoopbackServer) -> None:
    far(desk, server.address)
    desk.program._on_model_wanted("nano")
    desk.until(lambda: desk.client.info is not None and not desk.client.info.server)
    desk.program.files.models.ask_server()
    (dialog,) = (one for one in QApplication.topLevelWidgets() if isinstance(one, RemoteServerDialog))
    dialog.address.setText("not an address")
    dialog.start_button.click()
    assert "no address" in dialog.note.text()
    dialog.address.setText(server.address)
    dialog.start_button.click()
    desk.until(lambda: desk.client.info is not None and bool(desk.client.info.server))
    assert "nano on cpu" in dialog.report.toPlainText()
    assert desk.settings.get("model") == server.address
    dialog.close()


ALONE = """
import os, sys, time
from pathlib import Path
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from annotator.io.settings import Settings
from annotator.ui import app

address, folder, settings_file = sys.argv[1:]
application = app.make_application()
settings = Settings.load(Path(settings_file))
program = app.build_program(settings, app.default_factory(address, config=None, device=None, settings=settings))
program.window.show()
ends_s = time.monotonic() + 60

def until(condition):
    while not condition():
        application.processEvents()
        assert time.monotonic() < ends_s

program.files.open_path(Path(folder))
until(lambda: program.bench.picture is not None and program.client.info is not None)
canvas = program.window.canvas
QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=canvas.image_to_view(80, 60).toPoint())
until(lambda: program.refine.state.mask is not None and not program.refine.state.is_waiting)
QTest.keyClick(canvas, Qt.Key.Key_Return)
until(lambda: len(program.session.annotations) == 1)
print(program.session.annotations[0].mask().area, bool(program.client.info.server), "torch" in sys.modules, flush=True)
os._exit(0)
"""


def test_an_object_is_labelled_over_a_server_in_a_window_without_torch(server: LoopbackServer, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    image = np.full((120, 160, 3), 120, np.uint8)
    image[40:80, 50:110] = (230, 60, 40)
    Image.fromarray(image).save(tmp_path / "pictures/0.png")
    command = [sys.executable, "-c", ALONE, server.address, str(tmp_path / "pictures"), str(tmp_path / "settings.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    area, is_there, has_torch = done.stdout.split()
    assert abs(int(area) - 40 * 60) < 200
    assert (is_there, has_torch) == ("True", "False")
