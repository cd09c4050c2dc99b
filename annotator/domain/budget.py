"""How much memory one thing out of a file (an image, a mask, a model) may take. It is asked before it is allocated.

A file's size says nothing about what it needs: 6 MB can ask for 7 GB. One limit holds for all kinds: a quarter of the
machine's memory, or what the person has chosen.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from annotator.domain.brevity import brief
from annotator.domain.errors import UserError

SHARE = 4
"""The limit is the machine's memory divided by this, unless it is set otherwise."""
SETTING = "memory_limit_mib"
_GUESS_BYTES = 8 << 30
_chosen_bytes: int | None = None


def limit_bytes() -> int:
    """What one image, mask or model may take."""
    return _chosen_bytes if _chosen_bytes is not None else machine_bytes() // SHARE


def set_limit_bytes(limit: int | None) -> None:
    """Choose the limit for this process and its readers; None or 0: a quarter of the memory."""
    global _chosen_bytes
    _chosen_bytes = limit or None


def ask(name: str, need_bytes: int, *, error: type[UserError] = UserError) -> None:
    """Call before the memory is taken.

    Args:
        name: of the file, for the message.
        need_bytes: at the peak, estimated from above.
        error: what is raised.

    Raises:
        UserError: of the given type; it is more than the limit. The message has name, need and limit.
    """
    limit = limit_bytes()
    if need_bytes > limit:
        raise error(f"{brief(name)} needs {in_words(need_bytes)} of memory, the limit is {in_words(limit)}.", ADVICE)


ADVICE = f"Save a smaller copy, or raise {SETTING} in the settings."


def in_words(count: int) -> str:
    """Bytes for a person: "6.8 GB", "700 MB"."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6)):,} MB"


@cache
def machine_bytes() -> int:
    """The memory of this machine, or of the container that the program runs in."""
    if hasattr(ctypes, "windll"):
        return _windows_bytes()
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return _GUESS_BYTES
    limits = [read for read in map(_number_in, _CONTAINER_LIMITS) if read > 0]
    return min([whole, *limits]) if whole > 0 else _GUESS_BYTES


def free_bytes() -> int:
    """The memory that is free now, of this machine or of the container that the program runs in; where that cannot be
    known, all that there is."""
    whole = machine_bytes()
    if hasattr(ctypes, "windll"):
        return min(whole, int(_windows_status().free_bytes))
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):  # another system
        return whole
    limit = next((read for read in map(_number_in, _CONTAINER_LIMITS) if read > 0), 0)
    return min(free, whole, max(0, limit - _container_use())) if limit else min(free, whole)


def _container_use() -> int:
    """What a container's programs hold; what it keeps of files can be let go any time."""
    try:
        with open("/sys/fs/cgroup/memory.stat", encoding="ascii") as file:
            kept = next((int(line.split()[1]) for line in file if line.startswith("inactive_file ")), 0)
    except (OSError, ValueError, IndexError):
        kept = 0
    return max(0, _number_in("/sys/fs/cgroup/memory.current") - kept)


_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def _number_in(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return 0


class _MemoryStatus(ctypes.Structure):
    """Windows' MEMORYSTATUSEX."""

    _fields_ = [
        ("length", ctypes.c_ulong),
        ("load_percent", ctypes.c_ulong),
        ("whole_bytes", ctypes.c_ulonglong),
        ("free_bytes", ctypes.c_ulonglong),
        *((f"other_{number}", ctypes.c_ulonglong) for number in range(5)),
    ]


def _windows_bytes() -> int:
    return int(_windows_status().whole_bytes)


def _windows_status() -> _MemoryStatus:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return _MemoryStatus(whole_bytes=_GUESS_BYTES, free_bytes=_GUESS_BYTES)
    return status
