"""Lines that count by reason are sentences, for one, a few and many."""

from __future__ import annotations

import pytest

from annotator.domain.tally import Tally


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (1, "1.png is not in its place"),
        (2, "each of 2 images (1.png, 2.png) is not in its place"),
        (3, "each of 3 images (1.png, 2.png, 3.png) is not in its place"),
        (4, "each of 4 images, such as 1.png, 2.png, 3.png, is not in its place"),
    ],
)
def test_what_is_said_of_each(count: int, line: str) -> None:
    tally = Tally()
    for number in range(1, count + 1):
        tally.add(f"{number}.png", "is not in its place", noun="image")
    assert tally.lines() == (line,)


def test_what_stands_for_itself_and_what_is_lost() -> None:
    tally = Tally()
    for number in (1, 2):
        key = tally.add(f"annotation {number}:", "image_id 9 is not in the file's images", kind="image id")
        tally.add_lost(key)
    assert tally.lines() == (
        "image_id 9 is not in the file's images: 2 objects, such as annotation 1, annotation 2: 2 objects skipped",
    )


def test_several_have_a_text_of_their_own_where_numbers_differ() -> None:
    tally = Tally()
    for name, side in (("a.png", 5), ("b.png", 6)):
        tally.add(name, f"is {side} pixels wide", noun="image", kind="size", many="has another width")
    assert tally.lines() == ("each of 2 images (a.png, b.png) has another width",)
