"""Checks: what is told of objects, classes and images, what is not, and what a repair makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.checks.finding import CHECKS, Finding, Repair
from annotator.domain.checks.objects import CheckedObject, CheckLimits, check_objects
from annotator.domain.checks.project import CheckedImage, check_project, counts_of
from annotator.domain.checks.repair import repair_all, repair_edit
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Category, ImageRecord, Status

WIDTH, HEIGHT = 120, 90
CAT, DOG = Category(1, "cat", "#ff0000"), Category(2, "dog", "#00ff00")


def block(x: int, y: int, w: int, h: int) -> Mask:
    return Mask(np.ones((h, w), np.bool_), x, y, WIDTH, HEIGHT)


def drawn(*blocks: tuple[int, int, int, int], holes: Sequence[tuple[int, int, int, int]] = ()) -> Mask:
    full = np.zeros((HEIGHT, WIDTH), np.bool_)
    for x, y, w, h in blocks:
        full[y : y + h, x : x + w] = True
    for x, y, w, h in holes:
        full[y : y + h, x : x + w] = False
    return Mask.from_full(full)


def made(number: int, mask: Mask, category: int = 1, score: float | None = None) -> CheckedObject:
    return CheckedObject(number, category, mask, mask.rle(), score)


def found(*objects: CheckedObject) -> list[Finding]:
    return list(check_objects(1, objects, {1: "cat", 2: "dog"}, CheckLimits()))


def told(*objects: CheckedObject) -> list[tuple[str, tuple[int, ...]]]:
    return [(one.check, one.object_ids) for one in found(*objects)]


def row(one: CheckedObject) -> Annotation:
    mask = one.mask
    return Annotation(one.id, 1, one.category_id, *mask.bbox_xywh, mask.area, one.rle, mask.width, mask.height)


def test_nothing_is_told_of_sound_objects() -> None:
    assert told(made(1, block(5, 5, 20, 20)), made(2, block(25, 5, 20, 20)), made(3, block(60, 40, 30, 20))) == []


def test_of_two_that_share_pixels_the_worst_is_told_with_their_classes() -> None:
    base = made(1, block(10, 10, 20, 20))
    assert told(base, made(2, block(29, 10, 20, 20))) == []  # a twentieth of it
    assert told(base, made(2, block(26, 10, 20, 20), category=2)) == [("overlap", (2, 1))]  # of two alike the later
    assert told(made(1, block(10, 10, 40, 40)), made(2, block(20, 20, 8, 8))) == [("contained", (1, 2))]
    [same] = found(replace(base, score=0.9), made(2, block(10, 10, 20, 21), score=0.5))
    assert (same.check, same.object_ids, same.text) == ("duplicate", (2, 1), "cat and cat are the same by 95%")
    assert told(base, made(2, block(10, 10, 20, 20)))[0] == ("duplicate", (2, 1))


def test_a_crowd_may_lie_on_others() -> None:
    assert told(made(1, block(10, 10, 20, 20)), replace(made(2, block(10, 10, 20, 20)), is_crowd=True)) == []


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (block(10, 10, 3, 3), ["speck"]),
        (block(10, 10, 60, 2), ["sliver"]),
        (block(10, 10, 60, 3), []),
        (drawn((10, 10, 30, 30), (60, 60, 3, 3)), ["islands"]),
        (drawn((10, 10, 8, 8), (90, 70, 8, 8)), ["apart"]),
        (drawn((10, 10, 20, 20), (32, 10, 20, 20)), []),
        (drawn((10, 10, 30, 30), holes=[(20, 20, 2, 2)]), ["holes"]),
        (drawn((10, 10, 30, 30), holes=[(15, 15, 20, 20)]), []),  # a ring is meant
        (block(0, 10, 20, 20), ["border"]),
        (block(100, 10, 20, 20), ["border"]),
    ],
)
def test_shapes_that_nobody_draws_on_purpose(mask: Mask, expected: list[str]) -> None:
    assert [check for check, _ in told(made(7, mask))] == expected


def test_a_mark_stays_as_long_as_the_objects_do() -> None:
    first, second = made(1, block(10, 10, 20, 20)), made(2, block(26, 10, 20, 20))
    [before] = found(first, second)
    [again] = found(second, first)
    [changed] = found(first, made(2, block(25, 10, 20, 20)))
    assert before.mark == again.mark != changed.mark


def images(*entries: CheckedImage) -> dict[str, int]:
    return dict(counts_of(check_project(entries, [CAT, DOG])))


def test_images_that_say_something_else_than_their_objects() -> None:
    one = made(1, block(10, 10, 20, 20))
    done = ImageRecord(1, "a.png", status=Status.DONE)
    assert images(CheckedImage(done, [])) == {"done-without": 1}
    assert images(CheckedImage(done, [], is_marked=False)) == {}
    assert images(CheckedImage(done, [one])) == {}
    assert images(CheckedImage(replace(done, status=Status.EMPTY), [one])) == {"empty-with": 1}
    assert images(CheckedImage(done, [], unusable=[(3, "is damaged")])) == {"unusable": 1}


def test_class_names_that_differ_by_case_or_spaces() -> None:
    names = [Category(n, name, "#000000") for n, name in enumerate(("Cat", "cat ", "dog", "big dog", "bigdog"), 1)]
    texts = [one.text for one in check_project([], names)]
    assert texts == ["“Cat” and “cat ”", "“big dog” and “bigdog”"]


def test_what_is_unusual_for_its_class() -> None:
    usual = [made(n, block(10, 10, 20, 18 + n % 4), score=0.9 - 0.01 * (n % 3)) for n in range(1, 40)]
    odd = [made(50, block(10, 10, 100, 70), score=0.9), made(51, block(10, 10, 20, 20), score=0.3)]
    other = [made(60, block(10, 10, 100, 70), category=2, score=0.1)]  # alone of its class
    entries = [CheckedImage(ImageRecord(n, ""), [one]) for n, one in enumerate([*usual, *odd, *other])]
    findings = [one for one in check_project(entries, [CAT, DOG]) if one.check in ("size", "score")]
    assert [(one.check, one.object_ids) for one in findings] == [("size", (50,)), ("score", (51,))]
    assert "times larger than most of cat" in findings[0].text


def test_repairs_mend_what_was_told_and_nothing_else() -> None:
    cases = [
        [made(1, block(10, 10, 20, 20)), made(2, block(10, 10, 20, 20))],
        [made(1, block(10, 10, 20, 20)), made(2, block(26, 10, 20, 20))],
        [made(1, block(10, 10, 40, 40)), made(2, block(20, 20, 8, 8))],
        [made(1, block(10, 10, 3, 3))],
        [made(1, drawn((10, 10, 30, 30), (60, 60, 3, 3)))],
        [made(1, drawn((10, 10, 30, 30), holes=[(20, 20, 2, 2)]))],
    ]
    for objects in cases:
        [finding] = found(*objects)
        rows = {one.id: replace(row(one), score=0.9) for one in objects}
        edit = repair_edit(finding, rows)
        assert edit is not None
        assert len(edit.changes) == 1
        for change in edit.changes:
            rows.pop(change.row.id)
            if isinstance(change.after, Annotation):
                assert change.after.score is None, "that was of other pixels"
                rows[change.row.id] = change.after
        after = [made(one.id, one.mask()) for one in rows.values()]
        assert finding.check not in [check for check, _ in told(*after)]


def test_many_findings_are_repaired_one_after_the_other() -> None:
    """Of three that are the same one stays, and what is taken out of an object twice is out of it."""
    same = [made(n, block(10, 10, 20, 20)) for n in (1, 2, 3)]
    large = [made(4, block(50, 40, 60, 20)), made(5, block(40, 40, 20, 15)), made(6, block(100, 40, 20, 15))]
    objects = [*same, *large]
    for check, left in (("duplicate", {1: 400, 4: 1200}), ("overlap", {1: 400, 2: 400, 3: 400, 4: 1200 - 300})):
        findings = [one for one in found(*objects) if one.check == check]
        rows = {one.id: row(one) for one in objects}
        edit = repair_all(findings, rows)
        assert edit is not None
        for change in edit.changes:
            rows.pop(change.row.id)
            if isinstance(change.after, Annotation):
                rows[change.row.id] = change.after
        assert {id_: rows[id_].area for id_ in rows if id_ < 5} == left
    assert repair_all(findings, {}) is None


def test_there_is_no_repair_for_what_is_gone_or_would_be_gone() -> None:
    inner, outer = made(1, block(10, 10, 20, 20)), made(2, block(10, 10, 20, 20))
    [same] = found(inner, outer)
    assert repair_edit(same, {1: row(inner)}) is None
    [border] = found(made(1, block(0, 10, 20, 20)))
    assert repair_edit(border, {1: row(made(1, block(0, 10, 20, 20)))}) is None
    overlap = Finding("overlap", 1, (1, 2), 1.0, "", "")
    assert repair_edit(overlap, {1: row(inner), 2: row(outer)}) is None
    assert {repair for spec in CHECKS for repair in (spec.repair, spec.other)} == set(Repair)


def test_two_that_overlap_can_be_merged_instead() -> None:
    large, small = made(1, block(10, 10, 20, 20)), made(2, block(20, 20, 15, 15))
    [overlap] = [one for one in found(large, small) if one.check == "overlap"]
    edit = repair_edit(overlap, {1: row(large), 2: row(small)}, repair=overlap.spec.other)
    assert edit is not None
    kept, gone = edit.changes
    assert kept.row.id == 1
    assert isinstance(kept.after, Annotation)
    assert kept.after.mask().same_pixels(large.mask.union(small.mask))
    assert (gone.row.id, gone.after) == (2, None)


blocks = st.builds(block, st.integers(0, 60), st.integers(0, 40), st.integers(1, 60), st.integers(1, 50))


@given(st.lists(blocks, max_size=6))
def test_every_pair_is_told_once_and_only_when_it_shares_enough(masks: list[Mask]) -> None:
    objects = [made(n, mask) for n, mask in enumerate(masks, 1)]
    pairs = {frozenset(one.object_ids): one for one in found(*objects) if len(one.object_ids) == 2}
    for a in objects:
        for b in objects:
            if a.id < b.id:
                share = a.mask.intersection_area(b.mask) / min(a.mask.area, b.mask.area)
                assert (frozenset((a.id, b.id)) in pairs) is (share >= 0.1)
