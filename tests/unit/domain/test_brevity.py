"""Names that files bring along are short and harmless in every sentence that quotes them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import annotator
from annotator.domain.brevity import MOST_MESSAGE, MOST_NAME, MOST_PATH, brief, brief_message
from annotator.domain.errors import ImageError, UserError
from annotator.domain.tally import Tally
from annotator.io.images.reading import load_image
from annotator.io.project.place import check_folder
from annotator.ui.look.plain import menu_text, title_text

_SAYING = ("tell", "warn", "offer")
_NAMES = re.compile(r"^(?:.*\.)?_?(name|path|label|file|folder|file_name|target|source|project|root|clip|volume)$")
_OWN = {"spec.name", "self.flag", "entry.page"}
"""Written in the program itself."""


@given(st.text(max_size=400), st.sampled_from(["", "/", "\u202e", "\x1b[31m", "\n"]))
def test_a_name_is_short_and_of_signs_that_can_be_seen(text, more):
    shown = brief(text + more)
    assert len(shown) <= (MOST_PATH if "/" in text + more else MOST_NAME)
    assert not set(shown) & {"\n", "\r", "\0", "\x1b", "\u202e", "\u2066", "\u2028"}
    shown.encode("utf-8")  # also names that are no text


def test_an_ordinary_name_is_as_it_is():
    for name in ("IMG_0001.jpg", "Zelle 3, größer.png", "画像\u3000一.tif", "👩‍🔬.png", "a & <b>.png"):
        assert brief(name) == name


def test_a_long_name_keeps_both_ends():
    shown = brief(f"scan-{'x' * 5000}-0042.dcm")
    assert len(shown) == MOST_NAME
    assert shown.startswith("scan-")
    assert shown.endswith("-0042.dcm")
    path = Path("/data") / "deep" / ("y" * 5000) / "a.png"
    assert len(brief(path)) == MOST_PATH
    assert brief(path).endswith("/a.png")


def test_what_cannot_be_seen_is_written_out():
    assert brief("a\u202egnp.exe") == "a\\u202egnp.exe"
    assert brief("a\x1b]0;b\x07") == "a\\x1b]0;b\\x07"
    assert brief("caf\udce9.png") == "caf\\udce9.png"


def test_a_sentence_ends_somewhere():
    error = UserError(f"Something about {'x ' * 50_000} is wrong.", "Look at it. " * 1000)
    assert len(error.message) == len(error.advice) == MOST_MESSAGE
    assert error.message.startswith("Something about x")
    assert error.message.endswith("is wrong.")
    assert brief_message("short\nand on two lines") == "short\nand on two lines"


@pytest.mark.parametrize("name", ["n" * 5000, f"{'n' * 3000}.png", "a\x1b[31m\u202e.png"])
def test_messages_of_files_that_are_not_there(tmp_path, name):
    for attempt in (lambda: load_image(tmp_path / name), lambda: check_folder(tmp_path / name)):
        with pytest.raises(UserError) as caught:
            attempt()
        assert len(str(caught.value)) < 500
        assert "\x1b" not in str(caught.value)


def test_reports_and_menus_cut_names(tmp_path):
    tally = Tally()
    for at in range(3):
        tally.add(f"image {at} {'z' * 9000}:", "has no pixels", noun="image")
    assert all(len(line) < 1000 for line in tally.lines())
    assert len(menu_text("m" * 100_000)) == len(title_text("t" * 100_000)) == MOST_NAME
    assert "\n" not in menu_text("a\nb")


def _errors(trees: dict[Path, ast.Module]) -> set[str]:
    """The names of all errors of the user's world."""
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = [(node.name, {ast.unparse(base) for base in node.bases}) for node in classes if node.bases]
    found = {"UserError"}
    while True:
        more = {name for name, above in bases if above & found}
        if more <= found:
            return found
        found |= more


def test_every_sentence_that_quotes_a_name_shortens_it():
    """In the errors of the user's world, and in what the window says without asking."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in Path(annotator.__file__).parent.rglob("*.py")}
    errors, bare, count = _errors(trees), [], 0
    assert ImageError.__name__ in errors
    for path, tree in trees.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", "") or getattr(call.func, "id", "")
            if name not in errors and not (name in _SAYING and "notices" in ast.unparse(call.func)):
                continue
            for value in (part for node in ast.walk(call) if isinstance(node, ast.JoinedStr) for part in node.values):
                if not isinstance(value, ast.FormattedValue):
                    continue
                text = ast.unparse(value.value)
                count += text.startswith("brief(")
                if _NAMES.match(text) and text not in _OWN:
                    bare.append(f"{path.name}:{call.lineno}: {text}")
    assert sorted(bare) == []
    assert count > 300
