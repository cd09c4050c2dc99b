"""Families of the library behind the engine port: the same promises for each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.answering.everything import Begun
from annotator.domain.answering.nesting import names
from annotator.domain.errors import EncodeCancelled, ImageError, ModelError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import AnswersEverything
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.cache import TieredCache
from annotator.engine.hf.segmenter import HubSegmenter
from annotator.engine.load import load_sam2_segmenter, load_segmenter
from tests.unit.engine.hub.tiny_hub import KINDS, build, picture

CLICK = Prompts((PointPrompt(40.0, 40.0),))
BOX = Prompts((), Box(20.0, 20.0, 60.0, 60.0))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def segmenter(kind: str, folders: dict[str, Path]) -> HubSegmenter:
    found = load_segmenter(str(folders[kind]), device="cpu", dtype=torch.float32)
    assert isinstance(found, HubSegmenter)
    return found


def test_a_click_has_three_candidates_and_a_box_has_one(segmenter: HubSegmenter) -> None:
    embedding = segmenter.encode(picture(), "k")
    clicked, boxed = segmenter.decode(embedding, CLICK), segmenter.decode(embedding, BOX)
    labels = [item.label for item in clicked.items]
    assert labels == list(names([item.mask for item in clicked.items], clicked.best))
    assert len(boxed.items) == 1
    for item in (*clicked.items, *boxed.items):
        assert (item.mask.width, item.mask.height) == (120, 80)
        assert np.isfinite(item.logits).all()
    areas = [item.mask.area for item in clicked.items]
    assert areas == sorted(areas)
    with pytest.raises(PromptError):
        segmenter.decode(embedding, Prompts())


def test_it_is_what_the_library_itself_answers(kind: str, segmenter: HubSegmenter) -> None:
    model = build(kind)
    embedding = segmenter.encode(picture(128, 128), "square")
    side = segmenter.info.image_size
    box = torch.tensor([[[16.0, 16.0, 64.0, 48.0]]]) * side / 128
    with torch.inference_mode():
        given: Any = embedding.levels[0] if len(embedding.levels) == 1 else list(embedding.levels)
        if kind == "sam_hq":
            pytest.skip("its decoder is wrong in the library: see test_parity.py")
        answer = model(image_embeddings=given, input_boxes=box, multimask_output=False)
    found = segmenter.decode(embedding, Prompts((), Box(16.0, 16.0, 64.0, 48.0))).chosen
    np.testing.assert_allclose(found.logits, answer.pred_masks[0, 0, 0].numpy(), atol=1e-5)
    assert found.predicted_iou == pytest.approx(float(answer.iou_scores[0, 0, 0]), abs=1e-6)


def test_what_is_said_before_and_a_mask_change_the_answer(segmenter: HubSegmenter) -> None:
    embedding = segmenter.encode(picture(), "k")
    first = segmenter.decode(embedding, CLICK).chosen
    more = Prompts((*CLICK.points, PointPrompt(90.0, 60.0, False)))
    alone = segmenter.decode(embedding, more).chosen.logits
    continued = segmenter.decode(embedding, more, continue_from=first).chosen.logits
    forgotten = segmenter.decode(embedding, more, continue_from=replace(first, token="")).chosen.logits
    assert np.abs(continued - alone).max() > 1e-6
    assert np.abs(continued - forgotten).mean() <= np.abs(continued - alone).mean() / 2
    full = np.zeros((80, 120), np.bool_)
    full[20:60, 20:60] = True
    refined = segmenter.decode(embedding, Prompts(base_mask=Mask.from_full(full)))
    assert len(refined.items) == 1
    assert segmenter.decode(embedding, replace(BOX, base_mask=Mask.from_full(full))).items


def test_embeddings_come_back_from_the_disk(segmenter: HubSegmenter, tmp_path: Path) -> None:
    image = picture()
    cache = TieredCache(ram_bytes=1, disk_dir=tmp_path, disk_bytes=1 << 30, codec=segmenter)
    embedding = segmenter.encode(image, "k")
    cache.put(embedding)
    again = TieredCache(ram_bytes=1, disk_dir=tmp_path, disk_bytes=1 << 30, codec=segmenter).get(embedding.key, image)
    assert again is not None
    assert again is not embedding
    np.testing.assert_array_equal(
        segmenter.decode(again, CLICK).chosen.logits, segmenter.decode(embedding, CLICK).chosen.logits
    )
    with pytest.raises(ValueError, match="120 x 80"):
        segmenter.restored(embedding.key, segmenter.stored(embedding), image[:40])


def test_everything_is_asked_in_steps(segmenter: HubSegmenter) -> None:
    assert isinstance(segmenter, AnswersEverything)
    image = picture()
    settings = replace(
        segmenter.everything_settings, points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0
    )
    steps = list(segmenter.everything(segmenter.encode(image, "k"), image, settings))
    assert steps[-1].is_last
    assert [step.done for step in steps][:2] == [4, 8]
    assert steps[-1].proposals is not None
    for proposal in steps[-1].proposals:
        assert (proposal.mask.width, proposal.mask.height) == (120, 80)


def test_everything_goes_on_where_an_earlier_run_ended(segmenter: HubSegmenter) -> None:
    image = picture()
    settings = replace(
        segmenter.everything_settings, points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0
    )
    embedding = segmenter.encode(image, "k")
    *_, last = segmenter.everything(embedding, image, settings)
    rest = list(segmenter.everything(embedding, image, settings, begun=Begun(8, ())))
    assert [step.done for step in rest] == [9]
    assert rest[-1].is_last
    assert len(rest[-1].proposals or ()) <= len(last.proposals or ())


def test_pixels_of_another_shape_are_refused(segmenter: HubSegmenter) -> None:
    for pixels in (picture()[..., 0], picture().astype(np.float32), picture()[:0]):
        with pytest.raises(ImageError, match="height x width x 3 bytes"):
            segmenter.encode(pixels, "k")


def test_an_encode_ends_when_it_is_not_wanted(segmenter: HubSegmenter) -> None:
    asked = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(EncodeCancelled):
        segmenter.encode(picture(), "k", is_cancelled=is_cancelled)
    assert segmenter.encode(picture(), "k").levels


def test_adapters_are_refused_in_a_clear_line(kind: str, folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="is not a SAM 2 model, so it cannot use an adapter"):
        load_sam2_segmenter(str(folders[kind]), device="cpu", dtype=torch.float32)
