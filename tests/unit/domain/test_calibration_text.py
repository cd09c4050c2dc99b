"""A model's calibration goes through its file, and what is none is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.calibration_text import calibration_text, read_calibration
from annotator.domain.answering.hypotheses import USUAL, Calibration, RatingWeights

numbers = st.floats(-100, 100, allow_nan=False)
weights = st.builds(RatingWeights, **{field.name: numbers for field in fields(RatingWeights)})


@given(weights, weights)
def test_it_comes_back_as_it_was(ratings: RatingWeights, expectation: RatingWeights) -> None:
    calibration = Calibration(ratings, expectation)
    assert read_calibration(calibration_text(calibration)) == calibration


def test_a_file_that_says_nothing_has_the_usual_one() -> None:
    assert read_calibration("") == USUAL


@pytest.mark.parametrize(
    "ratings",
    [[], {}, {**asdict(RatingWeights()), "more": 1.0}]
    + [{**asdict(RatingWeights()), "cut": value} for value in ("0.1", None, True, float("nan"), 1e9)],
    ids=repr,
)
def test_what_is_no_calibration_is_refused(ratings: object) -> None:
    said = {"ratings": ratings, "expectation": asdict(USUAL.expectation)}
    for text in (json.dumps(said), json.dumps({"ratings": said["expectation"]}), "[1", "7"):
        with pytest.raises(ValueError, match=r"\w"):
            read_calibration(text)
    assert read_calibration(json.dumps({**said, "ratings": asdict(replace(RatingWeights(), cut=1))})).ratings.cut == 1.0
