"""The process that runs the cases: a line with kind, seed and number comes in, a line with what was found goes out."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
from pathlib import Path

from annotator.domain import budget
from tests.attack.guard import Guard
from tests.attack.kinds import kind_of
from tests.attack.victims import make_outside

BUDGET_BYTES = 256 << 20
MEMORY_MIB = 1500


def run_case(guard: Guard, kind: str, seed: int, number: int) -> list[str]:
    """One case in a folder of its own, which is gone afterwards."""
    work = guard.home / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    outside = make_outside(work)
    dice = random.Random(f"{kind} {seed} {number}")
    budget.set_limit_bytes(BUDGET_BYTES)
    before_mib = _peak_mib(is_reset=True)
    with guard.case(work, (outside, Path("/etc/passwd"), Path("/etc/hostname"))):
        try:
            kind_of(kind)(guard, dice, work)
        except Exception as error:
            from tests.attack.guard import describe

            guard.find(f"the case itself: {describe(error)}")
    used_mib = _peak_mib() - before_mib
    if used_mib > MEMORY_MIB:
        guard.find(f"{used_mib} MiB of memory")
    shutil.rmtree(work, ignore_errors=True)
    return list(guard.findings)


def _peak_mib(*, is_reset: bool = False) -> int:
    """The most memory since the last reset (Linux)."""
    try:
        if is_reset:
            Path("/proc/self/clear_refs").write_text("5")
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return int(found[1]) >> 10 if found else 0


def main() -> None:
    home = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed is no answer
    guard = Guard(home)
    for line in sys.stdin:
        kind, seed, number = json.loads(line)
        answers.write(f"{json.dumps(run_case(guard, kind, seed, number))}\n")
        answers.flush()


if __name__ == "__main__":
    main()
