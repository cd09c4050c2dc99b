"""Operations on masks: what each does to the pixels, and that all of them are kept and undone like strokes."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotator.domain.brush import Stroke, painted
from annotator.domain.mask import Mask
from annotator.domain.object_edits import merge_objects_edit, split_edit
from annotator.domain.operations import AMOUNTS, Operation, OperationKind, cut, parts, union
from annotator.domain.project import Annotation
from annotator.domain.prompt import PointPrompt, Prompts, PromptSession

WIDTH, HEIGHT = 30, 24
masks = arrays.arrays(np.bool_, (HEIGHT, WIDTH), elements=st.booleans()).map(Mask.from_full)
blobs = st.lists(
    st.tuples(st.integers(0, WIDTH - 6), st.integers(0, HEIGHT - 6), st.integers(1, 9), st.integers(1, 9)), max_size=5
).map(lambda boxes: Mask.from_full(sum((boxed(*box) for box in boxes), np.zeros((HEIGHT, WIDTH), bool))))
WITH_MORE = (OperationKind.SUBTRACT, OperationKind.RESHAPE, OperationKind.OUTLINE)
KINDS = [kind for kind in OperationKind if kind not in WITH_MORE]


def boxed(x: int, y: int, width: int, height: int) -> np.ndarray:
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[y : y + height, x : x + width] = True
    return full


def an_operation(kind: OperationKind, amount: int = 2) -> Operation:
    return Operation(kind, amount if kind in AMOUNTS else 0)


rings = st.lists(st.tuples(st.floats(-3, WIDTH + 3), st.floats(-3, HEIGHT + 3)), min_size=3, max_size=6).map(tuple)
operations = st.one_of(
    st.builds(an_operation, st.sampled_from(KINDS), st.integers(2, 6)),
    st.builds(lambda other: Operation(OperationKind.SUBTRACT, other=other), masks),
    st.builds(lambda one, other: Operation(OperationKind.RESHAPE, rings=(one, other)), rings, rings),
    st.builds(lambda one: Operation(OperationKind.OUTLINE, rings=(one,)), rings),
)


def disc(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (np.hypot(x, y) <= radius).astype(np.uint8)


@given(masks, st.integers(1, 5))
def test_growing_adds_what_is_within_so_many_pixels(mask: Mask, amount: int) -> None:
    after = Operation(OperationKind.GROW, amount).applied(mask)
    assert (after.full() == cv2.dilate(mask.full().astype(np.uint8), disc(amount)).astype(bool)).all()


@given(masks, st.integers(1, 5))
def test_shrinking_takes_what_is_within_so_many_pixels_but_not_from_the_rim_of_the_image(mask, amount: int) -> None:
    after = Operation(OperationKind.SHRINK, amount).applied(mask)
    assert (after.full() == cv2.erode(mask.full().astype(np.uint8), disc(amount)).astype(bool)).all()


@given(st.one_of(masks, blobs))
def test_filling_leaves_no_background_that_cannot_reach_the_rim(mask: Mask) -> None:
    after = Operation(OperationKind.FILL_HOLES).applied(mask).full()
    assert (after | ~mask.full()).all()
    padded = np.pad(~after, 1, constant_values=True).astype(np.uint8)
    assert cv2.connectedComponents(padded, connectivity=4)[0] == 2
    assert (after == after).all()


@given(st.one_of(masks, blobs), st.integers(2, 12))
def test_parts_are_kept_or_dropped_as_a_whole(mask: Mask, least: int) -> None:
    whole = parts(mask)
    assert sum(part.area for part in whole) == mask.area
    assert [part.area for part in whole] == sorted((part.area for part in whole), reverse=True)
    largest = Operation(OperationKind.KEEP_LARGEST).applied(mask)
    assert largest.is_empty if not whole else largest.same_pixels(whole[0])
    left = Operation(OperationKind.DROP_ISLANDS, least).applied(mask)
    assert left.same_pixels(union(tuple(p for p in whole if p.area >= least), width=WIDTH, height=HEIGHT))


def test_smoothing_takes_a_spike_and_fills_a_notch_and_keeps_a_straight_edge() -> None:
    full = np.zeros((80, 100), bool)
    full[20:60, 0:70] = True
    plain = Mask.from_full(full)
    full = full.copy()
    full[40, 70:85] = True
    full[30:32, 60:70] = False
    after = Operation(OperationKind.SMOOTH, 3).applied(Mask.from_full(full))
    assert not after.contains(80, 40)
    assert after.contains(65, 31)
    kept = Operation(OperationKind.SMOOTH, 3).applied(plain)
    assert kept.full()[25:55, 0:67].all(), "also at the rim of the image"
    assert abs(kept.area - plain.area) < 40


@given(st.one_of(masks, blobs))
def test_inverting_twice_in_the_same_box_gives_the_mask_back(mask: Mask) -> None:
    x, y, w, h = mask.bbox_xywh
    after = Operation(OperationKind.INVERT).applied(mask).full()
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[y : y + h, x : x + w] = ~mask.full()[y : y + h, x : x + w]
    assert (after == expected).all()


@given(masks, operations)
def test_an_operation_is_kept_as_json(mask: Mask, operation: Operation) -> None:
    again = Operation.from_json(json.loads(json.dumps(operation.to_json())))
    assert again.applied(mask).same_pixels(operation.applied(mask))
    assert (again.kind, again.amount, again.after) == (operation.kind, operation.amount, operation.after)


@pytest.mark.parametrize(
    "data",
    [{"operation": "melt"}, {"operation": "grow"}, {"operation": "grow", "amount": 9999}, {"operation": "subtract"}],
)
def test_damaged_operations_are_refused(data) -> None:
    with pytest.raises((ValueError, TypeError)):
        Operation.from_json(data)


corrections = st.one_of(
    operations,
    st.builds(
        lambda place, sign: Stroke((place,), 4.0, sign),
        st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)),
        st.booleans(),
    ),
    st.builds(
        lambda ring, sign: Stroke.area(ring, is_positive=sign),
        st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), min_size=3, max_size=5),
        st.booleans(),
    ),
)


@given(masks, st.lists(corrections, max_size=6))
def test_any_sequence_in_one_go_is_what_it_is_step_by_step(mask: Mask, steps: list) -> None:
    one_by_one = mask
    for step in steps:
        one_by_one = painted(one_by_one, (step,))
    assert painted(mask, tuple(steps)).same_pixels(one_by_one)


@given(masks, st.lists(st.one_of(corrections, st.just("undo"), st.just("redo")), max_size=12))
def test_undo_and_redo_restore_equal_pixels(mask: Mask, moves: list) -> None:
    session, seen = PromptSession.refining(mask), {}
    for move in moves:
        if move == "undo":
            session = session.undo()
        elif move == "redo":
            session = session.redo()
        else:
            session = session.paint(move)
            for later in [cursor for cursor in seen if cursor >= session.cursor]:
                del seen[later]
        pixels = painted(mask, session.prompts.strokes)
        assert seen.setdefault(session.cursor, pixels).same_pixels(pixels)
    kept = Prompts.from_json(json.loads(json.dumps(session.prompts.to_json())))
    assert painted(mask, kept.strokes).same_pixels(painted(mask, session.prompts.strokes))


def test_a_click_takes_strokes_away_and_leaves_operations() -> None:
    session = PromptSession.refining(Mask.from_full(boxed(2, 2, 20, 18)))
    session = session.paint(Stroke(((10.0, 10.0),), 3.0, False)).paint(Operation(OperationKind.GROW, 2))
    session = session.add_point(PointPrompt(10, 10))
    assert [type(step) for step in session.prompts.strokes] == [Operation]
    assert session.remove_last().prompts.points == ()


# --- cutting, merging, splitting ------------------------------------------------------------------------------------


@given(blobs, st.lists(st.tuples(st.floats(-5, WIDTH + 5), st.floats(-5, HEIGHT + 5)), min_size=2, max_size=5))
def test_a_cut_loses_no_pixel(mask: Mask, line) -> None:
    found = cut(mask, tuple(line))
    assert sum(part.area for part in found) == mask.area
    if not mask.is_empty:
        assert union(found, width=WIDTH, height=HEIGHT).same_pixels(mask)


def test_a_cut_parts_what_the_line_crosses_and_nothing_else() -> None:
    mask = Mask.from_full(boxed(2, 2, 20, 10) | boxed(2, 16, 4, 4))
    left, right = sorted(cut(mask, ((12.0, 0.0), (12.0, 14.0))), key=lambda part: part.x)
    assert left.bbox_xywh[2] + right.bbox_xywh[2] == 20
    assert max(left.area, right.area) == left.area, "the island stays with the larger side"
    assert left.contains(3, 17)
    assert len(cut(mask, ((12.0, 0.0), (12.0, 8.0)))) == 1, "a line that ends inside parts nothing"
    assert len(cut(mask, ((25.0, 0.0), (25.0, 20.0)))) == 1


def a_row(annotation_id: int, full: np.ndarray) -> tuple[Annotation, Mask]:
    mask = Mask.from_full(full)
    blank = Annotation(annotation_id, 1, annotation_id, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT, score=0.9)
    return blank.with_mask(mask), mask


def test_merging_keeps_the_largest_with_the_pixels_of_all() -> None:
    rows = [a_row(1, boxed(0, 0, 3, 3)), a_row(2, boxed(10, 10, 8, 8)), a_row(3, boxed(16, 16, 4, 4))]
    edit = merge_objects_edit(rows)
    assert [(c.before.id, c.after and c.after.id) for c in edit.changes] == [(2, 2), (3, None), (1, None)]
    whole = edit.changes[0].after
    assert whole.mask().same_pixels(union(tuple(mask for _, mask in rows), width=WIDTH, height=HEIGHT))
    assert (whole.category_id, whole.score) == (2, None)


def test_splitting_keeps_the_id_with_the_first_part_and_the_class_with_all() -> None:
    row, mask = a_row(7, boxed(0, 0, 3, 3) | boxed(10, 10, 8, 8))
    edit = split_edit([(row, parts(mask), [8])])
    first, second = (change.after for change in edit.changes)
    assert (first.id, first.area, second.id, second.area) == (7, 64, 8, 9)
    assert first.category_id == second.category_id == 7
    assert edit.inverted().changes[0].after is None
