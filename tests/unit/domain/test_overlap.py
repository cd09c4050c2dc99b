"""Objects that do not overlap: the new one yields or takes, to the pixel, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotator.domain.errors import UserError
from annotator.domain.mask import Mask
from annotator.domain.overlap import Overlap, without_overlap
from annotator.domain.project import Annotation, ImageRecord, accept_edit

WIDTH, HEIGHT = 16, 12
IMAGE = ImageRecord(1, "a.png", width=WIDTH, height=HEIGHT)
pixels = arrays.arrays(np.bool_, (HEIGHT, WIDTH), elements=st.booleans()).filter(np.any)


def row(annotation_id: int, full: np.ndarray) -> Annotation:
    blank = Annotation(annotation_id, 1, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
    return blank.with_mask(Mask.from_full(full))


@given(
    pixels, st.lists(pixels, max_size=4), st.sampled_from([Overlap.YIELDS, Overlap.TAKES]), st.sets(st.integers(1, 4))
)
def test_the_new_object_shares_no_pixel_and_all_pixels_stay(new, others, rule, locked) -> None:
    rows = {at: row(at, full) for at, full in enumerate(others, start=1)}
    edit = accept_edit(row(9, new), IMAGE)
    try:
        edit = without_overlap(edit, [(r, r.mask()) for r in rows.values()], rule, locked=frozenset(locked))
    except UserError:
        covered = [full for at, full in enumerate(others, start=1) if rule is Overlap.YIELDS or at in locked]
        assert np.logical_or.reduce(covered)[new].all()
        return
    for change in edit.changes:
        if isinstance(change.row, Annotation):
            rows[change.row.id] = change.after
    left = {at: r.mask().full() for at, r in rows.items() if r is not None}
    for at, full in enumerate(others, start=1):
        if at in locked or rule is Overlap.YIELDS:
            assert (left[at] == full).all()
        assert at not in left or not (left[at] & left[9]).any()
    assert (np.logical_or.reduce(list(left.values())) == np.logical_or.reduce([new, *others])).all()


def test_where_overlap_is_allowed_nothing_is_changed() -> None:
    full = np.ones((HEIGHT, WIDTH), bool)
    edit = accept_edit(row(9, full), IMAGE)
    assert without_overlap(edit, [(row(1, full), Mask.from_full(full))], Overlap.ALLOWED) is edit
    with pytest.raises(UserError, match="Nothing would be left"):
        without_overlap(edit, [(row(1, full), Mask.from_full(full))], Overlap.YIELDS)
    assert Overlap.of("sideways") is Overlap.ALLOWED
