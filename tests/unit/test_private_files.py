"""Settings, logs and caches can be read by their owner alone, also where an older version left them open."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.files import places
from annotator.files.atomic import write_atomic
from annotator.files.private import keep_private, make_private_folder
from annotator.io.settings import Settings
from annotator.ui.shell.crash import _PrivateLog, write_report

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _open_for_all() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "config"
    monkeypatch.setattr(places, "system_config_dir", lambda: folder)
    Settings.load(folder / "settings.toml").set("theme", "light")
    assert (mode(folder), mode(folder / "settings.toml")) == (0o700, 0o600)
    folder.chmod(0o755)
    (folder / "settings.toml").chmod(0o644)
    settings = Settings.load(folder / "settings.toml")
    assert mode(folder / "settings.toml") == 0o600
    settings.set("theme", "system")
    assert (mode(folder), mode(folder / "settings.toml")) == (0o700, 0o600)


def test_a_folder_that_the_person_named_keeps_its_permissions(tmp_path: Path) -> None:
    named = tmp_path / "stick"
    named.mkdir()
    Settings.load(named / "settings.toml").set("theme", "light")
    assert (mode(named), mode(named / "settings.toml")) == (0o755, 0o600)
    Settings.load(tmp_path / "new" / "settings.toml").set("theme", "light")
    assert mode(tmp_path / "new") == 0o700


def test_a_log_also_after_its_rotation(tmp_path: Path) -> None:
    log = _PrivateLog(tmp_path / "annotator.log", maxBytes=50, backupCount=2, delay=True)
    for _ in range(4):
        log.emit(logging.LogRecord("x", logging.INFO, "", 0, "a line of forty characters and some more", None, None))
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["annotator.log", "annotator.log.1", "annotator.log.2"]
    assert {mode(tmp_path / name) for name in files} == {0o600}


def test_crash_reports_and_what_an_older_version_left(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for name in ("annotator.log", "fault.txt"):
        (folder / name).touch(0o644)
    code = (
        "import sys; from pathlib import Path; from annotator.ui.shell.crash import CrashHandler\n"
        "from PySide6.QtCore import QCoreApplication; app = QCoreApplication([])\n"
        "CrashHandler(Path(sys.argv[1])).install()"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=60, env={**os.environ})
    report = write_report(folder, ValueError("no"), where="test")
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert "ValueError" in report.read_text(encoding="utf-8")


def test_an_atomic_write_takes_permissions_away(tmp_path: Path) -> None:
    (tmp_path / "a").touch(0o644)
    write_atomic(tmp_path / "a", b"1", is_private=True)
    assert mode(tmp_path / "a") == 0o600
    write_atomic(tmp_path / "b", b"1")
    assert mode(tmp_path / "b") == 0o644


def test_what_is_missing_or_another_persons_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_private(tmp_path / "missing")
    (tmp_path / "theirs").mkdir(mode=0o755)

    def refuse(*_args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    assert make_private_folder(tmp_path / "theirs") == tmp_path / "theirs"
