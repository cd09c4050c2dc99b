"""``annotator [open] [FOLDER | PROJECT]``: the window."""

from __future__ import annotations

import argparse

from annotator.commands.frame_options import add_frame_options, pick_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="?", metavar="FOLDER|PROJECT", help="a folder of images (or one of its images) or a .annot file"
    )
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    parser.add_argument(
        "--numbered",
        action="store_true",
        help="files whose names count up (img_0001.png, ...) are slices of a series; the project remembers it",
    )
    add_frame_options(parser, what="of videos")
    parser.add_argument("--project", metavar="FILE", help="where the project file of a folder is or shall be")


def run(args: argparse.Namespace) -> int:
    """Open the window and stay until it is closed.

    A project that cannot be opened is reported in the window, with a way on: whoever opened it by a double click sees
    no terminal.

    Raises:
        UserError: the folder or project named on the command line does not exist, or the range of time ends before
            it begins.
    """
    from annotator.ui.app import run as run_window

    args.pick = pick_of(args)
    return run_window(args)
