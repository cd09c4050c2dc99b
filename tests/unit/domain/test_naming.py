"""Which class an object probably has: a vote of those that look alike, and silence where it says nothing."""

from __future__ import annotations

import numpy as np

from annotator.domain.likeness.describe import describe
from annotator.domain.mask import Mask
from annotator.domain.naming import NamedLook, guesses, votes


def scene() -> tuple[np.ndarray, list[Mask]]:
    """Eight red squares on the left, eight green bars on the right."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (160, 240, 3), dtype=np.uint8)
    masks = []
    for at in range(16):
        full = np.zeros((160, 240), np.bool_)
        x, y = (20 + 40 * (at % 2), 8 + 36 * (at // 2)) if at < 8 else (130 + 50 * (at % 2), 8 + 36 * (at // 2 - 4))
        full[y : y + (16 if at < 8 else 6), x : x + (16 if at < 8 else 36)] = True
        image[full] = (200, 40, 40) if at < 8 else (40, 200, 40)
        masks.append(Mask.from_full(full))
    image += rng.integers(0, 20, image.shape, dtype=np.uint8)
    return image, masks


def test_each_object_gets_the_class_of_those_that_look_like_it() -> None:
    image, masks = scene()
    named = [NamedLook(describe(image, mask), 1 if at < 8 else 2) for at, mask in enumerate(masks)]
    names = {1: "square", 2: "bar"}
    for at, one in enumerate(named):
        others = named[:at] + named[at + 1 :]
        best = guesses(one.vector, others, names)[0]
        assert best.text == names[one.category_id]
        assert 0.5 <= best.score <= 1
        assert (best.source, best.model) == ("like", "look-1")


def test_too_little_to_go_by_says_nothing() -> None:
    image, masks = scene()
    looks = [describe(image, mask) for mask in masks]
    assert votes(looks[0], []) == ()
    assert votes(looks[0], [NamedLook(look, 1) for look in looks[1:8]]) == (), "all have the same class"
    assert votes(looks[0], [NamedLook(looks[1], 1), NamedLook(looks[9], 2)]) == ()
    named = [NamedLook(look, 1 + at % 2) for at, look in enumerate(looks[1:8])]
    assert guesses(looks[0], named, {}) == (), "classes that are gone are not named"


def test_shares_are_of_the_whole_vote() -> None:
    image, masks = scene()
    named = [NamedLook(describe(image, mask), 1 if at < 8 else 2) for at, mask in enumerate(masks)]
    found = votes(named[0].vector, named[1:])
    assert abs(sum(share for _, share in found) - 1) < 1e-9
    assert [share for _, share in found] == sorted((share for _, share in found), reverse=True)
