"""What this program and the Python processes that it starts may import, and where those work.

A folder of images is data. Python looks for modules in the current folder first when it is started with ``-m`` or
``-c``, so that a ``random.py`` among the images would be run. Only the standard library is used here, and this is
imported before anything else.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PROGRAM_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The package's folder, which holds nothing but the program: where a child works that needs no folder of its own."""
_ROOT = os.path.dirname(PROGRAM_FOLDER)
_SAFE_PATH = "PYTHONSAFEPATH"
_PLACES = ("ANNOTATOR_HOME", "ANNOTATOR_CHECKPOINTS")
"""Our own variables that name folders."""
_environment_lock = threading.Lock()


def shut_out_current_folder() -> None:
    """Take the current folder off the import path, for this process and all that it starts.

    Call it first: what was imported before may have come from there. The folder that the program itself lies in (a
    checkout that is not installed) stays, but behind everything else.
    """
    os.environ[_SAFE_PATH] = "1"
    sys.path[:] = [entry for entry in sys.path if not _is_current(entry)]
    if not any(_is_root(entry) for entry in sys.path):
        sys.path.append(_ROOT)


def installed_path() -> list[str]:
    """The import path without the current folder and without a checkout: where installed distributions are."""

    def is_installed(entry: str) -> bool:
        return not _is_current(entry) and (not _is_root(entry) or _is_site(entry))

    return [entry for entry in sys.path if is_installed(entry)]


def python_command(*words: str) -> list[str]:
    """The command of a Python process that does not look for modules in its current folder, such as
    ``python_command("-m", "annotator", "models")``. Start it with :func:`child_environment`.
    """
    return [sys.executable, "-P", *words]


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a child with another working folder: it imports the same program as this process, nothing
    from the current folder, and its children neither. ``more`` are variables to set.
    """
    environment = {**os.environ, _SAFE_PATH: "1", **more}
    wanted = [] if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [os.path.abspath(entry) for entry in wanted if not _is_current(entry)]
    if not _is_site(_ROOT) and _ROOT not in entries:
        entries.insert(0, _ROOT)
    environment["PYTHONPATH"] = os.pathsep.join(entries)
    for name in _PLACES:
        if environment.get(name):
            environment[name] = os.path.abspath(os.path.expanduser(environment[name]))
    return environment


@contextmanager
def safe_spawning() -> Iterator[None]:
    """Processes that ``multiprocessing`` spawns inside the block do not look for modules in the current folder: it
    hands this process's environment on, and starts them with ``-c``. They import what this process can.
    """
    with _environment_lock:
        before = os.environ.get(_SAFE_PATH)
        os.environ[_SAFE_PATH] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_SAFE_PATH]
            else:
                os.environ[_SAFE_PATH] = before


def _is_current(entry: str) -> bool:
    """Whether an entry of the import path, empty or a folder by whatever name, is the current folder."""
    try:
        return not entry or os.path.realpath(entry) == os.path.realpath(os.curdir)
    except FileNotFoundError:  # the current folder was deleted: nothing can be imported from it
        return not os.path.isabs(entry)


def _is_root(entry: str) -> bool:
    return bool(entry) and os.path.realpath(entry) == os.path.realpath(_ROOT)


def _is_site(folder: str) -> bool:
    """Whether packages are installed into it."""
    places = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return os.path.realpath(folder) in {os.path.realpath(place) for place in places}
