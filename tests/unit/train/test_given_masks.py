"""Masks that are wrong in the ways of masks that people begin from, and the training rounds that begin with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.domain.mask import Mask
from annotator.engine.sam2.mask_prompt import mask_to_logits
from annotator.train.steps import given_masks
from annotator.train.steps.given_masks import LEAST_IOU, as_logits, given_mask
from tests.unit.train.scenes import write_set
from tests.unit.train.test_base import SETTINGS, trainer_of, windows_of

MASK = np.zeros((80, 80), np.bool_)
MASK[20:60, 24:56] = True
NEIGHBOUR = np.zeros((80, 80), np.bool_)
NEIGHBOUR[20:60, 60:70] = True


def test_a_given_mask_is_wrong_but_about_the_object() -> None:
    rng = np.random.default_rng(0)
    found = [given_mask(MASK, [NEIGHBOUR], rng) for _ in range(200)]
    ious = np.array([np.count_nonzero(m & MASK) / np.count_nonzero(m | MASK) for m in found])
    assert ious.min() >= LEAST_IOU
    assert np.count_nonzero(ious < 1) > 150
    assert ious.std() > 0.08
    assert sum(bool((m & NEIGHBOUR).sum() == NEIGHBOUR.sum()) for m in found) > 10
    areas = np.array([np.count_nonzero(m) for m in found])
    assert (areas < 0.9 * MASK.sum()).any()
    assert (areas > 1.1 * MASK.sum()).any()


@pytest.mark.parametrize("kind", given_masks._KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_every_kind_changes_something(kind: given_masks._Kind) -> None:
    rng = np.random.default_rng(1)
    round_thing = np.mgrid[:80, :80] - 40.0
    disc = np.asarray((round_thing**2).sum(0) < 24**2)
    found = [kind(disc, 42.0, rng) for _ in range(10)]
    assert all(mask.shape == disc.shape and mask.dtype == np.bool_ for mask in found)
    assert sum(bool((mask != disc).any()) for mask in found) >= 8


def test_nothing_stays_nothing() -> None:
    nothing = np.zeros((8, 8), np.bool_)
    assert not given_mask(nothing, [], np.random.default_rng(0)).any()


def test_its_logits_are_those_of_a_mask_in_use() -> None:
    for mask in (MASK, NEIGHBOUR):
        np.testing.assert_allclose(as_logits([mask], 20)[0, 0], mask_to_logits(Mask.from_full(mask), 20), atol=1e-5)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "ellipses")


@pytest.mark.parametrize(("share", "begins_with_mask"), [(0.0, False), (1.0, True)])
def test_a_step_begins_with_a_mask_and_a_click_on_its_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, share: float, begins_with_mask: bool
) -> None:
    settings = replace(SETTINGS, box_share=0.0, mask_share=share, round_shares=(0.0, 1.0))
    trainer = trainer_of(root, settings)
    seen: list[tuple[int, bool]] = []
    decode = trainer._decode

    def watched(features, prompts, thumbnail, previous):  # type: ignore[no-untyped-def]
        seen.append((len(prompts[0]), previous is not None))
        return decode(features, prompts, thumbnail, previous)

    monkeypatch.setattr(trainer, "_decode", watched)
    trainer.model.train()
    trainer.train_step(windows_of(trainer, 1)[0])
    assert seen == [(1, begins_with_mask), (2, True)]


def test_a_model_learns_to_mend_a_given_mask(root: Path) -> None:
    settings = replace(SETTINGS, box_share=0.0, mask_share=1.0, round_shares=(1.0,))
    trainer = trainer_of(root, settings)
    trainer.model.train()
    batch = windows_of(trainer, 1)[0]
    losses = [trainer.train_step(batch)[0] for _ in range(20)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())
