"""Words that a person types: cleaned, split, bounded."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.errors import PromptError
from annotator.domain.phrase import MOST_LETTERS, MOST_PHRASES, clean_phrase, split_phrases


def test_what_is_wanted_and_what_is_not() -> None:
    found = split_phrases("nucleus, not debris;  red  cell\nNucleus, without a shadow")
    assert found.wanted == ("nucleus", "red cell")
    assert found.unwanted == ("debris", "shadow")
    assert found.text == "nucleus, red cell, not debris, not shadow"
    assert split_phrases(found.text) == found


def test_a_not_inside_of_a_phrase_is_told_to_mean_nothing() -> None:
    (note,) = split_phrases("man without helmet").notes
    assert "“without”" in note


@pytest.mark.parametrize("text", ["", " , ;\n", "\x00\u202e\u200b", "not debris"])
def test_no_words_are_refused(text: str) -> None:
    with pytest.raises(PromptError, match="no words"):
        split_phrases(text)


def test_long_words_and_many_phrases_are_bounded_and_said() -> None:
    found = split_phrases(",".join(f"p{at}" for at in range(40)) + "," + "x" * 500)
    assert len(found.all) == MOST_PHRASES
    assert len(found.notes) == 2


@given(st.text())
def test_a_phrase_is_one_line_of_visible_characters(text: str) -> None:
    found = clean_phrase(text)
    assert len(found) <= MOST_LETTERS
    assert found == clean_phrase(found) or len(found) == MOST_LETTERS
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn") for letter in found)
    assert "  " not in found
