"""When the program has a bug: one report file, one message, and the work stays safe (every accept is on the disk)."""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import platform
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import TextIO

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler, qVersion

from annotator.files.private import keep_private, make_private_folder, open_private
from annotator.ui.shell.version import program_version

_log = logging.getLogger("annotator.qt")
_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


def write_report(folder: Path, error: BaseException, *, where: str) -> Path:
    """Write a crash report; returns its place. No image, path of an image or annotation goes into it on purpose."""
    make_private_folder(folder)
    now = datetime.now(UTC)
    path = folder / f"crash-{now:%Y%m%d-%H%M%S-%f}.txt"
    lines = (
        f"annotator {program_version()}, {now.isoformat(timespec='seconds')}",
        f"Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}",
        f"where: {where}",
        "",
        "".join(traceback.format_exception(error)),
    )
    with open(path, "w", encoding="utf-8", opener=open_private) as file:
        file.write("\n".join(lines))
    return path


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """A log that only its owner reads, also the new one after a rotation."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=open_private)


class CrashHandler(QObject):
    """Takes what nobody caught, on any thread: writes a report and tells the window (``crashed``, queued)."""

    crashed = Signal(str)

    def __init__(self, log_folder: Path, *, on_crash: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._folder = log_folder
        self._on_crash = on_crash
        self._fault_file: TextIO | None = None

    def install(self) -> str:
        """Hook into Python, threads, Qt's messages and hard faults.

        Returns:
            Why there is no log, in a sentence; empty when there is one.
        """
        problem = ""
        try:
            self._open_log()
        except OSError as error:
            problem = f"No log can be written to {self._folder} ({error.strerror}): check the folder and the disk."
        sys.excepthook = self.on_exception
        threading.excepthook = self._on_thread_exception
        qInstallMessageHandler(_qt_message)
        return problem

    def _open_log(self) -> None:
        make_private_folder(self._folder)
        for older in self._folder.iterdir():
            keep_private(older)
        handler = _PrivateLog(
            self._folder / "annotator.log", maxBytes=1 << 20, backupCount=3, encoding="utf-8", delay=True
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        root = logging.getLogger("annotator")
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        # Kept open on purpose for the life of the program: faulthandler writes to its descriptor when all else fails.
        self._fault_file = open(  # noqa: SIM115
            self._folder / "fault.txt", "a", encoding="utf-8", opener=open_private
        )
        faulthandler.enable(self._fault_file)

    def on_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None, *, where: str = "window"
    ) -> None:
        """``sys.excepthook``: report, tell, go on. Ctrl+C ends the program as usual."""
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        try:
            place = write_report(self._folder, error.with_traceback(trace), where=where)
            text = f"Something went wrong inside the program ({kind.__name__}). A report was written to {place}."
        except OSError as problem:
            text = f"Something went wrong inside the program ({kind.__name__}); no report could be written ({problem})."
        sys.__excepthook__(kind, error, trace)
        if self._on_crash is not None:
            self._on_crash()
        self.crashed.emit(f"{text} Everything accepted is saved.")

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread else "thread"
            self.on_exception(args.exc_type, args.exc_value, args.exc_traceback, where=name)


def _qt_message(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    _log.log(_LEVELS.get(kind, logging.WARNING), "%s", text)
    if kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg) and sys.stderr is not None:
        print(text, file=sys.stderr)
