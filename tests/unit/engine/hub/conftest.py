"""Toy models are built once for all tests of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the extra hf is not installed")
pytest.importorskip("timm", reason="the extra hf is not installed")

from tests.unit.engine.hub.tiny_hub import KINDS, saved


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each promptable family."""
    place = tmp_path_factory.mktemp("hub")
    return {kind: saved(kind, place) for kind in KINDS}
