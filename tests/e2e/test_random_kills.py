"""kill -9 at random moments of labelling: nothing that was accepted or placed is lost, and it all comes back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_nothing_is_lost_in_a_dozen_kills(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.e2e.random_kills", str(tmp_path / "pictures"), "--kills", "12"]
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    env["ANNOTATOR_HOME"] = str(tmp_path / "home")
    done = subprocess.run([*command, "--steps", "24"], cwd=ROOT, env=env, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = re.search(r"12 kills, (\d+) steps, (\d+) accepts in flight: 0 with a loss", done.stdout)
    assert summary is not None, done.stdout
    assert int(summary[1]) > 60
