"""One reader process as the program sees it: started, asked, ended."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from annotator.domain.errors import ImageError
from annotator.files.children import PROGRAM_FOLDER, child_environment, python_command
from annotator.io.images.channel import CAN_PASS_FILES, Channel, ChannelEndedError, Message, PipeChannel, SocketChannel

CHILD = "annotator.io.images.child"
_START_S = 120.0
_END_S = 10.0
_OWN_END_S = 0.5
"""A process that has lost us, or was ended by the system, is on its way; its own exit code says why."""
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Several readers share the processor, and each thread's heap would count as memory of the image."""


class ReaderProcess:
    """A child that runs :mod:`annotator.io.images.child`. Starting does not wait until it is ready; the first question
    does.

    Raises:
        ImageError: the system starts no process.
    """

    def __init__(self, *, over_pipes: bool = False) -> None:
        self._ready = self.was_interrupted = self.is_late = False
        self._said = ""
        self._complaints: BinaryIO = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed by kill
        try:
            self._process, self._channel = _start(self._complaints, over_pipes or not CAN_PASS_FILES)
        except OSError as error:
            self._complaints.close()
            raise ImageError(
                f"The program's image reader cannot be started ({error.strerror}).", "Close other programs."
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def was_ready(self) -> bool:
        """Whether it got as far as reading images."""
        return self._ready

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that ended it."""
        return self._process.returncode

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Return at once when it is.

        Raises:
            ChannelEndedError: the process has ended, or does not begin.
        """
        if not self._ready:
            self._within(_START_S, self._channel.receive)
            self._ready = True

    def ask(self, request: dict[str, Any], *, wall_s: float) -> Message:
        """The answer; waits.

        Raises:
            ChannelEndedError: the process has ended, or was ended after ``wall_s``.
        """
        self.wait_until_ready()

        def ask() -> Message:
            self._channel.send(request)
            return self._channel.receive()

        return self._within(wall_s, ask)

    def _within(self, wall_s: float, work: Callable[[], Message]) -> Message:
        """End the process when ``work`` with the channel takes longer."""
        if self._channel.set_timeout(wall_s):
            try:
                return work()
            except TimeoutError as error:
                self._run_late()
                raise ChannelEndedError from error
        timer = threading.Timer(wall_s, self._run_late)
        timer.daemon = True
        timer.start()
        try:
            return work()
        finally:
            timer.cancel()

    def interrupt(self) -> None:
        """End it from another thread than the asking one, which gets a ``ChannelEndedError``."""
        self.was_interrupted = True
        self._process.kill()
        self._process.wait(_END_S)

    def kill(self) -> None:
        """End it and wait for its end; for the asking thread, or when nobody asks."""
        self._channel.close()
        try:
            self._process.wait(_OWN_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)
        if not self._complaints.closed:
            self._said = self._last_line()
            self._complaints.close()

    def _run_late(self) -> None:
        self.is_late = True
        self._process.kill()

    def let_go(self) -> None:
        """Forget it without ending it."""
        self._channel.close()
        self._complaints.close()

    def complaint(self) -> str:
        """After :meth:`kill`: the last line that it printed before it was ready."""
        return self._said or f"it ended with code {self.exit_code}"

    def _last_line(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def _start(complaints: BinaryIO, over_pipes: bool) -> tuple[subprocess.Popen[bytes], Channel]:
    command = python_command("-W", "ignore", "-m", CHILD)
    options: dict[str, Any] = {
        "stderr": complaints,
        "env": child_environment(**_ENVIRONMENT),
        "cwd": PROGRAM_FOLDER,
        "creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0),
    }
    if sys.platform != "win32":
        options["process_group"] = 0  # an interrupt in the terminal is for the program
    if over_pipes:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [*command, "--pipes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1, **options
        )
        return process, PipeChannel(cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin))
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, **options)
    except BaseException:
        ours.close()
        raise
    return process, SocketChannel(ours)
