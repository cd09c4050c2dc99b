"""Options of commands that read or write formats, made from the rows of the formats."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from annotator.domain.errors import ExportError
from annotator.domain.ports.formats import FormatOption, FormatSpec

_PREFIX = "option_"


def add_list_formats(parser: argparse.ArgumentParser, rows: Callable[[], Sequence[FormatSpec]], *, reads: bool) -> None:
    """``--list-formats``: print the formats and end, whatever else is given or missing."""

    class ListFormats(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
            print("\n".join(format_lines(rows(), reads=reads)))
            parser.exit()

    parser.add_argument("--list-formats", action=ListFormats, nargs=0, help="list the formats that there are, and end")


def format_lines(rows: Sequence[FormatSpec], *, reads: bool) -> list[str]:
    """A line for each format, and below it one for each option of an export."""
    width = max((len(spec.id) for spec in rows), default=0) + 2
    lines = []
    for spec in rows:
        what = f"a file {spec.import_name}" if reads else spec.summary
        lines.append(f"{spec.id:{width}}{spec.title}, {what}: {spec.held()}")
        for option in () if reads else spec.options:
            lines.append(f"{'':{width}}{option.flag} {option.values()} (default: {_shown(option.default)})")
    return lines


def add_format_options(parser: argparse.ArgumentParser, rows: Sequence[FormatSpec]) -> None:
    """An option on the command line for each name that options of the formats have."""
    by_flag: dict[str, list[tuple[FormatSpec, FormatOption]]] = {}
    for spec in rows:
        for option in spec.options:
            by_flag.setdefault(option.flag, []).append((spec, option))
    taken = set(parser._option_string_actions)
    for flag, found in by_flag.items():
        if flag in taken:
            continue  # a plug-in's option of a name that the command has itself: it keeps its default
        helps = [
            f"for {spec.title}: {option.help or option.title} ({option.values()}; default: {_shown(option.default)})"
            for spec, option in found
        ]
        first = found[0][1]
        metavar = "|".join(choice.value for choice in first.choices) if len(found) == 1 and first.choices else "VALUE"
        text = "; ".join(helps).replace("%", "%%")
        parser.add_argument(flag, dest=f"{_PREFIX}{first.name}", metavar=metavar, help=text)


def given_options(args: argparse.Namespace, spec: FormatSpec, rows: Sequence[FormatSpec]) -> dict[str, Any]:
    """A value for every option of the format that was chosen.

    Raises:
        ExportError: an option of another format was given, or a value that cannot be.
    """
    given = {
        key.removeprefix(_PREFIX): value
        for key, value in vars(args).items()
        if key.startswith(_PREFIX) and value is not None
    }
    own = {option.name for option in spec.options}
    for name in given:
        if name not in own:
            titles = [row.title for row in rows if any(option.name == name for option in row.options)]
            raise ExportError(f"--{name.replace('_', '-')} is for {' and '.join(titles)} only.", "Leave it out.")
    return spec.checked_options(given)


def choices_text(rows: Sequence[FormatSpec]) -> str:
    """What each choice of the options is good for, to stand below a command's help."""
    lines = []
    for spec in rows:
        for option in spec.options:
            helped = [choice for choice in option.choices if choice.help]
            if helped:
                lines.append(f"{option.flag} ({spec.title}):")
            lines += _columns([(choice.value, choice.help) for choice in helped])
    return "\n".join(lines)


def _columns(pairs: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in pairs), default=0) + 2
    lines = []
    for name, text in pairs:
        first, *rest = textwrap.wrap(text, 110 - width)
        lines += [f"  {name:{width}}{first}", *(f"  {'':{width}}{line}" for line in rest)]
    return lines


def _shown(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
