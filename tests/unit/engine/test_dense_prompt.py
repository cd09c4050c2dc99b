"""Stamped prompts against a loop written from their description, and what training and the engine rely on."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from annotator.engine.sam2.dense_prompt import (
    BOX_INSIDE,
    BOX_OUTSIDE,
    BUMP_LOGIT,
    BUMP_SIGMA_CELLS,
    CELL_PX,
    COLOUR_SIGMA,
    DECAY_CELLS,
    LIMIT,
    stamp_prompts,
)

SIDE = 12
Point = tuple[float, float, int]


def thumbnail(seed: int = 0) -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def stamp(points: list[Point], image: Tensor, previous: Tensor | None = None) -> Tensor:
    flat = torch.tensor([points], dtype=torch.float32)
    return stamp_prompts(flat[..., :2], flat[..., 2].int(), image, previous)


def by_loop(points: list[Point], image: Tensor, previous: Tensor | None) -> npt.NDArray[np.float64]:
    """The same map, cell by cell."""
    rgb = image[0].double().numpy()
    corners = {label: (x, y) for x, y, label in points if label in (2, 3)}
    out = np.zeros((SIDE, SIDE))
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = (column + 0.5) * CELL_PX, (row + 0.5) * CELL_PX
            bumps, best = 0.0, {0: 0.0, 1: 0.0}
            for px, py, label in points:
                if label not in (0, 1):
                    continue
                cells = math.hypot(x - px, y - py) / CELL_PX
                bumps += (1 if label else -1) * BUMP_LOGIT * math.exp(-(cells**2) / (2 * BUMP_SIGMA_CELLS**2))
                r, c = int(py / CELL_PX), int(px / CELL_PX)
                colour = rgb[:, max(0, r - 1) : r + 2, max(0, c - 1) : c + 2].mean((1, 2))
                distance2 = float(((rgb[:, row, column] - colour) ** 2).sum())
                alike = math.exp(-distance2 / (2 * COLOUR_SIGMA**2)) * math.exp(-cells / DECAY_CELLS)
                best[label] = max(best[label], alike)
            likeness = best[1] - best[0]
            if previous is not None:
                value = float(previous[0, 0, row, column]) + bumps + likeness
            else:
                base = -1.5
                if len(corners) == 2:
                    (x0, y0), (x1, y1) = corners[2], corners[3]
                    base = BOX_INSIDE if x0 <= x <= x1 and y0 <= y <= y1 else BOX_OUTSIDE
                value = base + bumps + 3 * likeness
            out[row, column] = min(LIMIT, max(-LIMIT, value))
    return out


CASES: list[list[Point]] = [
    [(10.0, 30.0, 1)],
    [(0.0, 0.0, 1), (47.9, 47.9, 0)],  # on the image's corners: the neighbourhood is cut
    [(8.0, 8.0, 2), (40.0, 24.0, 3)],
    [(8.0, 8.0, 2), (40.0, 24.0, 3), (20.0, 12.0, 1), (38.0, 10.0, 0)],
    [(20.0, 12.0, 1), (21.0, 12.0, 1), (24.0, 12.0, 0)],
]


@pytest.mark.parametrize("points", CASES)
@pytest.mark.parametrize("has_previous", [False, True])
def test_it_equals_the_loop(points: list[Point], has_previous: bool) -> None:
    previous = torch.linspace(-40, 40, SIDE * SIDE).reshape(1, 1, SIDE, SIDE) if has_previous else None
    stamped = stamp(points, thumbnail(), previous)
    assert stamped.shape == (1, 1, SIDE, SIDE)
    assert stamped.dtype == torch.float32
    np.testing.assert_allclose(stamped[0, 0].numpy(), by_loop(points, thumbnail(), previous), atol=2e-4)


def test_padding_changes_nothing() -> None:
    plain = stamp([(10.0, 30.0, 1)], thumbnail())
    torch.testing.assert_close(stamp([(10.0, 30.0, 1), (0.0, 0.0, -1), (30.0, 30.0, -1)], thumbnail()), plain)


def test_nothing_but_padding_keeps_the_previous_logits() -> None:
    previous = torch.randn(1, 1, SIDE, SIDE)
    torch.testing.assert_close(stamp([(0.0, 0.0, -1)], thumbnail(), previous), previous)


def test_a_batch_is_its_samples_and_one_thumbnail_serves_all() -> None:
    points = torch.tensor([[[10.0, 30.0], [5.0, 5.0]], [[40.0, 8.0], [20.0, 20.0]]])
    labels = torch.tensor([[1, 0], [1, -1]], dtype=torch.int)
    both = stamp_prompts(points, labels, thumbnail())
    torch.testing.assert_close(stamp_prompts(points, labels, thumbnail().expand(2, -1, -1, -1)), both)
    for i in range(2):
        torch.testing.assert_close(stamp_prompts(points[i : i + 1], labels[i : i + 1], thumbnail()), both[i : i + 1])


def test_a_click_marks_its_own_colour_and_not_the_other() -> None:
    image = torch.zeros(1, 3, SIDE, SIDE)
    image[..., :6] = 0.8
    stamped = stamp([(8.0, 24.0, 1)], image)[0, 0]
    assert stamped[0, 0] > 0 > stamped[0, 7]  # as far away, other colour
    refused = stamp([(8.0, 24.0, 1), (40.0, 24.0, 0)], image)[0, 0]
    assert refused[0, 11] < stamped[0, 11]


def test_it_never_leaves_the_range_the_encoder_knows() -> None:
    many = [(float(i), 20.0, 1) for i in range(20)]
    assert float(stamp(many, thumbnail()).max()) == LIMIT
    assert float(stamp([(x, y, 0) for x, y, _ in many], thumbnail()).min()) == -LIMIT


def test_positions_outside_the_square_are_survived() -> None:
    assert torch.isfinite(stamp([(-500.0, 1e6, 1), (1e6, -3.0, 0)], thumbnail())).all()
