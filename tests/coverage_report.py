"""Which share of the lines of ``domain``, ``io`` and ``engine`` the tests run.

    python -m tests.coverage_report [TESTS]

Processes that the tests start are counted, too. It is not part of the gate: under Python 3.11 every line costs a call,
and tests that compute little take half as long again. Without TESTS all of the unit tests and those of the window run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("domain", "io", "engine")
TESTS = ("tests/unit", "tests/gui")
AIM = 0.95
_CONFIG = """
[run]
source = {sources}
data_file = {folder}/lines
parallel = true
patch =
    subprocess
    _exit
[report]
exclude_also =
    if TYPE_CHECKING:
    raise NotImplementedError
    ^ *\\\\.\\\\.\\\\.$
"""


def shares(data: coverage.Coverage, room: str) -> dict[str, tuple[int, int]]:
    """Lines that were run, and lines that there are, by module."""
    found = {}
    for path in sorted((ROOT / "annotator" / room).rglob("*.py")):
        _, lines, _, missing, _ = data.analysis2(str(path))
        if lines:
            found[str(path.relative_to(ROOT / "annotator"))] = len(lines) - len(missing), len(lines)
    return found


def main(tests: tuple[str, ...]) -> int:
    """Run the tests and print the figures; 1 when a room is below the aim or a test fails."""
    with tempfile.TemporaryDirectory(prefix="annotator-coverage-") as folder:
        config = Path(folder, "rc")
        sources = ",".join(str(ROOT / "annotator" / room) for room in ROOMS)
        config.write_text(_CONFIG.format(sources=sources, folder=folder), "utf-8")
        command = [sys.executable, "-m", "coverage", "run", f"--rcfile={config}", "-m", "pytest", "-q", "-n", "2"]
        done = subprocess.run([*command, *tests], cwd=ROOT, env=dict(os.environ), check=False)
        data = coverage.Coverage(config_file=str(config))
        data.combine([folder])
        is_below = False
        for room in ROOMS:
            modules = shares(data, room)
            run, lines = (sum(counts) for counts in zip(*modules.values(), strict=True))
            is_below = is_below or run < AIM * lines
            print(f"{room}: {run / lines:.1%} of {lines} lines")
            for name, (here, all_here) in modules.items():
                if here < AIM * all_here:
                    print(f"    {name}: {here / all_here:.0%} of {all_here}")
    return 1 if is_below or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or TESTS))
