"""What is counted of a project, against counts made the long way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.figures import (
    SIZE_BINS,
    ObjectFigure,
    ProposalFigure,
    project_figures,
    size_edges,
)
from annotator.domain.project import Category, Status

CLASSES = (Category(1, "cat", "#ff0000"), Category(2, "dog", "#00ff00"))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 10_000_000)), max_size=30))
def test_classes_have_their_objects_images_and_sizes(rows: list[tuple[int, int, int]]) -> None:
    found = project_figures((ObjectFigure(*row, "click") for row in rows), (), CLASSES, {Status.DONE: 3})
    assert [one.name for one in found.classes] == ["cat", "dog"]
    assert found.objects == len(rows)
    assert found.images_with_objects == len({image for image, _, _ in rows})
    assert found.images == {**dict.fromkeys(Status, 0), Status.DONE: 3}
    for category, own in zip(CLASSES, found.classes, strict=True):
        areas = [area for _, category_id, area in rows if category_id == category.id]
        assert own.objects == len(areas) == sum(own.sizes)
        assert own.images == len({image for image, category_id, _ in rows if category_id == category.id})
        if areas:
            assert own.area_px == pytest.approx(np.percentile(areas, (0, 25, 50, 75, 100)))
            at = next(at for at, count in enumerate(own.sizes) if count)
            assert size_edges()[at] <= min(areas) <= size_edges()[at + 1]
        else:
            assert own.area_px == (0, 0, 0, 0, 0)
    assert len(size_edges()) == SIZE_BINS + 1


def test_precision_is_of_what_a_person_has_judged() -> None:
    objects = [
        *(ObjectFigure(1, 1, 50, "everything", "everything", 0.95) for _ in range(5)),
        ObjectFigure(1, 1, 50, "refine", "everything", 0.72),  # taken, and corrected since
        ObjectFigure(1, 1, 50, "click"),
        ObjectFigure(2, 1, 50, "like", "like", None),
    ]
    proposals = [
        *(ProposalFigure("everything", 0.95, False, True) for _ in range(5)),  # those that were taken
        ProposalFigure("everything", 0.72, False, True),  # a corrected one's own
        ProposalFigure("everything", 0.75, True, False),
        ProposalFigure("everything", 0.98, True, False),
        *(ProposalFigure("everything", 0.4, False, False) for _ in range(7)),
    ]
    everything, like = project_figures(objects, proposals, CLASSES, {}).proposals
    assert (everything.source, everything.accepted, everything.corrected) == ("everything", 6, 1)
    assert (everything.rejected, everything.waiting, everything.covered) == (2, 7, 1)
    assert everything.precision == pytest.approx(6 / 8)
    assert everything.bands[9] == (5, 1)
    assert everything.bands[7] == (1, 1)
    assert sum(map(sum, everything.bands)) == 8
    assert (like.accepted, like.precision) == (1, 1.0)


def test_a_few_judgements_say_little() -> None:
    def interval(taken: int, dropped: int) -> tuple[float, float]:
        objects = [ObjectFigure(1, 1, 5, "everything", "everything", 0.9)] * taken
        [own] = project_figures(
            objects, [ProposalFigure("everything", 0.9, True, False)] * dropped, CLASSES, {}
        ).proposals
        low, high = own.interval
        assert own.precision is not None
        assert 0 <= low <= own.precision <= high <= 1
        return low, high

    assert interval(1, 0)[0] < 0.3
    assert interval(300, 100) == pytest.approx((0.705, 0.790), abs=0.002)  # Wilson's, computed by hand
    [waiting] = project_figures((), [ProposalFigure("like", 0.9, False, False)], CLASSES, {}).proposals
    assert waiting.precision is None
    assert waiting.interval == (0.0, 1.0)
