"""Toy models are built once for all tests of a file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.unit.engine.hub.tiny_hub import KINDS, saved

# Not imported before a test needs them: every process collects all tests, and one of them runs these.
for name in ("transformers", "timm"):
    if find_spec(name) is None:
        pytest.skip(f"the extra hf is not installed: {name}", allow_module_level=True)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each promptable family."""
    place = tmp_path_factory.mktemp("hub")
    return {kind: saved(kind, place) for kind in KINDS}
