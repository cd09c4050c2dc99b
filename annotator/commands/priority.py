"""A process that yields to the programs that a person is working with."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

NICENESS = 10


def give_way() -> None:
    """Let other programs have the processor first. Where the system does not allow that, nothing changes."""
    if sys.platform == "win32":  # pragma: no cover - not run on the systems the tests run on
        import ctypes

        below_normal = 0x4000
        ctypes.windll.kernel32.SetPriorityClass(ctypes.windll.kernel32.GetCurrentProcess(), below_normal)
        return
    with contextlib.suppress(OSError):
        os.nice(max(0, NICENESS - os.nice(0)))
    # Linux divides the processor among sessions first; a process's niceness counts within its own alone. The session of
    # a terminal is not ours to slow down, one that was begun for this process is.
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")
