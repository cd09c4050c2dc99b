"""kill -9 of the real program, with the real model: every accept that was reported is in the project file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from annotator.io.project.store import ProjectStore
from tests.e2e.kill_driver import fingerprint
from tests.e2e.pictures import write_pictures

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = sorted((ROOT / "checkpoints").glob("nano-*.safetensors"))
PATIENCE_S = 120

pytestmark = [
    pytest.mark.skipif(not EMBEDDED, reason="the embedded model is not in this checkout"),
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures")
    return tmp_path / "pictures"


def label_and_kill(folder: Path, accepts: int, *modes: str, is_last: Callable[[str], bool]) -> list[str]:
    """What the program reported until the line that ``is_last``; there it is killed without any warning."""
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    env.pop("ANNOTATOR_CHECKPOINTS", None)  # the bundled ones
    command = [sys.executable, "-m", "tests.e2e.kill_driver", str(folder), str(accepts), *modes]
    errors = folder.parent / "stderr.txt"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if is_last(lines[-1]) or lines[-1].startswith("failed"):
                break
        assert process.poll() is None, errors.read_text(errors="replace")
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
    assert lines, errors.read_text(errors="replace")
    assert is_last(lines[-1]), (lines, errors.read_text(errors="replace"))
    return lines


def check_file(project: Path) -> None:
    connection = sqlite3.connect(project)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


def found_in(folder: Path) -> list[str]:
    """The objects of the project file, in the words of the driver; every mask is decoded and measured."""
    check_file(folder / "pictures.annot")
    with ProjectStore.open_folder(folder) as store:
        assert not store.is_read_only, store.read_only_reason
        paths = {image.id: image.path for image in store.images()}
        rows = list(store.all_annotations())
        for row in rows:
            mask = row.mask()
            assert int(np.count_nonzero(mask.bits)) == mask.area == row.area > 0
            assert row.model.startswith("nano")
            assert row.clicks == 1
        return [f"accepted {row.id} {paths[row.image_id]} {row.area} {fingerprint(row)}" for row in rows]


@pytest.mark.parametrize("accepts", [2, 5])
def test_every_reported_object_is_there_after_a_kill(folder: Path, accepts: int) -> None:
    seen = 0

    def is_last(line: str) -> bool:
        nonlocal seen
        seen = int(line.split()[1]) if line.startswith("accepted") else seen
        return seen == accepts

    reported = label_and_kill(folder, accepts, is_last=is_last)
    assert len(reported) == accepts
    assert found_in(folder) == reported


def test_a_kill_while_an_accept_is_in_flight_breaks_nothing(folder: Path) -> None:
    reported = label_and_kill(folder, 3, "in-flight", is_last=lambda line: line in ("in-flight", "too-late"))
    assert reported[-1] == "in-flight"
    found = found_in(folder)
    assert found[:3] == reported[:3]
    assert len(found) in (3, 4)
    with ProjectStore.open_folder(folder) as store:
        # The one in flight is either an object or still the object in work; it is not gone.
        assert (len(found) == 4) != bool(store.draft_counts())
