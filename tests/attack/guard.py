"""What is watched inside of the process that runs the cases."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from annotator.domain.errors import RowGoneError, UserError

T = TypeVar("T")
CANARIES = ("Canary^Petra", "CANARY-4711", "19420131")
"""A patient's name, number and birthday: in no message, project or export."""
_MOST_MESSAGE = 3000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_HOSTS = re.compile(r"^(//|\\\\)[^/\\]")


class Guard:
    """One per process. ``findings`` are the sins of the running case."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.findings: list[str] = []
        self.messages: list[str] = []
        self._work: Path | None = None
        self._forbidden: tuple[str, ...] = ()
        sys.addaudithook(self._on_event)
        handler = logging.Handler()
        handler.emit = lambda record: self.messages.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("annotator").addHandler(handler)
        self._handler = handler
        logging.getLogger("annotator").setLevel(logging.INFO)
        self._watch_readers()

    def end(self) -> None:
        """Watch no more, as far as Python allows that."""
        from annotator.io.images.pool import ReaderPool

        ReaderPool.ask = self._real_ask  # type: ignore[method-assign]
        logging.getLogger("annotator").removeHandler(self._handler)

    @contextmanager
    def case(self, work: Path, forbidden: tuple[Path, ...]) -> Iterator[None]:
        """Inside, only ``work`` and the home may be written, and what is ``forbidden`` not be touched at all."""
        self.findings, self.messages = [], []
        self._forbidden = tuple(os.path.realpath(place) for place in forbidden)
        self._work = work
        try:
            yield
        finally:
            self._work = None
            for text in self.messages:
                self.check_text(text, "a message")

    @contextmanager
    def off(self) -> Iterator[None]:
        """The attacker's own steps."""
        work, self._work = self._work, None
        try:
            yield
        finally:
            self._work = work

    def find(self, text: str) -> None:
        if text not in self.findings:
            self.findings.append(text)

    def step(self, what: str, work: Callable[[], T]) -> T | None:
        """Done, or refused by a sentence; anything else is a finding."""
        try:
            return work()
        except UserError as error:
            self._check_sentence(what, error)
        except RowGoneError:
            pass  # its callers know it
        except MemoryError as error:
            self.find(f"{what}: {describe(error)}")
        except Exception as error:
            self.find(f"{what}: {describe(error)}")
        return None

    def _check_sentence(self, what: str, error: UserError) -> None:
        text = str(error)
        self.messages.append(text)
        if not text or len(text) > _MOST_MESSAGE or "Traceback" in text:
            self.find(f"{what}: a message of {len(text)} characters: {text[:80]!r}")

    def check_text(self, text: str, where: str) -> None:
        for canary in CANARIES:
            if canary in text:
                self.find(f"{where} tells {canary}: {text[:200]!r}")

    def check_files(self, folder: Path) -> None:
        """Nothing of a patient in what the program has written."""
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                for canary in CANARIES:
                    if canary.encode() in data:
                        self.find(f"{path.name} holds {canary}")

    # --- what the process does ----------------------------------------------------------------------------------------

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._work is None:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & _WRITING) if isinstance(flags, int) else "r" not in str(mode or "r")
            self._look(path, event, writes=writes)
        elif event in ("os.listdir", "os.scandir"):
            self._look(arguments[0], event)
        elif event in ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"):
            if event in ("os.remove", "os.rmdir") and arguments[1] != -1:
                return  # relative to a folder that was opened, which was looked at
            for path in arguments[:2]:
                if isinstance(path, str | bytes | os.PathLike):
                    self._look(path, event, writes=True)
        elif event == "sqlite3.connect":
            name = os.fspath(arguments[0])
            text = name.decode() if isinstance(name, bytes) else str(name)
            self._look(unquote(text.removeprefix("file://").split("?")[0]), event)
        elif event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "os.system", "webbrowser.open"):
            self.find(f"{event} {arguments[-1]!r}\n{_where()}")

    def _look(self, path: object, event: str, *, writes: bool = False) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.fsdecode(path)
        if "\0" in text or not text or text == ":memory:":
            return
        if _HOSTS.match(text):
            self.find(f"{event} on another computer: {text[:80]!r}\n{_where()}")
            return
        real = os.path.realpath(text)
        if any(real == place or real.startswith(f"{place}{os.sep}") for place in self._forbidden):
            self.find(f"{event} of {real}\n{_where()}")
        if writes and not real.startswith((os.path.realpath(str(self._work)), os.path.realpath(self.home), "/dev/")):
            self.find(f"{event} writes {real}\n{_where()}")

    def _watch_readers(self) -> None:
        """The reader processes open what they are told to."""
        from annotator.io.images.pool import ReaderPool

        guard, real = self, ReaderPool.ask
        self._real_ask = real

        def ask(self: ReaderPool, what: str, path: str, **arguments: Any) -> Any:
            if guard._work is not None:
                guard._look(path, f"reading ({what})")
            return real(self, what, path, **arguments)

        ReaderPool.ask = ask  # type: ignore[method-assign]


def describe(error: BaseException) -> str:
    """The error and the line of the program that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}annotator{os.sep}" in frame.filename]
    at = f" at {Path(own[-1].filename).name}:{own[-1].name}" if own else ""
    return f"{type(error).__name__}{at}: {str(error)[:200]}"


def _where() -> str:
    frames = traceback.extract_stack()
    own = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if f"{os.sep}annotator{os.sep}" in f.filename]
    return " < ".join(reversed(own[-6:]))
