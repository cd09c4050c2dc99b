"""Where the program's own files lie on this system. No other module asks the system for a folder.

Nothing is made here: who writes makes the folder, most of them by :mod:`annotator.files.private`.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

OVERRIDES = {
    "config": "ANNOTATOR_HOME",
    "state": "ANNOTATOR_HOME",
    "checkpoints": "ANNOTATOR_CHECKPOINTS",
}
"""The environment variables that name a folder instead of the system's; an empty one counts as none."""
_NAME = "annotator"


def config_dir() -> Path:
    """Settings and keys."""
    return _override("config") or system_config_dir()


def system_config_dir() -> Path:
    """Where they are when no other folder was named; this one is the program's own."""
    return platformdirs.user_config_path(_NAME, appauthor=False)


def state_dir() -> Path:
    """What the program remembers by itself, such as files that ended their reader."""
    return _override("state") or platformdirs.user_state_path(_NAME, appauthor=False)


def log_dir() -> Path:
    """Reports of crashes."""
    return platformdirs.user_log_path(_NAME, appauthor=False)


def cache_dir() -> Path:
    """What can be made again: embeddings, measurements, work of trainings."""
    return platformdirs.user_cache_path(_NAME)


def checkpoints_dir() -> Path:
    """Weights that were downloaded or imported, and adapters."""
    return _override("checkpoints") or platformdirs.user_data_path(_NAME) / "checkpoints"


def samples_dir() -> Path:
    """The sample images, once they were asked for."""
    return platformdirs.user_data_path(_NAME, appauthor=False) / "samples"


def documents_dir() -> Path:
    """The person's own folder, where a new project file is proposed."""
    return platformdirs.user_documents_path()


def training_dir() -> Path:
    """Adapter trainings: a folder per name."""
    return cache_dir() / "train-adapter"


def is_named(place: str) -> bool:
    """Whether the person has named this folder (a key of :data:`OVERRIDES`): then its permissions are left alone."""
    return _override(place) is not None


def _override(place: str) -> Path | None:
    named = os.environ.get(OVERRIDES[place])
    return Path(named) if named else None
