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
from pathlib import Path
from types import TracebackType
from typing import TextIO

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler, qVersion

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
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path = folder / f"crash-{now:%Y%m%d-%H%M%S-%f}.txt"
    lines = (
        f"annotator {program_version()}, {now.isoformat(timespec='seconds')}",
        f"Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}",
        f"where: {where}",
        "",
        "".join(traceback.format_exception(error)),
    )
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class CrashHandler(QObject):
    """Takes what nobody caught, on any thread: writes a report and tells the window (``crashed``, queued)."""

    crashed = Signal(str)

    def __init__(self, log_folder: Path, *, on_crash: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._folder = log_folder
        self._on_crash = on_crash
        self._fault_file: TextIO | None = None

    def install(self) -> None:
        """Hook into Python, threads, Qt's messages and hard faults."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            self._folder / "annotator.log", maxBytes=1 << 20, backupCount=3, encoding="utf-8", delay=True
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        root = logging.getLogger("annotator")
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        # Kept open on purpose for the life of the program: faulthandler writes to its descriptor when all else fails.
        self._fault_file = open(self._folder / "fault.txt", "a", encoding="utf-8")  # noqa: SIM115
        faulthandler.enable(self._fault_file)
        sys.excepthook = self.on_exception
        threading.excepthook = self._on_thread_exception
        qInstallMessageHandler(_qt_message)

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
