"""One object, two objects: every count of the program by one function."""

from __future__ import annotations

import re
from pathlib import Path

import annotator
from annotator.domain.counting import counted, noun_for

ROOMS = ("ui", "io", "domain", "commands", "server", "jobs", "engine")
PLURALS = (
    *("objects", "images", "classes", "prompts", "clicks", "files", "findings", "proposals", "tracks", "frames"),
    *("slices", "jobs", "pieces", "masks", "models", "adapters", "attributes", "rows", "boxes", "points", "phrases"),
)


def test_counts_in_words() -> None:
    assert [counted(n, "object") for n in (0, 1, 2)] == ["0 objects", "1 object", "2 objects"]
    assert counted(1, "class", "classes") == "1 class"
    assert counted(3, "class", "classes") == "3 classes"
    assert noun_for(1, "image") == "image"


def test_nothing_that_people_read_counts_by_itself() -> None:
    """A number before a plural, in texts of the window, the commands, the checks and files."""
    root = Path(annotator.__file__).parent
    texts = [path for room in ROOMS for path in sorted((root / room).rglob("*.py"))]
    wrong = re.compile(rf"\}}(?: new| open)? (?:{'|'.join(PLURALS)})\b|(?:object|image|file|class)\(s\)")
    # Only ever said of several, or the sentence for one beside it is another.
    several = ("images there", "classes have", "== 1 else", "jobs of yours", "jobs are running", "MOST_", "MAX_")
    several += ("more than {", "65,535", "images of each", "images/s")
    found = [
        f"{path.name}: {line.strip()}"
        for path in texts
        for line in path.read_text("utf-8").splitlines()
        if wrong.search(line) and not any(words in line for words in several)
    ]
    assert found == []
