"""Every test runs offscreen, with a home of its own, and with few threads."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared and slow at times: no deadlines. The gate draws the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate" if os.environ.get("CI") else "local")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The tests' models are so small that a second thread costs more than it brings: the trainings took 123 s, and 87 so.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The program is started more than a hundred times: it is compiled once, also where bytecode is not wanted.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


_FIRST = ("tests/e2e/", "tests/unit/train/", "tests/unit/test_train_", "tests/unit/test_evaluate_", "tests/gui/")
"""Where the long files are, the longest first: two processes then end at the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        return next((place for place, start in enumerate(_FIRST) if item.nodeid.startswith(start)), len(_FIRST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What is imported by now stays: a collection after each test of the window need not look through all of it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One after the other; the factory's own numbering lists all that are there every time."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(scope="session")
def _trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is remembered of which arithmetic suits which weights; there once a model was loaded."""
    return tmp_path_factory.mktemp("trials") / "precision.json"


@pytest.fixture(autouse=True)
def _own_home(_homes: Iterator[Path], _trials: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home where nothing is but those trials: each model would be tried anew, at a second a time."""
    home = next(_homes)
    cache = home / "cache"
    home.mkdir()
    monkeypatch.setenv("ANNOTATOR_HOME", str(home))
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(home / "checkpoints"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    own = cache / "annotator" / _trials.name
    if _trials.exists():
        cache.mkdir()
        own.parent.mkdir(mode=0o700)
        shutil.copy(_trials, own)
    yield home
    if own.exists() and (not _trials.exists() or own.read_bytes() != _trials.read_bytes()):
        shutil.copy(own, _trials)
