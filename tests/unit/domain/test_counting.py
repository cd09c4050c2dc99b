"""One object, two objects: every count of the program by one function."""

from __future__ import annotations

import re
from pathlib import Path

import annotator
from annotator.domain.counting import counted, noun_for


def test_counts_in_words() -> None:
    assert [counted(n, "object") for n in (0, 1, 2)] == ["0 objects", "1 object", "2 objects"]
    assert counted(1, "class", "classes") == "1 class"
    assert counted(3, "class", "classes") == "3 classes"
    assert noun_for(1, "image") == "image"


def test_nothing_that_people_read_counts_by_itself() -> None:
    """A number before a plural, in texts of the window and of files that go out and come in."""
    root = Path(annotator.__file__).parent
    texts = [path for room in ("ui", "io") for path in sorted((root / room).rglob("*.py"))]
    wrong = re.compile(
        r"\}(?: new)? (?:objects|images|classes|prompts|clicks|files)\b|(?:object|image|file|class)\(s\)"
    )
    # Only ever said of several, or the sentence for one beside it is another.
    allowed = {"images there", "classes have", "== 1 else"}
    found = [
        f"{path.name}: {line.strip()}"
        for path in texts
        for line in path.read_text("utf-8").splitlines()
        if wrong.search(line) and not any(words in line for words in allowed)
    ]
    assert found == []
