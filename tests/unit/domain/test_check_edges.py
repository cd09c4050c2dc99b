"""Outlines against the image: on an edge, beside it, and where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from annotator.domain.checks.edges import edge_support
from annotator.domain.checks.finding import Finding
from annotator.domain.checks.objects import CheckedObject
from annotator.domain.checks.project import CheckedImage, check_project
from annotator.domain.mask import Mask
from annotator.domain.project import Category, ImageRecord

WIDTH, HEIGHT = 200, 160
CLASSES = (Category(1, "cell", "#ff0000"),)


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return Mask.from_full(np.hypot(columns - x, rows - y) < radius)


def picture(masks: list[Mask], *, noise: float = 6.0) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH), 60.0)
    for mask in masks:
        image[mask.full()] = 150
    image = cv2.GaussianBlur(image, (0, 0), 1.2) + np.random.default_rng(0).normal(0, noise, image.shape)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_an_outline_on_an_edge_has_more_contrast_than_its_surroundings() -> None:
    image = picture([disc(60, 60, 22)])
    on_it, off_by_one = edge_support(image, disc(60, 60, 22)), edge_support(image, disc(61, 60, 22))
    beside, too_large = edge_support(image, disc(75, 66, 22)), edge_support(image, disc(60, 60, 27))
    assert on_it is not None
    assert off_by_one is not None
    assert beside is not None
    assert too_large is not None
    assert on_it > 2
    assert off_by_one > 1.8
    assert beside < on_it / 1.6
    assert too_large < 0.6  # the edge lies five pixels inside


def test_nothing_is_said_where_there_is_nothing_to_see_or_hardly_an_outline() -> None:
    plain = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    assert edge_support(plain, disc(60, 60, 22)) is None
    assert edge_support(picture([disc(60, 60, 2)]), disc(60, 60, 2)) is None


def test_the_border_of_the_image_is_no_edge_of_an_object() -> None:
    mask = Mask(np.ones((HEIGHT, 60), np.bool_), 0, 0, WIDTH, HEIGHT)
    image = picture([mask])
    found = edge_support(image, mask)
    assert found is not None
    assert found > 2
    whole = Mask(np.ones((HEIGHT, WIDTH), np.bool_), 0, 0, WIDTH, HEIGHT)
    assert edge_support(image, whole) is None


@pytest.mark.parametrize("count", [5, 30])
def test_what_lies_off_the_edges_of_its_class_is_told(count: int) -> None:
    """In classes large and small; and where images are not read, nothing is."""
    places = [(30 + 50 * (n % 3), 30 + 50 * (n // 3 % 3)) for n in range(count)]

    def images(reads: bool) -> Iterator[CheckedImage]:
        for n, (x, y) in enumerate(places, start=1):
            shown = disc(x, y, 14)
            mask = disc(x, y, 20) if n == 3 else shown  # the third is drawn far too large
            item = CheckedObject(n, 1, mask, mask.rle())
            pixels = (lambda shown=shown: picture([shown])) if reads else None
            yield CheckedImage(ImageRecord(n, f"{n}.png", width=WIDTH, height=HEIGHT), [item], pixels=pixels)

    def found(reads: bool) -> list[Finding]:
        return [one for one in check_project(images(reads), CLASSES) if one.check == "edges"]

    [one] = found(True)
    assert (one.object_ids, one.image_id) == ((3,), 3)
    assert "times the contrast beside it" in one.text
    assert found(False) == []


def test_an_image_that_cannot_be_read_or_has_another_size_says_nothing() -> None:
    mask = disc(50, 50, 20)
    item = CheckedObject(1, 1, mask, mask.rle())
    record = ImageRecord(1, "a.png", width=WIDTH, height=HEIGHT)
    for pixels in (lambda: None, lambda: picture([disc(90, 50, 20)])[:100]):
        assert not [
            f for f in check_project([CheckedImage(record, [item], pixels=pixels)], CLASSES) if f.check == "edges"
        ]
