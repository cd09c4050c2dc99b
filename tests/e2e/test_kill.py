"""kill -9 of the real program, with the real model: every accept that was reported is in the project file."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from annotator.io.project.store import ProjectStore
from tests.e2e.kill_driver import fingerprint
from tests.e2e.pictures import write_pictures
from tests.e2e.warm import Warm

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


def run_and_kill(warm: Warm, driver: str, *words: str, errors: Path, is_last: Callable[[str], bool]) -> list[str]:
    """What the program reported until the line that ``is_last``; there it is killed without any warning."""
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    env.pop("ANNOTATOR_CHECKPOINTS", None)  # the bundled ones
    with errors.open("wb") as stderr:
        process = warm.start(driver, *words, env=env, stderr=stderr.fileno())
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.strip())
            if is_last(lines[-1]) or lines[-1].startswith("failed"):
                break
        assert process.poll() is None, errors.read_text(errors="replace")
        process.kill()
        assert process.wait() == -signal.SIGKILL
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    assert lines, errors.read_text(errors="replace")
    assert is_last(lines[-1]), (lines, errors.read_text(errors="replace"))
    return lines


def label_and_kill(warm: Warm, folder: Path, accepts: int, *modes: str, is_last: Callable[[str], bool]) -> list[str]:
    words = (str(folder), str(accepts), *modes)
    return run_and_kill(warm, "kill_driver", *words, errors=folder.parent / "stderr.txt", is_last=is_last)


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
def test_every_reported_object_is_there_after_a_kill(warm: Warm, folder: Path, accepts: int) -> None:
    seen = 0

    def is_last(line: str) -> bool:
        nonlocal seen
        seen = int(line.split()[1]) if line.startswith("accepted") else seen
        return seen == accepts

    reported = label_and_kill(warm, folder, accepts, is_last=is_last)
    assert len(reported) == accepts
    assert found_in(folder) == reported


def test_a_kill_while_an_accept_is_in_flight_breaks_nothing(warm: Warm, folder: Path) -> None:
    reported = label_and_kill(warm, folder, 3, "in-flight", is_last=lambda line: line in ("in-flight", "too-late"))
    assert reported[-1] == "in-flight"
    found = found_in(folder)
    assert found[:3] == reported[:3]
    assert len(found) in (3, 4)
    with ProjectStore.open_folder(folder) as store:
        # The one in flight is either an object or still the object in work; it is not gone.
        assert (len(found) == 4) != bool(store.draft_counts())
