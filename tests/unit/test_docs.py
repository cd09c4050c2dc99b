"""The documentation says what the program does: keys, commands, links, pictures.

After a change of the keymap: ``python -m tests.unit.test_docs`` writes the tables of ``docs/keyboard.md`` anew.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from annotator.cli import COMMANDS
from annotator.ui.shell.action_rows import ACTIONS, MENUS
from annotator.ui.shell.keymap import DEFAULT_PRESET, RESERVED, differences
from annotator.ui.shell.sheets import CROSS_HAIR, MOUSE

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
KEYBOARD = ROOT / "docs" / "keyboard.md"
USER_DOCS = (
    README,
    *(ROOT / "docs" / f"{n}.md" for n in ["quickstart", "keyboard", "formats", "engines", "troubleshooting"]),
)
BEGIN, END = "<!-- keys: written by tests/unit/test_docs.py -->\n", "<!-- end of keys -->\n"
PAGES = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "checkpoints").glob("*.md"))
DECISIONS = ROOT / "docs" / "adr"
PICTURE_BYTES = 400_000

pytestmark = pytest.mark.skipif(not README.is_file(), reason="not in a checkout")


# --- keys -------------------------------------------------------------------------------------------------------------


def keys_by_preset() -> dict[str, dict[str, tuple[str, ...]]]:
    """The default preset, and what the others have in another place."""
    return {DEFAULT_PRESET: {row.id: row.keys for row in ACTIONS if row.keys}, **differences()}


def key_tables() -> str:
    """Every row that has a key, in the order and words of the menus."""
    keymap = keys_by_preset()
    names = list(keymap)
    parts = []
    for menu in MENUS:
        rows = [row for row in ACTIONS if row.menu == menu and any(row.id in own for own in keymap.values())]
        if not rows:
            continue
        head = ("", *(f"`{name}`" for name in names), "what it does")
        body = [(row.name, *(shown(keymap[name].get(row.id, ())) for name in names), row.tip) for row in rows]
        parts.append(f"## {menu}\n\n{markdown_table(head, body)}")
    by_use: dict[str, list[str]] = {}
    for key, use in RESERVED.items():
        by_use.setdefault(use, []).append(key)
    reserved = [(use.capitalize(), shown(keys)) for use, keys in by_use.items()]
    parts.append("## In every preset\n\n" + markdown_table(("", "key"), reserved))
    for title, head, rows in (("Mouse", "gesture", MOUSE), ("Cross-hair", "key", CROSS_HAIR)):
        body = [(what, ", ".join(gestures)) for gestures, what in rows]
        parts.append(f"## {title}\n\n" + markdown_table(("", head), body))
    return "\n".join(parts)


def shown(keys: Iterable[str]) -> str:
    """Empty: as in the first preset, or no key at all."""
    return " ".join(f"`{key}`" for key in keys)


def markdown_table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written() -> tuple[str, str, str]:
    """What stands before, between and behind the marks."""
    before, _, rest = KEYBOARD.read_text("utf-8").partition(BEGIN)
    tables, mark, after = rest.partition(END)
    assert mark, f"{KEYBOARD.name} has lost its marks"
    return before, tables, after


def test_the_keys_in_the_documentation_are_those_of_the_keymap() -> None:
    assert written()[1] == key_tables(), "run: python -m tests.unit.test_docs"


def test_every_key_of_every_preset_is_in_the_documentation() -> None:
    tables = written()[1]
    every = [keys for own in keys_by_preset().values() for keys in own.values()]
    missing = [key for keys in every for key in keys if f"`{key}`" not in tables]
    assert not missing


# --- commands ---------------------------------------------------------------------------------------------------------


def commands_in(path: Path) -> Iterator[str]:
    """Lines of indented code blocks, and code inside of sentences, that begin with the program's name."""
    text = path.read_text("utf-8")
    for line in re.findall(r"^    (?:\.venv/bin/)?annotator (.*)$", text, re.MULTILINE):
        yield re.sub(r"\s{2,}.*$", "", line)  # what stands behind two blanks explains the command
    yield from re.findall(r"`(?:\.venv/bin/)?annotator ([^`]*)`", text)


def parse(line: str) -> None:
    """Let the command's own parser read a line; brackets and bars of a synopsis are its first choice."""
    line = re.sub(r"\[([^\]|]*)(?:\|[^\]]*)?\]", r"\1", line)
    line = line.replace("X1,Y1,X2,Y2", "1,2,3,4").replace("X,Y", "1,2").replace("...", "")
    words = shlex.split(line)
    name = words.pop(0) if words and words[0] in COMMANDS else "open"
    parser = argparse.ArgumentParser(prog=f"annotator {name}", exit_on_error=True)
    importlib.import_module(f"annotator.commands.{COMMANDS[name][0]}").add_arguments(parser)
    parser.parse_args(words)


@pytest.mark.parametrize("path", USER_DOCS, ids=lambda path: path.name)
def test_every_command_in_the_documentation_is_one(path: Path) -> None:
    for line in commands_in(path):
        try:
            parse(line)
        except SystemExit as ended:
            if ended.code:  # 0 is what --list-formats ends with
                pytest.fail(f"{path.name}: annotator {line}")


def test_commands_are_found_and_wrong_ones_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.md").write_text(
        "Run `annotator export P --out F`:\n\n    annotator demo --outt DIR      explained\n"
    )
    good, bad = sorted(commands_in(tmp_path / "a.md"), reverse=True)
    parse(good)
    with pytest.raises(SystemExit):
        parse(bad)
    assert "--outt" in capsys.readouterr().err


def test_the_installation_says_what_it_takes_before_it_is_silent() -> None:
    before = README.read_text("utf-8").partition("python3 -m venv")[0].partition("## Try it")[2]
    assert re.search(r"\d GB, which\s+take \d GB of disk", before)
    assert "minutes" in before
    assert re.search(r"nothing is\s+printed", before)


def test_the_readme_names_every_command() -> None:
    text = README.read_text("utf-8")
    missing = [name for name in COMMANDS if name != "open" and f"annotator {name} " not in text]
    assert not missing


# --- links and pictures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text("utf-8")):
        file = path.parent / target if target else path
        assert file.exists(), f"{path.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{path.name}: #{anchor}"


def test_every_page_stands_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#:]*\.md)\)", index)}
    pages = {*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "studies").glob("*.md")}
    missing = pages - listed - {ROOT / "docs" / "index.md"}
    assert not missing


# --- decisions --------------------------------------------------------------------------------------------------------


def test_every_decision_has_a_number_of_its_own_and_a_line_in_the_list() -> None:
    pages = sorted(path.name for path in DECISIONS.glob("*.md") if path.name != "README.md")
    assert [name[:4] for name in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    listed = re.findall(r"^\| \[(\d{4})\]\((.*)\) \| \S", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == [(name[:4], name) for name in pages]


def test_decisions_that_are_named_exist() -> None:
    for path in (*PAGES, *(ROOT / "annotator").rglob("*.py")):
        for named in re.findall(r"adr/(\d{4}-[\w-]+\.md)", path.read_text("utf-8")):
            assert (DECISIONS / named).is_file(), f"{path.name}: {named}"


def test_the_picture_is_a_light_one_of_the_window() -> None:
    path = ROOT / "docs" / "images" / "window.png"
    with Image.open(path) as picture:
        assert picture.width >= 1000
        assert picture.height >= 600
    assert path.stat().st_size < PICTURE_BYTES


if __name__ == "__main__":
    head, _, tail = written()
    KEYBOARD.write_text(head + BEGIN + key_tables() + END + tail, "utf-8")
