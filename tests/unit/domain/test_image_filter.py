"""Which images a filter shows, and which comes next among them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.image_filter import ImageFilter, NameSearch, neighbour
from annotator.domain.project import ImageRecord, Status

IMAGES = [
    ImageRecord(1, "b/Alpha.png", status=Status.DONE),
    ImageRecord(2, "b/beta.png"),
    ImageRecord(3, "STRASSE/gamma.png", status=Status.DONE),
]


def shown(wanted: ImageFilter, drafts=()) -> list[int]:
    return [image.id for image in IMAGES if wanted.matcher(drafts)(image)]


def test_by_name_status_and_draft() -> None:
    assert shown(ImageFilter()) == [1, 2, 3]
    assert shown(ImageFilter(part="ALPHA")) == [1]
    assert shown(ImageFilter(part="straße")) == [3]
    assert shown(ImageFilter(status=Status.DONE)) == [1, 3]
    assert shown(ImageFilter(has_draft=True), {2: 1, 3: 4}) == [2, 3]
    assert shown(ImageFilter("b/", Status.DONE, has_draft=True), {1}) == [1]
    assert not ImageFilter().is_set
    assert ImageFilter(has_draft=True).is_set


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_the_neighbour_is_the_nth_that_is_shown(flags: list[bool], data: st.DataObject) -> None:
    images = [ImageRecord(n, f"{n}.png") for n in range(len(flags))]
    place = data.draw(st.integers(0, len(flags) - 1))
    step = data.draw(st.integers(1, 4)) * data.draw(st.sampled_from((1, -1)))
    left = [image for image in images if flags[image.id]]
    side = [i for i in left if i.id > place] if step > 0 else [i for i in reversed(left) if i.id < place]
    expected = side[abs(step) - 1] if abs(step) <= len(side) else None
    assert neighbour(images, place, step, lambda image: flags[image.id]) == expected
    nearest = side[: abs(step)]
    stopped = neighbour(images, place, step, lambda image: flags[image.id], stops=True)
    assert stopped == (nearest[-1] if nearest else None)


@given(st.lists(st.text("aAßẞs/.1İ", min_size=1, max_size=5), max_size=6), st.text("aAßsİ1.", min_size=1, max_size=2))
def test_a_search_finds_what_the_filter_shows(paths: list[str], part: str) -> None:
    images = [ImageRecord(number, path, frame=number % 2) for number, path in enumerate(paths, start=1)]
    shows, search = ImageFilter(part=part).matcher(()), NameSearch(images)
    wanted = [place for place, image in enumerate(images) if shows(image)]
    assert search.places(part) == wanted
    assert search.places(part, range(0, len(images), 2)) == [place for place in wanted if place % 2 == 0]
