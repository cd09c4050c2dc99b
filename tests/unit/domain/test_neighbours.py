"""Objects that look alike, objects that look unlike their class, and images that are near copies."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from annotator.domain.likeness.near_copies import SAME_BITS, image_hash, near_copies
from annotator.domain.likeness.neighbours import LEAST_OF_CLASS, Neighbours


def made(count: int = 40, *, flipped: tuple[int, ...] = ()) -> Neighbours:
    """Two kinds in turn, an image each three; ``flipped`` have the other class."""
    rng = np.random.default_rng(0)
    kind = np.arange(count) % 2
    units = rng.normal(0, 0.1, (count, 8)).astype(np.float32)
    units[:, 0] += np.where(kind == 0, 1, -1)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    categories = np.where(np.isin(np.arange(count), flipped), 1 - kind, kind) + 1
    return Neighbours(np.arange(count) + 100, np.arange(count) // 3, categories.astype(np.int64), units)


def test_the_most_alike_come_first_and_the_object_itself_is_not_among_them() -> None:
    found = made().like(100, 12)
    assert len(found) == 12
    assert all(one.category_id == 1 and one.annotation_id != 100 for one in found)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert len(made(3).like(100, 60)) == 2
    assert made(1).like(100, 5) == []
    with pytest.raises(KeyError):
        made().like(7, 3)


def test_wrong_classes_come_first_with_the_one_that_is_likely() -> None:
    told: list[tuple[int, int]] = []
    found = made(flipped=(4, 9)).suspects(lambda done, total: told.append((done, total)))
    assert {one.annotation_id for one in found} == {104, 109}
    assert [(one.category_id, one.likely_id) for one in found if one.annotation_id == 104] == [(2, 1)]
    assert all(one.share < 0.2 for one in found)
    assert told[-1] == (40, 40)
    assert made().suspects() == []


def test_classes_of_few_objects_and_projects_of_one_image_say_nothing() -> None:
    few = made(2 * LEAST_OF_CLASS - 2, flipped=(0,))
    assert [one for one in few.suspects() if one.category_id == 2] == []
    one_image = Neighbours(
        np.arange(20), np.zeros(20, np.int64), np.arange(20) % 2, np.ones((20, 4), np.float32) / np.float32(2)
    )
    assert one_image.suspects() == []
    nothing = np.zeros(0, np.int64)
    assert Neighbours(nothing, nothing, nothing, np.zeros((0, 4), np.float32)).suspects() == []


def scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (9, 12, 3)).astype(np.uint8)
    return cv2.resize(small, (240, 180), interpolation=cv2.INTER_CUBIC)


def test_a_picture_saved_again_smaller_or_brighter_is_the_same_and_another_is_not() -> None:
    image = scene(1)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])
    again = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    brighter = np.clip(image.astype(np.int16) + 25, 0, 255).astype(np.uint8)
    hashes = {1: image, 2: again, 3: image[::2, ::2], 4: brighter, 5: scene(2), 6: np.full((9, 9, 3), 80, np.uint8)}
    pairs = near_copies({at: image_hash(picture) for at, picture in hashes.items()})
    assert {(one.first, one.second) for one in pairs if one.is_same} == {
        (a, b) for a in range(1, 4) for b in range(a + 1, 5)
    }
    assert all(one.bits <= SAME_BITS for one in pairs)
    assert [one.bits for one in pairs] == sorted(one.bits for one in pairs)
    assert near_copies({}) == []
