"""Class colours: never the same twice, as far apart as there is room, also for colour-vision deficiencies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.class_marks import FIRST_WITHOUT_KEY, numbers_of, shape_of
from annotator.domain.palette import OKABE_ITO, SIGHTS, as_colour, colours_after, distances, next_colour, oklab, rgb_of
from annotator.domain.project import Category

MANY = 200
HUNDREDS = list(itertools.islice(colours_after(()), MANY))


def gaps(colours: list[str], sight: str) -> np.ndarray:
    """OKLab distances as one sight has them, N x N, without those of a colour to itself."""
    lab = oklab(rgb_of(colours), sight)
    return np.linalg.norm(lab[:, None] - lab[None], axis=2) + 9 * np.eye(len(colours))


def test_oklab_against_published_values() -> None:
    # Björn Ottosson's own: white, red, green, blue of sRGB.
    wanted = [[1, 0, 0], [0.628, 0.225, 0.126], [0.866, -0.234, 0.179], [0.452, -0.032, -0.312]]
    found = oklab(rgb_of(["#ffffff", "#ff0000", "#00ff00", "#0000ff"]))
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_okabe_and_ito_come_first() -> None:
    assert tuple(HUNDREDS[:7]) == OKABE_ITO


@pytest.mark.parametrize(
    ("count", "sight", "least", "least_of_neighbours"),
    [
        # What is told apart at a glance is 0.02; the twelve colours that followed Okabe and Ito's before came down to
        # 0.007 for protanopia.
        *((20, sight, 0.09 if sight == "normal" else 0.045, 0.09) for sight in SIGHTS),
        *((50, sight, 0.06 if sight == "normal" else 0.03, 0.07) for sight in SIGHTS),
        *((MANY, sight, 0.03 if sight == "normal" else 0.015, 0.04) for sight in SIGHTS),
    ],
)
def test_colours_are_apart(count: int, sight: str, least: float, least_of_neighbours: float) -> None:
    apart = gaps(HUNDREDS[:count], sight)
    assert apart.min() >= least
    assert np.diag(apart, 1).min() >= least_of_neighbours


def test_a_colour_at_a_time_gives_the_same() -> None:
    for count in (0, 1, 7, 8, 19, 60, MANY - 1):
        assert next_colour(HUNDREDS[:count]) == HUNDREDS[count]


def test_they_do_not_end() -> None:
    far = list(itertools.islice(colours_after(()), 1000))
    assert len(set(far)) == 1000


def test_they_are_seen_on_dark_and_are_no_greys() -> None:
    lab = oklab(rgb_of(HUNDREDS))
    assert lab[:, 0].min() >= 0.5
    assert np.hypot(lab[:, 1], lab[:, 2]).min() >= 0.039


@settings(max_examples=25, deadline=None)
@given(st.lists(st.from_regex("#[0-9a-fA-F]{6}", fullmatch=True), max_size=30))
def test_a_new_colour_is_none_of_those_a_file_brought(used: list[str]) -> None:
    colour = next_colour(used)
    assert as_colour(colour) == colour
    if used:
        assert distances([colour, *used])[0, 1:].min() > 0.03


def test_a_file_that_has_nearly_the_first_orange_gets_another() -> None:
    assert next_colour(["#e69f01"]) == OKABE_ITO[1]
    assert next_colour(["no colour at all"]) == OKABE_ITO[0]


def test_what_files_call_a_colour() -> None:
    assert as_colour("#A0b1C2") == "#a0b1c2"
    assert as_colour([220, 20, 60]) == "#dc143c"
    for other in ("red", "#fff", [1, 2], [1, 2, 256], [1.0, 2, 3], [True, 2, 3], None, {}):
        assert as_colour(other) is None


def test_numbers_and_shapes_of_classes() -> None:
    rows = [Category(4, "a", "#000000", key=3), Category(5, "b", "#000000"), Category(9, "c", "#000000", key=1)]
    rows += [Category(10, "d", "#000000")]
    assert numbers_of(rows) == {4: 3, 5: FIRST_WITHOUT_KEY, 9: 1, 10: FIRST_WITHOUT_KEY + 1}
    shapes = [shape_of(number) for number in range(1, 12)]
    assert all(a is not b for a, b in itertools.pairwise(shapes))
    assert len(set(shapes)) == 5
