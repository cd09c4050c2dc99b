"""A process that has imported the whole program once, torch included, and forks a copy of itself for each start.

    python -m tests.e2e.warm SOCKET

What a start costs is mostly imports, and three files start the program seven times. A copy is a process of its own: it
makes its own window, loads its own model and can be killed. Only what is imported, and that it is, is shared; fresh
starts have their own tests (``test_demo.py``, ``test_wheel.py``).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
_MOST_BYTES = 1 << 18
DRIVERS = ("carry_driver", "kill_driver", "report_driver")
_HEAVY = (
    *("torch", "cv2", "skimage.measure", "annotator.ui.app", "annotator.engine.load", "annotator.engine.sam2.files"),
    *(f"tests.e2e.{name}" for name in DRIVERS),
)


class Started:
    """A copy that runs. Its output is a text stream, its end an exit code as :mod:`subprocess` has it."""

    def __init__(self, warm: Warm, pid: int, stdout: IO[str]) -> None:
        self._warm, self.pid, self.stdout = warm, pid, stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self._warm._ask({"poll": self.pid})["code"]
        return self.returncode

    def wait(self) -> int:
        """Until it has ended."""
        if self.returncode is None:
            self.returncode = int(self._warm._ask({"wait": self.pid})["code"])
        return self.returncode

    def kill(self) -> None:
        """Without any warning; nothing when it has ended and was waited for."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


class Warm:
    """Starts the process, and asks it for copies."""

    def __init__(self, *, threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        place = str(Path(self._folder.name, "socket"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(place)
            listening.listen(1)
            listening.settimeout(PATIENCE_S)
            env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
            self._process = Popen([sys.executable, "-m", "tests.e2e.warm", place], cwd=ROOT, env=env)
            self._socket, _ = listening.accept()

    def start(self, driver: str, *words: str, env: Mapping[str, str], stderr: int) -> Started:
        """``tests.e2e.DRIVER`` with these words.

        Args:
            env: its whole environment.
            stderr: a file descriptor that is written to; -1: with what is printed.
        """
        reader, writer = os.pipe()
        try:
            asked = {"driver": driver, "words": words, "env": dict(env)}
            pid = self._ask(asked, files=[writer, writer if stderr < 0 else stderr])["pid"]
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return Started(self, pid, os.fdopen(reader, "r"))

    def stop(self) -> None:
        self._socket.close()
        self._process.wait(PATIENCE_S)
        self._folder.cleanup()

    def _ask(self, asked: dict[str, Any], files: list[int] | None = None) -> dict[str, Any]:
        socket.send_fds(self._socket, [json.dumps(asked).encode()], files or [])
        answer = self._socket.recv(_MOST_BYTES)
        if not answer:
            raise RuntimeError("the warm process has ended")
        found: dict[str, Any] = json.loads(answer)
        return found


# --- in that process --------------------------------------------------------------------------------------------------


def _serve(place: str) -> int:
    """Fork until the other end is closed; in a copy, run the driver."""
    for name in _HEAVY:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    running = set[int]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as talking:
        talking.connect(place)
        while True:
            data, files, _, _ = socket.recv_fds(talking, _MOST_BYTES, 2)
            if not data:
                break
            asked = json.loads(data)
            if "driver" in asked:
                pid = os.fork()
                if pid == 0:
                    talking.close()
                    return _become(asked, files)
                running.add(pid)
                for one in files:
                    os.close(one)
                answer = {"pid": pid}
            else:
                pid = asked.get("wait") or asked["poll"]
                ended, status = os.waitpid(pid, 0 if "wait" in asked else os.WNOHANG)
                answer = {"code": os.waitstatus_to_exitcode(status) if ended else None}
                if ended:
                    running.discard(pid)
            talking.sendall(json.dumps(answer).encode())
    for pid in sorted(running):  # whoever asked for it has forgotten it
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return 0


def _become(asked: dict[str, Any], files: list[int]) -> int:
    os.environ.clear()
    os.environ.update(asked["env"])
    for stream, file in zip((1, 2), files, strict=True):
        os.dup2(file, stream)
        os.close(file)
    driver = importlib.import_module(f"tests.e2e.{asked['driver']}")
    return int(driver.run(*asked["words"]))


if __name__ == "__main__":
    sys.exit(_serve(sys.argv[1]))
