"""Colour evidence: right where colours decide, silent where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from annotator.engine.sam2 import dense_prompt
from annotator.engine.sam2.colour_evidence import (
    CHROMA_BINS,
    LIMIT_LOGIT,
    LUMA_BINS,
    colour_bins,
    colour_evidence,
    log_ratio,
    mean_of_nine,
)
from annotator.engine.sam2.dense_prompt import draw_prompts


def scene(side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy green ring on noisy brown ground, and where the ring is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] + 0.5
    radius = np.hypot(x - 32, y - 32)
    ring = (radius < 20) & (radius > 9)
    picture = np.where(ring[..., None], (0.2, 0.6, 0.2), (0.5, 0.35, 0.2)) + rng.normal(0, 0.04, (side, side, 3))
    return torch.from_numpy(picture.clip(0, 1)).permute(2, 0, 1)[None].float(), torch.from_numpy(ring)


def iou(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_box_is_enough_when_colours_differ() -> None:
    thumbnail, ring = scene()
    points = torch.tensor([[[12.0, 12.0], [52.0, 52.0]]]) * 4
    drawn = draw_prompts("stamps-2", points, torch.tensor([[2, 3]]), thumbnail)
    assert drawn.shape == (1, 1, 64, 64)
    assert iou(drawn[0, 0] > 0, ring) > 0.8
    hole = drawn[0, 0, 28:36, 28:36]  # no box tells of it, colour does
    assert hole.median() < drawn[0, 0][ring].median() - 1


def test_a_click_finds_its_colour_and_a_negative_click_takes_back() -> None:
    thumbnail, ring = scene()
    points = torch.tensor([[[32.0, 18.0], [32.0, 32.0]]]) * 4
    drawn = draw_prompts("stamps-2", points, torch.tensor([[1, 0]]), thumbnail)[0, 0]
    assert drawn[ring].median() > drawn[~ring].median() + 2
    assert drawn[18, 32] > 4
    assert drawn[32, 32] < -4


def test_previous_logits_stay_the_backbone_of_the_answer() -> None:
    thumbnail, ring = scene()
    previous = torch.where(ring, 10.0, -10.0)[None, None]
    drawn = draw_prompts("stamps-2", torch.zeros(1, 1, 2), -torch.ones(1, 1, dtype=torch.int), thumbnail, previous)
    assert torch.equal(drawn > 0, previous > 0)


def test_first_clicks_alone_are_drawn_as_beside_other_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter way for a grid of clicks: to the bit what the long one draws, which a padding point asks for."""
    thumbnail, _ = scene()
    points = torch.rand(5, 1, 2, generator=torch.Generator().manual_seed(1)) * 256
    labels = torch.ones(5, 1, dtype=torch.int)
    boxes: list[int] = []
    priors = dense_prompt._box_prior
    monkeypatch.setattr(dense_prompt, "_box_prior", lambda *args: boxes.append(1) or priors(*args))
    short = draw_prompts("stamps-2", points, labels, thumbnail)
    assert not boxes
    padded = torch.cat([points, torch.zeros(5, 1, 2)], 1), torch.cat([labels, -labels], 1)
    assert torch.equal(short, draw_prompts("stamps-2", *padded, thumbnail))
    assert boxes


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="stamps-9"):
        draw_prompts("stamps-9", torch.zeros(1, 1, 2), torch.zeros(1, 1), torch.zeros(1, 3, 4, 4))


def test_one_colour_everywhere_says_nothing() -> None:
    flat = torch.full((1, 3, 16, 16), 0.4)
    prior = torch.zeros(1, 1, 16, 16)
    prior[..., 4:12, 4:12] = 0.9
    evidence = colour_evidence(flat, prior, torch.ones_like(prior))
    assert float(evidence.abs().max()) < 0.01


def test_nothing_inside_gives_no_evidence_and_no_nan() -> None:
    thumbnail, _ = scene()
    bins = colour_bins(thumbnail)
    assert int(bins.min()) >= 0
    assert int(bins.max()) < LUMA_BINS * CHROMA_BINS**2
    zero, one = torch.zeros(1, bins.shape[1]), torch.ones(1, bins.shape[1])
    assert torch.equal(log_ratio(bins, zero, one), zero)
    assert float(log_ratio(bins, one, one).abs().max()) == 0.0


def test_a_batch_is_its_samples() -> None:
    thumbnail, ring = scene()
    other = 1 - thumbnail.flip(3)
    prior = torch.stack([0.1 + 0.7 * ring.float(), 0.5 * ring.float().roll(5, 0)])[:, None]
    allowed = torch.ones_like(prior)
    both = colour_evidence(torch.cat([thumbnail, other]), prior, allowed)
    for index, one in enumerate((thumbnail, other)):
        alone = colour_evidence(one, prior[index : index + 1], allowed[index : index + 1])
        torch.testing.assert_close(both[index : index + 1], alone)
    assert float(both.abs().max()) <= LIMIT_LOGIT


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (2, 3, 20, 17), (1, 1, 1, 9)])
def test_means_of_nine_are_those_of_a_pooling_that_counts_no_padding(shape: tuple[int, ...]) -> None:
    grid = torch.rand(shape)
    before = grid.clone()
    expected = torch.nn.functional.avg_pool2d(grid, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(mean_of_nine(grid), expected, atol=1e-6)
    assert torch.equal(grid, before)


def test_bins_follow_the_pictures_own_contrast() -> None:
    """The same picture at a third of its contrast falls into the same bins."""
    picture = torch.rand(1, 3, 24, 24)
    faint = 0.4 + picture / 3
    assert float((colour_bins(picture) == colour_bins(faint)).float().mean()) > 0.99
    bins = colour_bins(picture)
    assert 0 <= int(bins.min()) <= int(bins.max()) < LUMA_BINS * CHROMA_BINS**2
    assert len(bins.unique()) > 100
