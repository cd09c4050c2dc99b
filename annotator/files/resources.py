"""Where what comes with the program lies: in an installed wheel, else in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_path(name: str) -> Path:
    """A bundled file or folder by its name below ``resources``.

    Raises:
        FileNotFoundError: neither place has it; the installation is damaged.
    """
    for root in (_PACKAGE / "_data" / "resources", _PACKAGE.parent / "resources"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"the program's resource {name!r} is missing; install the program again")
