"""Fetching a model from the Model menu: progress, Stop, a clear refusal, and its use afterwards."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.errors import ModelError
from annotator.ui.dialogs.work_dialog import WorkDialog

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
    models = desk.window.program.files.models
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
