"""``python -m tests.attack``: the parent. It hands out cases, watches the process that runs them, and sums up."""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.attack.kinds import KINDS

CLOCK_S = 300.0
CPU_S = 60.0
"""Of one case, in the process that runs it."""
MEMORY_MIB = 1500
"""Above what the process had before."""
CASES_A_LIFE = 250


class Worker:
    """A process that runs case after case."""

    def __init__(self, home: Path) -> None:
        environment = {**os.environ, "ANNOTATOR_HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "HOME": str(home)}
        (home / "tmp").mkdir(exist_ok=True)
        environment |= {"TMPDIR": str(home / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "DATA", "STATE", "CONFIG")}
        self.log = (home / "stderr.txt").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.attack.worker", str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
        )
        self.done = 0

    def run(self, kind: str, seed: int, number: int) -> list[str]:
        """What was found; the process is gone when it crashed or had to be ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        begun_s, cpu_before_s = time.monotonic(), self._cpu_s()
        try:
            self.process.stdin.write(f"{json.dumps([kind, seed, number])}\n".encode())
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return [self._end("was gone")]
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 1.0)
            if ready:
                line = self.process.stdout.readline()
                if not line:
                    return [self._end("ended")]
                self.done += 1
                found: list[str] = json.loads(line)
                used_s = self._cpu_s() - cpu_before_s
                return [*found, f"{used_s:.0f} s of computing"] if used_s > CPU_S / 2 else found
            if self._cpu_s() - cpu_before_s > CPU_S or time.monotonic() - begun_s > CLOCK_S:
                self.process.send_signal(6)  # the fault handler says where it was
                return [self._end("hung")]

    def _cpu_s(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _end(self, how: str) -> str:
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self._hang_up()
        if self.process.stdout is not None:
            self.process.stdout.close()
        told = Path(self.log.name).read_text("utf-8", "replace")[-3000:]
        return f"the process {how} with {self.process.returncode}: {told}"

    def is_alive(self) -> bool:
        return self.process.poll() is None and not self.log.closed

    def _hang_up(self) -> None:
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):  # of what was not sent
                self.process.stdin.close()

    def stop(self) -> None:
        self._hang_up()
        if not self.log.closed:
            self._end("was stopped")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description="Attack the program with files.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--case", type=int, help="this one only, of the first kind")
    parser.add_argument("--keep", type=Path, help="where a line for each finding is written")
    args = parser.parse_args()
    counts: Counter[str] = Counter()
    findings: list[str] = []
    known: set[str] = set()
    end_s = time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory(prefix="attack-") as home:
        worker = Worker(Path(home))
        number = args.case if args.case is not None else 0
        while time.monotonic() < end_s:
            for kind in args.kinds if args.case is None else args.kinds[:1]:
                if not worker.is_alive() or worker.done >= CASES_A_LIFE:
                    worker.stop()
                    worker = Worker(Path(home))
                counts[kind] += 1
                for found in worker.run(kind, args.seed, number):
                    line = f"{kind} --seed {args.seed} --case {number}: {found}"
                    findings.append(line)
                    head = f"{kind}: {found.split(chr(10))[0][:60]}"
                    if head not in known:
                        known.add(head)
                        print(line, flush=True)
                    if args.keep is not None:
                        with args.keep.open("a", encoding="utf-8", errors="replace") as stream:
                            stream.write(f"{line}\n")
            if args.case is not None:
                break
            number += 1
        worker.stop()
    total = sum(counts.values())
    print(f"{total} cases ({', '.join(f'{kind} {count}' for kind, count in counts.items())}): {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
