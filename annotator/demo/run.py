"""Runs the story in a window of its own, tells every step, and says in one line which one failed."""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType

from PySide6.QtCore import QCoreApplication, QEvent, QMessageLogContext, QtMsgType, qInstallMessageHandler

from annotator.demo.hands import Hands, StepFailed, require, spin
from annotator.demo.labeller import Row
from annotator.demo.story import Story
from annotator.domain.errors import UserError
from annotator.domain.ports.engine import EngineFactory
from annotator.domain.ports.requests import EngineFailure
from annotator.io.images.samples import write_samples
from annotator.io.settings import Settings
from annotator.ui.app import build_program, default_factory, make_application
from annotator.ui.program import Program
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.shell.screens import WANTED_PX

PROJECT_NAME = "demo.annot"
IMAGES_NAME = "images"
AUTHOR = "annotator demo"
CLOSE_LIMIT_S = 10.0
CLOSE_POLL_MS = 20


@dataclass
class Troubles:
    """What went wrong behind the scenes, in the order of time: errors of the program, failures of the engine."""

    lines: list[str] = field(default_factory=list)
    is_stopped: bool = False

    def add(self, line: str) -> None:
        self.lines.append(line)

    def first(self) -> str:
        """What went wrong first; empty when nothing did."""
        return self.lines[0] if self.lines else ""

    def on_failure(self, failure: EngineFailure) -> None:
        self.add(f"the engine said: {failure.message}")

    def on_exception(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        """``sys.excepthook``: an error in a slot must not go by unseen."""
        self.add(f"an error in the program: {kind.__name__}: {error}")
        sys.__excepthook__(kind, error if error is not None else kind(), trace)

    def on_qt_message(self, kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
        """What Qt says goes on to stderr, but for one line of the offscreen platform about every dialog."""
        if kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
            self.add(f"Qt said: {text}")
        if "propagateSizeHints" not in text:
            print(text, file=sys.stderr)

    def on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """``SIGINT``: the demo ends at the next wait, not inside of Qt; asked twice, it ends at once."""
        self.is_stopped = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def stop_if_asked(self) -> None:
        """Raises:
        KeyboardInterrupt: the person pressed Ctrl+C.
        """
        if self.is_stopped:
            raise KeyboardInterrupt

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Notice what nobody catches, on any thread, and Ctrl+C."""
        hooks = sys.excepthook, threading.excepthook
        sys.excepthook = self.on_exception
        threading.excepthook = lambda args: self.on_exception(args.exc_type, args.exc_value, args.exc_traceback)
        on_interrupt = signal.signal(signal.SIGINT, self.on_interrupt)
        on_qt_message = qInstallMessageHandler(self.on_qt_message)
        try:
            yield
        finally:
            qInstallMessageHandler(on_qt_message)
            sys.excepthook, threading.excepthook = hooks
            signal.signal(signal.SIGINT, on_interrupt)


def run_demo(
    out: Path,
    *,
    model: str = "nano-3",
    device: str | None = None,
    pause_ms: int = 0,
    engine_factory: EngineFactory | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """The whole demo.

    Args:
        out: an existing folder that can be written; images, project, exports and pictures go there.
        pause_ms: rest after every gesture.
        engine_factory: another engine than the one of ``model`` (tests).

    Returns:
        0 when every step did what it should, else 1.

    Raises:
        KeyboardInterrupt: the person pressed Ctrl+C; what had been accepted by then is in the project file.
    """
    start_s = time.monotonic()
    troubles = Troubles()
    # The person's own settings and caches stay as they are.
    with tempfile.TemporaryDirectory(prefix="annotator-demo-") as home, troubles.watching():
        settings = Settings.load(Path(home) / "settings.toml")
        demo: dict[str, str | bool] = {
            "theme": "dark",
            "author": AUTHOR,
            "cache_disk_enabled": False,
            "knows_drafts_stay": True,
        }
        for key, value in demo.items():
            settings.set(key, value)
        make_application().setQuitOnLastWindowClosed(False)
        factory = engine_factory or default_factory(model, config=None, device=device, settings=settings)
        program = build_program(settings, factory)
        program.client.failed.connect(troubles.on_failure)
        try:
            story = _run_steps(out, program, troubles, pause_ms=pause_ms, say=say)
        finally:
            _close(program.window)
        telling = _Telling(say, troubles.first)
        if story is None or not telling.step("close the window, read the file alone", story.after_closing):
            say(f"The demo failed. What it made is in {out}")
            return 1
    rows = list(story.labeller.rows.values())
    say(table(rows))
    say(summary(rows, story.worst_iou))
    say(f"Every step did what it should, in {time.monotonic() - start_s:.0f} s. All of it is in {out}")
    return 0


def _run_steps(
    out: Path, program: Program, troubles: Troubles, *, pause_ms: int, say: Callable[[str], None]
) -> Story | None:
    """The story when all of its steps went well, else None."""
    is_shown, window = False, program.window

    def trouble() -> str:
        troubles.stop_if_asked()
        if is_shown and not window.isVisible():
            return "the window was closed"
        bar = window.area.error_bar
        said = f"the window says: {bar.text}" if bar.text and bar.property("level") == "error" else ""
        return troubles.first() or said

    hands = Hands(window, trouble=trouble, pause_ms=pause_ms)
    telling = _Telling(say, trouble)
    project = out / PROJECT_NAME
    story = Story(program, hands, project, telling.detail)

    def show() -> None:
        nonlocal is_shown
        program.files.restore_window()
        window.resize(*WANTED_PX)  # the same pictures on every machine
        window.show()
        window.activateWindow()
        hands.until(window.isVisible, "the window is there")
        is_shown = True

    def open_folder() -> None:
        images = write_samples(out / IMAGES_NAME)
        program.files.open_path(images, project_path=project)
        story.see_folder()

    first, *rest = story.steps()
    steps = [("open the window", show), (first[0], open_folder), *rest]
    return story if all(telling.step(title, work) for title, work in steps) else None


def _close(window: MainWindow) -> None:
    window.close()
    end_s = time.monotonic() + CLOSE_LIMIT_S
    while window.isVisible() and time.monotonic() < end_s:  # it may wait for a mask that was accepted already
        spin(CLOSE_POLL_MS)
    if window.isVisible():  # it waits for what will not come: the engine has to end all the same
        window.may_close = lambda: True
        window.close()
    window.deleteLater()
    spin(0)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


class _Telling:
    """One line per step, with its time; the details of a step stand behind it."""

    def __init__(self, say: Callable[[str], None], trouble: Callable[[], str]) -> None:
        self._say, self._trouble = say, trouble
        self._details: list[str] = []

    def detail(self, line: str) -> None:
        self._details.append(line)

    def step(self, title: str, work: Callable[[], None]) -> bool:
        """Do a step and tell it; False when it failed."""
        self._details.clear()
        start_s = time.monotonic()
        try:
            work()
            found = self._trouble()
            require(not found, found)
        except (StepFailed, UserError, OSError) as failure:  # OSError: a full disk, a folder that went away
            self._say(f"FAILED   {title}: {failure}")
            return False
        took_s = time.monotonic() - start_s
        detail = f"   ({'; '.join(self._details)})" if self._details else ""
        self._say(f"ok {took_s:5.1f} s  {title}{detail}")
        return True


def table(rows: list[Row]) -> str:
    """One line per object: what it is, how it was made, clicks and boxes, time, mask area, decode time."""
    head = ("object", "class", "image", "clicks", "seconds", "mask px²", "decode ms", "how")
    body = [
        (
            str(row.annotation.id),
            row.class_name,
            row.image,
            str(row.annotation.clicks),
            f"{row.annotation.seconds:.1f}",
            f"{row.annotation.area:,}",
            f"{row.decode_ms:.0f}",
            row.how,
        )
        for row in rows
    ]
    widths = [max(len(line[at]) for line in (head, *body)) for at in range(len(head))]
    is_number = (True, False, False, True, True, True, True, False)
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in (head, tuple("-" * width for width in widths), *body)
    ]
    return "\n".join(("", *lines, ""))


def summary(rows: list[Row], worst_iou: float) -> str:
    """The figures of the whole run, in two lines."""
    clicks = sum(row.annotation.clicks for row in rows)
    images = len({row.image for row in rows})
    seconds = statistics.median(row.annotation.seconds for row in rows)
    decode_ms = statistics.median(row.decode_ms for row in rows)
    return (
        f"{len(rows)} objects on {images} images with {clicks} clicks and boxes ({clicks / len(rows):.1f} per object), "
        f"median {seconds:.1f} s per object, {decode_ms:.0f} ms per decode\n"
        f"COCO read back by pycocotools: {len(rows)} of {len(rows)} objects, worst IoU {worst_iou:.4f}"
    )
