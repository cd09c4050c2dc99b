"""The offer of a larger model against a server on this machine: one that answers, stands still, breaks off, refuses or
lies, and none at all. The real offer, the real transfer, the real window."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QPushButton

from annotator.engine import offer, weights
from annotator.engine.registry import ModelEntry
from annotator.files.places import checkpoints_dir
from annotator.ui.dialogs.work_dialog import WorkDialog
from tests.stalling_server import CONTENT, HALF, StallingServer

pytestmark = [pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)]
LICENCE = "Apache-2.0 (Meta)"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def offered(desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Opens a window whose only larger model is at an address; the bar tells of it."""
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "checkpoints"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def open_at(url: str, *, sha256: str = hashlib.sha256(CONTENT).hexdigest()):
        large = ModelEntry(
            "large", kind="sam2", file="large.pt", licence=LICENCE, rank=2, url=url, sha256=sha256, bytes=len(CONTENT)
        )
        monkeypatch.setattr(weights, "registry", lambda: {"large": large})
        desk.wanted = []
        desk.options |= {"offer": offer.find_offer, "list_models": weights.list_models}
        desk.open()
        desk.program.files.models.wanted.disconnect()
        desk.program.files.models.wanted.connect(desk.wanted.append)
        bar = desk.window.area.error_bar
        desk.until(lambda: "large" in bar.text)
        return bar

    return open_at


def click(button: QPushButton) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def begin(desk, bar) -> WorkDialog:
    assert bar.button.text() == "Download"
    click(bar.button)
    return desk.window.findChild(WorkDialog)


def is_done(desk, dialog: WorkDialog) -> None:
    desk.until(lambda: desk.wanted == ["large"])
    assert (checkpoints_dir() / "large.pt").read_bytes() == CONTENT
    assert "large is here and verified" in dialog.report.toPlainText()


def test_where_a_server_answers_one_line_and_one_click_bring_the_model(desk, offered) -> None:
    with StallingServer() as server:
        server.go_on.set()
        bar = offered(server.url)
        assert bar.text == f"A larger model than the one that ships can be downloaded: large, 1 MB, {LICENCE}."
        assert "\n" not in bar.text
        assert server.starts == [], "that somebody is there was asked, nothing was transferred"
        is_done(desk, begin(desk, bar))
        assert server.starts == [0]


def test_a_slow_one_shows_how_far_it_is_can_be_stopped_and_goes_on_there(desk, offered) -> None:
    with StallingServer() as server:
        dialog = begin(desk, offered(server.url))
        desk.until(lambda: dialog.bar.value() == HALF)
        assert dialog.bar.maximum() == len(CONTENT)
        assert dialog.standing.text().startswith("524.3 kB of 1.0 MB")
        click(dialog.close_button)
        desk.until(lambda: not dialog.is_running)
        assert dialog.report.toPlainText() == "Stopped. What has come is kept: the next try goes on there."
        assert (checkpoints_dir() / "large.pt.part").stat().st_size == HALF
        server.go_on.set()
        assert dialog.start_button.text() == "Try again"
        click(dialog.start_button)
        is_done(desk, dialog)
        assert server.starts == [0, HALF]


def test_one_that_breaks_off_is_said_and_what_came_is_kept(desk, offered) -> None:
    with StallingServer(breaks_off=True) as server:
        dialog = begin(desk, offered(server.url))
        desk.until(lambda: not dialog.is_running)
        assert "the connection to 127.0.0.1 broke off" in dialog.report.toPlainText()
        assert not (checkpoints_dir() / "large.pt").exists()
        server.go_on.set()
        click(dialog.start_button)
        is_done(desk, dialog)
        assert server.starts[0] == 0 < server.starts[1]


def test_one_that_refuses_is_said_in_its_words(desk, offered) -> None:
    with StallingServer(refuses="404 Not Found") as server:
        dialog = begin(desk, offered(server.url))
        desk.until(lambda: not dialog.is_running)
        assert "127.0.0.1 answered 404 Not Found" in dialog.report.toPlainText()
        assert desk.wanted == []


def test_another_file_than_the_promised_one_is_not_used(desk, offered) -> None:
    with StallingServer() as server:
        server.go_on.set()
        dialog = begin(desk, offered(server.url, sha256="0" * 64))
        desk.until(lambda: not dialog.is_running)
        assert "is not large (SHA-256 differs)" in dialog.report.toPlainText()
        assert list(checkpoints_dir().iterdir()) == [], "it is thrown away"
        assert desk.wanted == []


def test_a_length_beyond_all_bars_is_shown_and_stopped(desk, offered) -> None:
    """What a server says of itself may be anything."""
    with StallingServer(length=1 << 45) as server:
        dialog = begin(desk, offered(server.url))
        desk.until(lambda: dialog.bar.maximum() > 0 and server.is_still.is_set())
        assert 0 <= dialog.bar.value() < dialog.bar.maximum() < 1 << 31
        click(dialog.close_button)
        desk.until(lambda: not dialog.is_running)
        assert "Stopped" in dialog.report.toPlainText()


def test_where_none_answers_a_file_is_imported(desk, offered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bar = offered(f"http://127.0.0.1:{free_port()}/large.pt")
    assert (
        bar.text
        == f"There is a larger model, large, 1 MB, {LICENCE}, but no network: a copy of its file can be imported."
    )
    brought = tmp_path / "stick" / "large.pt"
    brought.parent.mkdir()
    brought.write_bytes(CONTENT)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(brought), ""))
    assert bar.button.text() == "Import…"
    click(bar.button)
    is_done(desk, desk.window.findChild(WorkDialog))
