"""Fetching a model from the Model menu: progress, Stop, a clear refusal, and its use afterwards."""

from __future__ import annotations

import hashlib
import threading
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from annotator.domain.errors import ModelError
from annotator.engine import weights
from annotator.engine.offer import ModelOffer
from annotator.engine.registry import ModelEntry
from annotator.ui.dialogs.work_dialog import WorkDialog
from tests.stalling_server import CONTENT, HALF, StallingServer

pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]
POLL_S = 0.02


class Registry:
    """One model that is here and one that is not; a transfer that a test lets go on."""

    def __init__(self) -> None:
        self.has_large = False
        self.gate = threading.Event()
        self.error: ModelError | None = None
        self.stopped = False

    def find(self) -> list[SimpleNamespace]:
        names = {"nano": True, "large": self.has_large}
        return [SimpleNamespace(name=n, is_present=here, is_verified=here, note="") for n, here in names.items()]

    def fetch(self, name: str, progress) -> None:
        assert name == "large"
        try:
            while not self.gate.wait(POLL_S):
                progress(25, 100)
        except Exception:
            self.stopped = True
            raise
        if self.error:
            raise self.error
        self.has_large = True


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def desk(desk, registry):
    desk.open()
    models = desk.program.files.models
    models._list_models, models._fetch = registry.find, registry.fetch
    menu = desk.window.menus["Model"]
    menu.aboutToShow.emit()
    desk.until(lambda: "Download large…" in [action.text() for action in menu.actions()])
    desk.wanted = []
    models.wanted.connect(desk.wanted.append)
    yield desk
    registry.gate.set()


def start(desk) -> WorkDialog:
    menu = desk.window.menus["Model"]
    next(action for action in menu.actions() if action.text() == "Download large…").trigger()
    dialog = desk.window.findChild(WorkDialog)
    desk.until(lambda: dialog.bar.value() == 25)
    assert dialog.bar.maximum() == 100
    assert dialog.is_running
    return dialog


def test_a_downloaded_model_is_used(desk, registry):
    dialog = start(desk)
    registry.gate.set()
    desk.until(lambda: desk.wanted == ["large"])
    assert "large is here" in dialog.report.toPlainText()
    names = lambda: [a.text() for a in desk.window.menus["Model"].actions()]  # noqa: E731
    desk.until(lambda: "large" in names())
    assert "Download large…" not in names()
    dialog.reject()


def test_stop_ends_the_transfer_and_keeps_the_model_in_use(desk, registry):
    dialog = start(desk)
    QTest.mouseClick(dialog.close_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: not dialog.is_running)
    assert registry.stopped
    assert "Stopped" in dialog.report.toPlainText()
    assert desk.wanted == []
    dialog.reject()


def test_a_failure_is_one_clear_message(desk, registry):
    registry.error = ModelError("large could not be downloaded: there is no network.", "Check the connection.")
    dialog = start(desk)
    registry.gate.set()
    desk.until(lambda: not dialog.is_running)
    assert "there is no network" in dialog.report.toPlainText()
    assert desk.wanted == []
    registry.error = None
    assert dialog.start_button.text() == "Try again"
    QTest.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.wanted == ["large"])
    dialog.reject()


def test_closing_the_window_leaves_a_server_that_stands_still(desk, tmp_path):
    """At once, with nothing asked and no thread left; the part is there for the next try."""
    part = tmp_path / "model.pt.part"
    digest = hashlib.sha256(CONTENT).hexdigest()
    with StallingServer() as server:
        rest = {"kind": "sam2", "licence": "", "rank": 0}
        large = ModelEntry(name="large", file="model.pt", url=server.url, sha256=digest, **rest)
        desk.program.files.models._fetch = lambda _name, told: weights.fetch(large, tmp_path, progress=told)
        menu = desk.window.menus["Model"]
        next(action for action in menu.actions() if action.text() == "Download large…").trigger()
        dialog = desk.window.findChild(WorkDialog)
        desk.until(lambda: dialog.bar.value() == HALF and server.is_still.is_set())
        QTest.mouseClick(dialog.beside_button, Qt.MouseButton.LeftButton)
        desk.until(lambda: desk.window.close())
        assert QApplication.activeModalWidget() is None
        assert not desk.window.isVisible()
        assert not dialog.isVisible()
        assert [thread for thread in threading.enumerate() if thread.name == "transfer"] == []
        assert part.stat().st_size == HALF
        assert not server.go_on.is_set()
    assert desk.wanted == []


# --- the offer --------------------------------------------------------------------------------------------------------


class Offers:
    """What is found, once a test lets it be found."""

    def __init__(self, *, is_reachable: bool) -> None:
        self.gate = threading.Event()
        self.asked = 0
        self.offer = ModelOffer("large", 156_008_466, "Apache-2.0 (Meta)", is_reachable)

    def find(self) -> ModelOffer | None:
        self.asked += 1
        self.gate.wait(10)
        return self.offer


@pytest.fixture
def offering(desk, registry, request):
    """A window over a registry, which has just found an offer."""
    desk.close()
    offers = Offers(is_reachable=request.param)
    desk.options |= {"offer": offers.find, "factory_for": lambda _name: desk.engine.factory, "fetch": registry.fetch}
    desk.open(folder=desk.folder)
    bar = desk.window.area.error_bar
    assert bar.text == "", "nobody waits for the network"
    offers.gate.set()
    desk.until(lambda: "large" in bar.text)
    desk.offers, desk.bar = offers, bar
    yield desk
    registry.gate.set()


@pytest.mark.parametrize("offering", [True], indirect=True)
def test_a_larger_model_is_offered_with_size_and_licence_and_fetched_by_one_click(offering, registry):
    desk = offering
    assert "156 MB, Apache-2.0 (Meta)" in desk.bar.text
    assert desk.bar.property("level") == "offer"
    registry.gate.set()
    QTest.mouseClick(desk.bar.button, Qt.MouseButton.LeftButton)
    dialog = desk.window.findChild(WorkDialog)
    desk.until(lambda: "large is here" in dialog.report.toPlainText())
    assert desk.bar.text == ""
    dialog.reject()


@pytest.mark.parametrize("offering", [False], indirect=True)
def test_without_a_network_a_file_can_be_imported(offering, monkeypatch, tmp_path):
    desk = offering
    file = tmp_path / "sam.pt"
    file.write_bytes(b"no weights")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    assert "no network" in desk.bar.text
    assert desk.bar.button.text() == "Import…"
    QTest.mouseClick(desk.bar.button, Qt.MouseButton.LeftButton)
    dialog = desk.window.findChild(WorkDialog)
    desk.until(lambda: "none of the known models" in dialog.report.toPlainText())
    dialog.reject()


@pytest.mark.parametrize("offering", [True], indirect=True)
def test_an_offer_that_was_closed_does_not_come_back(offering):
    desk = offering
    QTest.mouseClick(desk.bar.close_button, Qt.MouseButton.LeftButton)
    assert desk.bar.text == ""
    desk.close()
    desk.open(folder=desk.folder)
    assert desk.offers.asked == 1
