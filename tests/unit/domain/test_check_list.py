"""Findings as a list: sorted, and whether they hold after changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotator.domain.checks.finding import Finding
from annotator.domain.checks.listing import CheckList, class_marks, status_holds, still_holds
from annotator.domain.checks.objects import CheckedObject
from annotator.domain.checks.project import CheckedImage, check_project
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Category, ImageRecord, Status


def row(object_id: int, *, side: int = 12, score: float | None = 0.9) -> Annotation:
    mask = Mask(np.ones((side, side), np.bool_), 4, 4, 400, 400)
    return replace(Annotation(object_id, 1, 1, 0, 0, 0, 0, 0, b"", 400, 400).with_mask(mask), score=score)


def found(rows: list[Annotation], status: Status = Status.IN_PROGRESS) -> list[Finding]:
    objects = [CheckedObject(one.id, one.category_id, one.mask(), one.rle, one.score) for one in rows]
    image = ImageRecord(1, "a.png", width=400, height=400, status=status)
    return list(check_project([CheckedImage(image, objects)], [Category(1, "cat", "#ff0000")]))


@pytest.mark.parametrize("check", ["duplicate", "size", "score"])
def test_a_finding_holds_until_its_objects_are_others(check: str) -> None:
    rows = [row(at) for at in range(1, 31)]
    if check == "size":
        rows.append(row(31, side=300))
    elif check == "score":
        rows.append(row(31, score=0.1))
    finding = next(one for one in found(rows) if one.check == check)
    own = [one for wanted in finding.object_ids for one in rows if one.id == wanted]
    assert still_holds(finding, own)
    assert still_holds(finding, [replace(one, note="seen") for one in own])
    assert not still_holds(finding, own[1:])
    other = replace(own[0], score=0.8) if check == "score" else replace(row(own[0].id, side=20), score=own[0].score)
    assert not still_holds(finding, [other, *own[1:]])


def test_groups_go_from_the_worst_and_what_is_waived_does_not_count() -> None:
    findings = [Finding("border", 1, (at,), float(at), "", f"m{at}") for at in (1, 3, 2)]
    empty = Finding("done-without", 2, (), 0.0, "no object", "d")
    listed = CheckList.of([*findings, empty], {1: "a.png", 2: "b.png"}, {"m3": "meant"})
    assert [group.spec.id for group in listed.groups] == ["border", "done-without"]
    assert [one.value for one in listed.groups[0].findings] == [3, 2, 1]
    assert listed.lines()[0] == "3 findings, 0 of them errors"
    assert list(listed.by_image) == [2]
    assert listed.by_object[3] == [findings[1]]


def test_a_status_is_looked_at_again() -> None:
    (done,) = found([], Status.DONE)
    image = ImageRecord(1, "a.png", status=Status.DONE)
    assert status_holds(done, image, 0)
    assert not status_holds(done, image, 1)
    assert not status_holds(done, replace(image, status=Status.IN_PROGRESS), 0)
    empty = next(one for one in found([row(1)], Status.EMPTY) if one.check == "empty-with")
    assert status_holds(empty, replace(image, status=Status.EMPTY), 1)
    assert not status_holds(empty, replace(image, status=Status.EMPTY), 0)


def test_names_of_classes_are_looked_at_again() -> None:
    alike = [Category(1, "cat", "#ff0000"), Category(2, "Cat", "#00ff00")]
    (finding,) = check_project([], alike)
    assert finding.mark in class_marks(alike)
    assert not class_marks([alike[0], replace(alike[1], name="dog")])
