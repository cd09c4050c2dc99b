"""The program's version, for the window and for crash reports."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The installed version; "from source" in a checkout that was never installed."""
    try:
        return version("annotator")
    except PackageNotFoundError:
        return "from source"
