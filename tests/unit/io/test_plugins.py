from __future__ import annotations

import logging
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from annotator import plugins


def test_built_ins_are_the_declared_entry_points() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    assert {group: dict(rows) for group, rows in plugins.BUILT_IN.items()} == project["entry-points"]


def test_every_built_in_loads() -> None:
    for group in plugins.BUILT_IN:
        assert set(plugins.load_all(group)) >= set(plugins.BUILT_IN[group])
    with pytest.raises(KeyError):
        plugins.load("annotator.readers", "nonsense")
    assert plugins.find("annotator.nonsense") == ()


def test_others_are_found_broken_ones_reported_and_names_not_taken_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    group = "annotator.readers"
    entries = [
        metadata.EntryPoint("good", "json:loads", group),
        metadata.EntryPoint("broken", "no_such_module_anywhere:Reader", group),
        metadata.EntryPoint("lacking", "json:nothing_here", group),
        metadata.EntryPoint("raster", "json:dumps", group),
        metadata.EntryPoint("dicom", plugins.BUILT_IN[group]["dicom"], group),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: entries)
    with caplog.at_level(logging.WARNING):
        found = plugins.load_all(group)
    assert set(found) == {"dicom", "raster", "good"}
    assert found["raster"].__name__ == "RasterReader"  # type: ignore[attr-defined]
    for name in ("no_such_module_anywhere", "nothing_here", "json:dumps"):
        assert name in caplog.text


def test_importing_plugins_imports_only_the_standard_library() -> None:
    import subprocess

    code = "import sys; import annotator.plugins; print([m for m in ('numpy', 'torch', 'PySide6') if m in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
