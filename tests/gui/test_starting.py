"""The window opens whatever lies in the folders of settings and logs, and says what it did without."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from annotator.domain.errors import UserError
from annotator.io.settings import SETTINGS, Settings
from annotator.ui.app import build_program, default_factory, is_there, named_place
from annotator.ui.shell import crash
from annotator.ui.shell.crash import CrashHandler
from tests.gui.shell import HeldEngine


@pytest.fixture
def hooks(monkeypatch):
    """The hooks of a real start, taken back afterwards."""
    monkeypatch.setattr(crash, "qInstallMessageHandler", lambda _handler: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr("threading.excepthook", __import__("threading").excepthook)


def test_a_log_folder_that_cannot_be_made_is_said(tmp_path: Path, hooks: None) -> None:
    (tmp_path / "file").touch()
    told = CrashHandler(tmp_path / "file" / "log").install()
    assert told.startswith("No log can be written to")
    assert str(tmp_path / "file" / "log") in told


ODD = {
    "infinite": "cache_disk_gib = inf\nmask_opacity = nan\noutline_width_px = -inf\n",
    "absurd": f"cache_ram_mib = {10**400}\nmax_image_megapixels = {10**30}\ncache_disk_gib = 1e300\n",
    "deep": "panels = " + "[" * 3000 + "]" * 3000 + "\n",
    "deep text": f"panels = '{'[' * 30_000}'\n",
    "long": f"last_folder = '/{'x' * 5000}'\nauthor = '{'y' * 100_000}'\nrecent_folders = ['{'z' * 100_000}']\n",
    "null": 'last_folder = "/a\\u0000b"\nmodel = "\\u0000"\n',
    "other types": "theme = 3\nkeymap = [1]\nrecent_folders = 7\npanels = 2020-01-01\n",
    "many": f"recent_folders = {['/a'] * 5000}\n",
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_settings_open_the_window_with_defaults(tmp_path: Path, qtbot, kind: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(ODD[kind], "utf-8")
    settings = Settings.load(file)
    assert all(len(warning) < 600 for warning in settings.warnings)
    for setting in SETTINGS:
        value = settings.get(setting.key)
        assert type(value) is type(setting.default)
        if isinstance(value, list):
            assert len(value) <= 100
    if kind not in ("deep text", "many"):
        assert settings.warnings or kind == "long"
    default_factory("", config=None, device=None, settings=settings)
    is_there(Path(settings.get("last_folder")))
    program = build_program(settings, HeldEngine().factory)
    window = program.window
    program.files.restore_window()
    window.show()
    window.close()
    window.deleteLater()


def test_names_that_no_system_allows_are_told() -> None:
    with pytest.raises(UserError, match=r"There is no folder or project /x+…x+\. Check the name"):
        named_place("/" + "x" * 5000)
    with pytest.raises(UserError, match="There is no folder"):
        named_place("/a\0b")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_a_folder_whose_name_is_not_utf8_gets_advice(tmp_path: Path) -> None:
    from annotator.domain.errors import ProjectError
    from annotator.io.project.store import ProjectStore

    folder = os.fsencode(tmp_path) + b"/bad\xff"
    os.mkdir(folder)
    with pytest.raises(UserError, match="no valid text"):
        named_place(os.fsdecode(folder))
    with pytest.raises(ProjectError, match="Rename the folder"):
        ProjectStore.open_folder(os.fsdecode(folder))
    with pytest.raises(ProjectError, match=r"longer than this system allows \(5001 bytes\)"):
        ProjectStore.open_folder("/" + "x" * 5000)
