"""The architecture page names what there is: rooms as in the package, and no path that does not exist."""

from __future__ import annotations

import re

import pytest

from tests.architecture_picture import PACKAGE, PICTURE, ROOT, drawn, folders, imports, reduced

PAGES = (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md")
_PATH = re.compile(r"`((?:annotator|checkpoints|docs|resources|tests)/[\w./-]*)(?:::(\w+))?`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_on_the_page_exists(page) -> None:
    named = _PATH.findall(page.read_text("utf-8"))
    assert len(named) > 20
    assert not [path for path, _ in named if not (ROOT / path).exists()]
    missing = [
        f"{path}::{test}" for path, test in named if test and f"def {test}(" not in (ROOT / path).read_text("utf-8")
    ]
    assert not missing


def test_the_page_has_every_room() -> None:
    text = PAGES[0].read_text("utf-8")
    assert sorted(re.findall(r"^\| `annotator/(\w+)/` \|", text, re.MULTILINE)) == folders(PACKAGE)
    assert {*re.findall(r"`annotator/ui/(\w+)/`", text)} == {*folders(PACKAGE / "ui")}


def test_the_picture_shows_the_rooms_and_their_imports() -> None:
    svg = PICTURE.read_text("utf-8")
    assert re.findall(r'<g id="(\w+)">', svg) == folders(PACKAGE)
    assert svg == drawn(), "run: python -m tests.architecture_picture"


def test_an_arrow_is_an_import_and_what_follows_from_others_is_left_out() -> None:
    graph = imports()
    assert "domain" in graph["files"]
    assert not graph["domain"], "the lowest room imports none"
    less = reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    assert less == {"a": {"b"}, "b": {"c"}, "c": set()}
