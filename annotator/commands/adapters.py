"""``annotator adapters list | import FILE | export NAME OUT | rollback NAME | remove NAME | card NAME``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the adapters on this computer, and what each is worth")
    take = actions.add_parser("import", help="install an adapter's file; the version that was there is kept")
    take.add_argument("file", type=Path)
    give = actions.add_parser("export", help="copy an adapter and its card")
    give.add_argument("name")
    give.add_argument("out", type=Path, help="a file or a folder")
    for action, what in (
        ("rollback", "take the version before; once more: forward again"),
        ("remove", "delete an installed adapter and the version before"),
        ("card", "what an adapter is for, what it was trained on and how good it is"),
    ):
        actions.add_parser(action, help=what).add_argument("name")


def run(args: argparse.Namespace) -> int:
    """Do the action and say what came of it.

    Raises:
        UserError: no such adapter or version, or a file that is no adapter, or cannot be written.
    """
    from annotator.engine.sam2 import adapter_files as files

    if args.action == "list":
        print(_listing(), end="")
    elif args.action == "import":
        info = files.read_adapter_info(args.file)
        target = files.install(args.file, info.name)
        print(f"installed {info.name} for {info.base_name}: {target}")
    elif args.action == "export":
        path, _ = files.find_adapter(args.name)
        print(f"wrote {files.export(path, args.out)} and its card")
    elif args.action == "rollback":
        info = files.read_adapter_info(files.roll_back(args.name))
        print(f"{args.name} is the version before now (trained {info.date or 'at an unknown date'})")
    elif args.action == "remove":
        files.remove(args.name)
        print(f"removed {args.name}")
    else:
        print(files.read_card(files.find_adapter(args.name)[0]), end="")
    return 0


def _listing() -> str:
    from annotator.domain.adapter import DECIDING
    from annotator.engine.sam2 import adapter_files as files

    lines = []
    for path, info in files.list_adapters():
        pair = info.figures.get(DECIDING)
        worth = f"bIoU {pair[0]:.3f} -> {pair[1]:.3f}" if isinstance(pair, list) and len(pair) == 2 else "not measured"
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        own = "installed" if path.parent == files.adapters_dir() else "came with the program"
        lines.append(f"{path.stem:18} {info.base_name:16} {size:>8}  {worth:22} {own:22} {info.domain}".rstrip() + "\n")
    return "".join(lines) or "No adapters yet. Train one: annotator train-adapter PROJECT --name NAME\n"
