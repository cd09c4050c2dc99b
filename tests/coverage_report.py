"""Runs the tests, and says which share of the lines of ``domain``, ``io`` and ``engine`` they run.

    python -m tests.coverage_report [--modules] [ARGUMENTS OF PYTEST]

What is missing in modules below the aim is printed with ``--modules``, and where their room is below it.

Processes that the tests start are counted, too, however they end. Which lines there are is coverage's reckoning, which
of them ran is known from marks (:mod:`tests.line_marks`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import coverage

from tests.line_marks import Marks

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("domain", "io", "engine")
AIM = 0.95
NEEDING = {"engine/hf": ("transformers", "timm")}
"""Families that run with an extra alone: where that is not installed, their lines are named, not counted."""
_IN_MEMORY = Path("/dev/shm")
"""Where there is one: marks in a file on a disk would be written out again and again."""
_CONFIG = r"""
[run]
data_file = {folder}/lines
[report]
exclude_also =
    if TYPE_CHECKING:
    raise NotImplementedError
    ^ *\.\.\.$
"""


def modules(room: str) -> list[Path]:
    return sorted((ROOT / "annotator" / room).rglob("*.py"))


def shares(data: coverage.Coverage, room: str) -> dict[str, tuple[int, int, str]]:
    """Lines that were run, lines that there are, and which were not, by module."""
    found = {}
    for path in modules(room):
        _, lines, _, missing, text = data.analysis2(str(path))
        if lines:
            found[str(path.relative_to(ROOT / "annotator"))] = len(lines) - len(missing), len(lines), text
    return found


def lacking() -> list[str]:
    """The parts of rooms whose library is not installed."""
    return [part for part, names in NEEDING.items() if any(find_spec(name) is None for name in names)]


def report(lines: dict[str, list[int]], folder: Path, *, with_modules: bool = True) -> bool:
    """Print the figures; false when a room is below the aim."""
    (folder / "rc").write_text(_CONFIG.format(folder=folder), "utf-8")
    data = coverage.Coverage(config_file=str(folder / "rc"))
    data.get_data().add_lines(lines)
    is_met = True
    for room in ROOMS:
        found = shares(data, room)
        for part in (part for part in lacking() if part.startswith(f"{room}/")):
            aside = [found.pop(name) for name in list(found) if name.startswith(f"{part}/")]
            print(f"{part}: its library is not installed, {sum(there for _, there, _ in aside)} lines are not counted")
        run, all_lines = sum(run for run, _, _ in found.values()), sum(there for _, there, _ in found.values())
        is_below = run < AIM * all_lines
        is_met = is_met and not is_below
        print(f"{room}: {run / all_lines:.1%} of {all_lines} lines")
        for name, (here, there, text) in found.items():
            if here < AIM * there and (with_modules or is_below):
                print(f"    {name}: {here / there:.0%} of {there}; not {text}")
    return is_met


def main(arguments: list[str]) -> int:
    """Run the tests and print the figures; pytest's exit status, and 1 when a room is below the aim."""
    with_modules = "--modules" in arguments
    arguments = [one for one in arguments if one != "--modules"]
    place = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="annotator-coverage-", dir=place) as name:
        folder = Path(name)
        marks = Marks(folder, [path for room in ROOMS for path in modules(room)])
        with marks.environment() as environment:
            done = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=environment, check=False)
        is_met = report(marks.lines(), folder, with_modules=with_modules)
    return done.returncode or int(not is_met)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
