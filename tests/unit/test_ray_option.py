"""``--ray`` without Ray says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from annotator.cli import main
from tests.unit.small_model import write_folder


def test_without_ray_a_batch_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    images = write_folder(tmp_path / "images", ["a.png"])
    assert main(["batch", str(images), "--out", str(tmp_path / "out"), "--ray", "local"]) == 2
    assert "pip install 'annotator[ray]'" in capsys.readouterr().err
