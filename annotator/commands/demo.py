"""``annotator demo``: the main job, done by the program on itself in the real window, every step verified."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.files.children import PROGRAM_FOLDER, child_environment, python_command

DEFAULT_OUT = "demo-out"
WATCHED_PAUSE_MS = 250
TRY_LIMIT_S = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where images, project, exports and pictures go (default: a new folder {DEFAULT_OUT})",
    )
    parser.add_argument("--model", default="nano-3", metavar="NAME|PATH", help="default: nano-3, which ships")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    parser.add_argument(
        "--pause-ms",
        type=int,
        metavar="N",
        help=f"rest after every gesture (default: {WATCHED_PAUSE_MS} on a screen, 0 without one)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 only when every step did what it should, else 1.

    Raises:
        UserError: the folder cannot be written, or holds a demo already.
    """
    is_seen = use_offscreen_without_display()
    out = prepare_folder(args.out)
    from annotator.demo.run import run_demo

    where = "in a window of its own" if is_seen else "in a window that is drawn into memory"
    _say(f"The program labels sample images by itself, with mouse and keys, {where}, exports them, and checks every")
    _say(f"file. That takes a minute or two; one line a step. All of it goes to {out}")
    pause_ms = (WATCHED_PAUSE_MS if is_seen else 0) if args.pause_ms is None else max(0, args.pause_ms)
    try:
        code = run_demo(out, model=args.model, device=args.device, pause_ms=pause_ms, say=_say)
    except KeyboardInterrupt:
        _say(f"Stopped. What was accepted so far is in {out}")
        raise
    if code == 0:
        _say(f"Now your own images: {own_command()} FOLDER")
    return code


def own_command() -> str:
    """What starts this program when it is typed here: its name, or the path that was typed this time."""
    if shutil.which("annotator"):
        return "annotator"
    started = Path(sys.argv[0])
    return sys.argv[0] if started.stem == "annotator" else "python -m annotator"


def use_offscreen_without_display() -> bool:
    """Make Qt draw into memory where there is no screen that works; whether a person sees the window.

    Call before Qt starts. A display that cannot be used makes Qt end the process, so it is tried in another one.
    """
    chosen = os.environ.get("QT_QPA_PLATFORM", "")
    if not chosen:
        is_linux = sys.platform.startswith("linux")
        has_display = not is_linux or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
        if has_display and is_linux and not _can_start_qt():
            print("The display cannot be used; the window is drawn into memory.", file=sys.stderr)
            has_display = False
        if not has_display:
            os.environ["QT_QPA_PLATFORM"] = "offscreen"
        return has_display
    return chosen.partition(":")[0] not in ("offscreen", "minimal")


def _can_start_qt() -> bool:
    code = "from PySide6.QtGui import QGuiApplication; QGuiApplication([])"
    try:
        done = subprocess.run(
            python_command("-c", code),
            env=child_environment(),
            cwd=PROGRAM_FOLDER,
            capture_output=True,
            timeout=TRY_LIMIT_S,
        )
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def prepare_folder(wanted: Path | None) -> Path:
    """The folder for the demo, made and tried.

    Args:
        wanted: None for the first free one of demo-out, demo-out-2, ...

    Raises:
        ExportError: it cannot be written, or holds a demo's project already (which may hold somebody's work).
    """
    from annotator.domain.errors import ExportError

    if wanted is None:
        names = (DEFAULT_OUT if number == 1 else f"{DEFAULT_OUT}-{number}" for number in count(1))
        wanted = next(path for path in map(Path, names) if not path.exists())
    out = wanted.expanduser().absolute()
    if (out / "demo.annot").exists():
        raise ExportError(f"{brief(out)} holds a demo already.", "Name another folder, or delete it.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ExportError(f"{brief(out)} cannot be written ({error.strerror}).", "Choose another folder.") from error
    return out


def _say(line: str) -> None:
    print(line, flush=True)
