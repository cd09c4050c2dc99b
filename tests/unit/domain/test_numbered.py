"""Files whose names count up: which belong together, in which order, what is missing, what is clearly a sequence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.numbered import numbered_files


def names(pattern: str, numbers: range) -> list[str]:
    return [pattern.format(number) for number in numbers]


@given(st.sets(st.integers(0, 10_000), min_size=2, max_size=40), st.booleans(), st.randoms())
def test_they_are_ordered_by_number_and_gaps_add_up(numbers: set[int], is_padded: bool, random) -> None:
    paths = [f"a/b/z{number:05d}.png" if is_padded else f"a/b/z{number}.png" for number in numbers]
    random.shuffle(paths)
    (group,) = numbered_files(paths)
    assert list(group.numbers) == sorted(numbers)
    assert sorted(group.paths) == sorted(paths)
    assert [int(path[5:-4]) for path in group.paths] == list(group.numbers)
    assert (group.folder, group.before, group.after, group.name) == ("a/b", "z", ".png", "a/b")
    assert all(0 <= place < len(paths) - 1 for place, _ in group.gaps)


def test_the_last_number_that_differs_counts_and_folders_and_kinds_are_apart() -> None:
    paths = [f"p{patient}/s{scan}_{slice_}_v2.png" for patient in (1, 2) for scan in (3, 4) for slice_ in range(5)]
    groups = numbered_files([*paths, "p1/s3_7_v2.tif", "p1/readme2.png", "p1/other.png"])
    assert [(group.folder, group.before, group.numbers) for group in groups] == [
        (f"p{patient}", f"s{scan}_", (0, 1, 2, 3, 4)) for patient in (1, 2) for scan in (3, 4)
    ]
    assert len({group.identity for group in groups}) == 4
    assert groups[0].identity == numbered_files(paths[1:5])[0].identity, "also with fewer files"


def test_gaps_are_by_the_usual_step() -> None:
    (group,) = numbered_files([*names("f{:03d}.png", range(0, 100, 10)), "f150.png"])
    assert (group.gaps, group.missing) == (((9, 5),), 5)
    assert group.name == "f….png"


@pytest.mark.parametrize(
    ("paths", "beside", "is_clear"),
    [
        (names("scan_{:04d}.png", range(1, 41)), 40, True),
        (names("{}.png", range(40)), 42, True),
        (names("scan_{:04d}.png", range(1, 10)), 9, False),  # few
        (names("scan_{:04d}.png", range(101, 140)), 39, False),  # begins anywhere
        (names("IMG_{:04d}.JPG", range(1, 41)), 40, False),  # a camera
        (names("DSC{:05d}.jpg", range(1, 41)), 40, False),
        (names("scan_{:04d}.png", range(0, 280, 7)), 40, True),  # every seventh frame
        ([*names("{:012d}.jpg", range(20)), "000000000139.jpg"], 21, False),  # most are missing
        (names("scan_{:04d}.png", range(1, 41)), 90, False),  # among others
    ],
)
def test_what_is_clearly_a_sequence(paths: list[str], beside: int, is_clear: bool) -> None:
    assert numbered_files(paths)[0].is_clear(beside) is is_clear


def test_names_without_numbers_are_no_sequence() -> None:
    assert numbered_files(["a.png", "b.png", "c1.png", "x/c2.png", "7", ""]) == []
    (group,) = numbered_files(["1.2.840.1", "1.2.840.3"])
    assert group.numbers == (1, 3)
