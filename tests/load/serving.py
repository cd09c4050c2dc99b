"""``annotator serve`` as a process of its own, that can be killed and started anew on the same port."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_END_S = 30.0


class Serving:
    """Use it as a context.

    Args:
        tokens: of the clients, whom the server tells apart by them; none: no token is needed.
        options: further ones of ``annotator serve``.
    """

    def __init__(self, tokens: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="annotator-load-")
        self._options = list(options)
        if tokens:
            file = Path(self._folder.name) / "tokens"
            file.write_text("\n".join(tokens), "utf-8")
            self._options += ["--token-file", str(file)]
        self.log = Path(self._folder.name) / "log"
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Serving:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Until it is ready; the second time on the port of the first one."""
        command = [sys.executable, "-m", "annotator", "serve", "--port", str(self.port), *self._options]
        with self.log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Listening on"):
                self.port = int(line.rsplit(":", 1)[1])
            if line.startswith("Ready"):
                return
        raise SystemExit(f"the server did not start:\n{self.log.read_text('utf-8')[-2000:]}")

    def kill(self) -> None:
        """As the kernel does when memory is out: it has no chance to say anything."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def end(self) -> None:
        """As a service manager does."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.communicate(timeout=_END_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def rss_mib(self) -> float:
        """Memory that it has now (Linux)."""
        text = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(text.split("VmRSS:", 1)[1].split(None, 1)[0]) / 1024

    def cpu_s(self) -> float:
        """Processor time that it has used (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
