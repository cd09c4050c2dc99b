"""What dciodvfy (dicom3tools) says of a DICOM file; tests that need it skip where it is not installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (dicom3tools)")


def complaints(path: Path, *, word: str = "Error") -> list[str]:
    """Its lines that begin with a word; empty where it is not installed."""
    if shutil.which("dciodvfy") is None:
        return []
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(word)]
