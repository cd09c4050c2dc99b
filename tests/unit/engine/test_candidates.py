"""From logits to candidates: which logits a mask is cut from, and which are kept."""

from __future__ import annotations

import numpy as np
import torch

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.prompt import PointPrompt
from annotator.engine.sam2.candidates import FED_BACK_LIMIT, by_area, cut_candidates


def raw() -> torch.Tensor:
    """Two masks of 16 x 16 cells: a square with an island, and one cell with large logits."""
    masks = torch.full((2, 16, 16), -4.0)
    masks[0, 4:12, 4:12] = 4.0
    masks[0, 1, 14] = 4.0
    masks[1, 8, 8] = 50.0
    return masks


def test_islands_stay_unless_tidying_is_asked_for() -> None:
    iou = torch.tensor([0.5, 0.9])
    plain = cut_candidates(raw(), iou, width=64, height=64, uncertainty=None)
    tidy = cut_candidates(raw(), iou, width=64, height=64, uncertainty=None, tidied_for=())
    assert plain[0].mask.contains(58, 6)
    assert not tidy[0].mask.contains(58, 6)
    assert tidy[0].mask.contains(32, 32)
    clicked = cut_candidates(raw(), iou, width=64, height=64, uncertainty=None, tidied_for=[PointPrompt(58, 6)])
    assert clicked[0].mask.contains(58, 6)


def test_what_is_fed_back_is_the_models_own_and_clamped() -> None:
    iou = torch.tensor([0.5, 0.9])
    for tidied_for in (None, ()):
        found = cut_candidates(raw(), iou, width=64, height=48, uncertainty=None, tidied_for=tidied_for)
        for item, logits in zip(found, raw().numpy(), strict=True):
            assert np.array_equal(item.logits, logits.clip(-FED_BACK_LIMIT, FED_BACK_LIMIT))
            assert not item.logits.flags.writeable
    expected = mask_from_logits(raw()[1].numpy(), width=64, height=48)  # not of the clamped ones
    assert np.array_equal(found[1].mask.full(), expected.full())


def test_the_best_is_the_one_of_the_highest_predicted_iou_wherever_its_area_puts_it() -> None:
    found = cut_candidates(raw(), torch.tensor([0.5, 0.9]), width=64, height=64, uncertainty=None)
    answer = by_area(found, object_score=1.0, decode_ms=2.0)
    assert answer.best == 0
    assert answer.chosen.predicted_iou == np.float32(0.9)
    assert answer.items[0].mask.area < answer.items[1].mask.area
