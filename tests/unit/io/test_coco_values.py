"""Values out of a COCO file: taken as they are, or refused by what is wrong with them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from annotator.io.formats.coco.parse import clean_text, plain_json, text_id, whole_number

DEEP: list[Any] = []
for _ in range(20):
    DEEP = [DEEP]


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "ü", [1, ["a"]], {"a": {"b": [None]}}])
def test_plain_data_stays_as_it_is(value: Any) -> None:
    assert plain_json(value) == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "NaN or infinity"),
        ({"a": [math.inf]}, "NaN or infinity"),
        (["\ud800"], "not Unicode"),
        ({"\ud800": 1}, "not Unicode"),
        (DEEP, "nested too deeply"),
    ],
)
def test_what_no_file_can_hold_is_refused(value: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        plain_json(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (7.0, 7),
        (-1, -1),
        (True, None),
        (1.5, None),
        ("7", None),
        (None, None),
        (10**30, None),
        (math.inf, None),
    ],
)
def test_ids_and_sizes_are_whole_numbers(value: Any, number: int | None) -> None:
    assert whole_number(value) == number


def test_an_id_that_is_text_is_named() -> None:
    assert text_id({"id": "7"}) == "id '7' is text; COCO ids are whole numbers"
    assert text_id({"image_id": "\u202e" * 99}, "image_id").startswith("image_id '\\u202e")
    assert text_id({"id": 7}) == text_id({}) == ""
    assert clean_text("画像") == "画像"
