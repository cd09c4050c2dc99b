"""The command line: one table of commands; everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from annotator import __version__
from annotator.domain.errors import UserError

COMMANDS: dict[str, tuple[str, str]] = {
    "open": ("open_", "open the window (default)"),
    "demo": ("demo", "the main job, done by the program on itself"),
    "predict": ("predict", "one mask from points or a box"),
    "auto": ("auto", "segment everything: COCO of all objects of images"),
    "track": ("track", "carry objects through a series or video from a mask: COCO with a track each"),
    "batch": (
        "batch.command",
        "many images: everything, boxes, points or words; goes on after a stop",
    ),
    "text": ("text", "all that words name in images, as COCO"),
    "find": ("find.command", "all that is like some objects of a project or a COCO file, in all its images"),
    "similar": ("similar", "objects that look alike or unlike their class, and images that are near copies"),
    "serve": ("serve", "the engine over HTTP, for other programs"),
    "export": ("export", "write a project's objects as COCO or another format"),
    "import": ("import_", "read objects from COCO or another format into a project"),
    "statistics": ("statistics", "objects per class, sizes, and what became of the proposals of a project"),
    "check": ("check", "what may be wrong with the objects of a project or a COCO file"),
    "relink": ("relink", "find images that were moved or renamed after they were labelled"),
    "models": ("models", "list, download, import and verify models, show their cards"),
    "evaluate": ("evaluate", "clicks-to-IoU on a COCO set"),
    "compare": ("compare", "two evaluations side by side, with 95 % intervals"),
    "study-clicks": ("study_clicks", "are proposed clicks worth following? simulated annotators"),
    "train-base": ("train.base", "train the embedded model"),
    "train-adapter": ("train.adapter", "train a prompt adapter on accepted masks, judge it, install it"),
    "adapters": ("adapters", "list, import, export, roll back and remove prompt adapters, show their cards"),
}
READ_PROJECTS = ("open", "batch", "export", "find", "similar", "import", "relink", "text", "train-adapter")
"""Commands that read the images of a project, which may name a folder anywhere."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, or 2 for an error of the user's world (one line on stderr)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0] not in COMMANDS and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "open")
    parser = argparse.ArgumentParser(prog="annotator", description="Click an object, get its mask, export COCO.")
    parser.add_argument("--version", action="version", version=f"annotator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary.replace("%", "%%"), description=summary)
        if name == arguments[0]:
            importlib.import_module(f"annotator.commands.{module_name}").add_arguments(command)
            _add_allow_folder(name, command)
    args = parser.parse_args(arguments)
    command_module = importlib.import_module(f"annotator.commands.{COMMANDS[args.command][0]}")
    try:
        if args.command != "open":  # the window follows its settings by itself
            from annotator.io.settings import Settings, apply_memory_limit

            apply_memory_limit(Settings.load())
        _allow_folders(args)
        code = int(command_module.run(args))
        if sys.stdout is not None:  # None in a program without a console
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output (`| head`) has seen enough. Python must not try to flush the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UserError as error:
        print(f"annotator: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        from annotator.files.long_paths import MOVE_IT, is_too_long, too_long

        if not is_too_long(error) or error.filename is None:
            raise
        print(f"annotator: {too_long(error.filename)} {MOVE_IT}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("annotator: stopped", file=sys.stderr)
        return 130


def _add_allow_folder(name: str, command: argparse.ArgumentParser) -> None:
    if name not in READ_PROJECTS:
        return
    command.add_argument(
        "--allow-folder",
        action="append",
        default=[],
        metavar="FOLDER",
        help="let the project read images there; a folder outside of its own has to be allowed once",
    )


def _allow_folders(args: argparse.Namespace) -> None:
    """What the person has named need not be asked for."""
    folders = getattr(args, "allow_folder", None)
    if folders:
        from pathlib import Path

        from annotator.io.project import agreed

        for folder in folders:
            agreed.allow(Path(folder).expanduser())
