"""Segment everything: the same objects as the official generator, step by step, crops encoded once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.answering.everything import Begun, EverythingSettings, GridAnswer, Proposal
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import UserError
from annotator.domain.ports.engine import AnswersEverything, EverythingStep, RgbArray
from annotator.engine import weights
from annotator.engine.everything import LOOKS, Everything
from annotator.engine.grabcut import GrabCutSegmenter
from annotator.engine.grid_answers import KeptLogits
from annotator.engine.sam2.files import build_config
from annotator.engine.sam2.nano import build_nano, load_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from tests.official_masks import matched, official_masks, our_masks
from tests.small_base import BASE, SMALL

LOOSE = EverythingSettings(points_per_side=6, pred_iou_thresh=0.0, stability_score_thresh=0.0)


def picture(width: int = 96, height: int = 64) -> RgbArray:
    pixels = np.random.default_rng(0).integers(60, 80, (height, width, 3)).astype(np.uint8)
    pixels[10:30, 12:40] = (220, 60, 40)
    pixels[36:60, 50:90] = (40, 90, 220)
    return pixels


@pytest.fixture(scope="module")
def small() -> Sam2Segmenter:
    """A small model whose candidates are not all of one size: its first mask token is turned up."""
    torch.manual_seed(3)
    model: Any = build_nano(SMALL).eval()
    return Sam2Segmenter(model, BASE, dense_prompt="stamps-2")


def weights_path() -> Path:
    path = weights.status_of(weights.registry()["nano"]).path
    assert path is not None
    return path


def run(segmenter: Any, image: RgbArray, settings: EverythingSettings) -> tuple[Proposal, ...]:
    *_, last = segmenter.everything(segmenter.encode(image, "k"), image, settings)
    assert last.is_last
    return last.proposals


def test_the_real_engines_answer_it_and_grabcut_does_not(small: Sam2Segmenter) -> None:
    assert isinstance(small, AnswersEverything)
    assert isinstance(ZoomSegmenter(small, margin=1.6), AnswersEverything)
    assert not isinstance(GrabCutSegmenter(), AnswersEverything)


def test_every_proposal_is_an_answer_to_its_own_click(small: Sam2Segmenter) -> None:
    image = picture()
    embedding = small.encode(image, "k")
    found = run(small, image, replace(LOOSE, box_nms_thresh=1.0, mask_nms_thresh=1.0))
    assert len(found) > 20
    from annotator.domain.prompt import PointPrompt, Prompts

    for proposal in found[::7]:
        answer = small.decode(embedding, Prompts((PointPrompt(*proposal.point_xy),)))
        matching = [c for c in answer.items if c.predicted_iou == pytest.approx(proposal.predicted_iou, abs=1e-4)]
        assert any(c.mask.iou(proposal.mask) > 0.99 for c in matching)


def test_batches_change_nothing(small: Sam2Segmenter) -> None:
    found = [run(small, picture(), replace(LOOSE, points_per_batch=size)) for size in (1, 5, 64)]
    assert len({len(one) for one in found}) == 1
    for others in found[1:]:
        for a, b in zip(found[0], others, strict=True):
            assert a.mask.iou(b.mask) > 0.99
            assert a.predicted_iou == pytest.approx(b.predicted_iou, abs=1e-4)


def test_steps_say_how_far_it_is_and_show_what_there_is(small: Sam2Segmenter) -> None:
    image = picture()
    steps = list(small.everything(small.encode(image, "k"), image, replace(LOOSE, points_per_batch=2)))
    assert [step.done for step in steps] == list(range(2, 37, 2))
    assert {step.total for step in steps} == {36}
    looks = [step for step in steps if step.proposals is not None]
    assert 3 <= len(looks) <= LOOKS + 1
    assert [step.is_last for step in steps] == [False] * 17 + [True]


def test_crops_are_pieces_that_are_encoded_once(small: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    zoom = ZoomSegmenter(small, margin=1.6)
    image = picture(192, 128)
    embedding = zoom.encode(image, "k")
    encoded: list[str] = []
    real = small.encode
    monkeypatch.setattr(small, "encode", lambda *a, **k: encoded.append(a[1]) or real(*a, **k))
    settings = replace(LOOSE, points_per_side=4, crop_n_layers=1)
    for _ in range(2):
        *_, last = zoom.everything(embedding, image, settings)
    assert len(encoded) == 4
    assert last.total == 5 * 16
    assert {(p.mask.width, p.mask.height) for p in last.proposals} == {(192, 128)}


def test_places_that_show_nothing_are_not_asked_in_crops(small: Sam2Segmenter) -> None:
    image = np.full((128, 192, 3), 90, np.uint8)
    settings = replace(LOOSE, points_per_side=4, crop_n_layers=1, skips_flat=True)
    *_, last = small.everything(small.encode(image, "flat"), image, settings)
    assert (last.total, last.proposals) == (0, ())
    image[:64, :96] = np.random.default_rng(0).integers(0, 255, (64, 96, 3))
    *_, last = small.everything(small.encode(image, "lively"), image, settings)
    assert 16 < last.total < 5 * 16


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3)])
def test_tiny_and_plain_images(small: Sam2Segmenter, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 7, np.uint8)
    for segmenter in (small, ZoomSegmenter(small, margin=1.6)):
        found = run(segmenter, image, replace(LOOSE, points_per_side=2, crop_n_layers=2, skips_flat=True))
        assert all((p.mask.height, p.mask.width) == shape for p in found)


@pytest.mark.parametrize("zooms", [False, True])
def test_a_crop_whose_encode_had_to_yield_is_begun_anew(small: Sam2Segmenter, zooms: bool) -> None:
    image = picture()
    segmenter: Any = ZoomSegmenter(small, margin=1.6) if zooms else small
    settings, embedding = replace(LOOSE, points_per_side=2, crop_n_layers=1), segmenter.encode(image, "k")
    *_, expected = segmenter.everything(embedding, image, settings)
    embedding, asked = segmenter.encode(image, "k"), iter([True, True])
    steps = list(segmenter.everything(embedding, image, settings, has_to_yield=lambda: next(asked, False)))
    paused = [i for i, step in enumerate(steps[1:], 1) if step.done == steps[i - 1].done]
    assert len(paused) == 2
    assert all(steps[i].proposals is None for i in paused)
    assert len(steps[-1].proposals) == len(expected.proposals)
    pairs = zip(steps[-1].proposals, expected.proposals, strict=True)
    assert all(a.mask.same_pixels(b.mask) for a, b in pairs)


@pytest.mark.parametrize("yields", [False, True])
def test_steps_are_the_same_as_one_part_after_the_other(
    small: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch, yields: bool
) -> None:
    """Answers are weighed beside the next question: every step, and every proposal in it, is what it would be."""
    image = picture(192, 128)
    settings = replace(LOOSE, points_per_side=4, crop_n_layers=1, points_per_batch=3, min_mask_region_area=4)

    def steps() -> list[EverythingStep]:
        asked, embedding = iter([True, True]), small.encode(image, "k")
        has_to_yield = (lambda: next(asked, False)) if yields else None
        return list(small.everything(embedding, image, settings, has_to_yield=has_to_yield))

    beside = steps()
    monkeypatch.setattr("annotator.engine.everything.one_behind", one_after_the_other)
    in_turn = steps()
    assert [(s.done, s.total, s.is_last) for s in beside] == [(s.done, s.total, s.is_last) for s in in_turn]
    assert sum(step.proposals is not None for step in beside) > 3
    for one, other in zip(beside, in_turn, strict=True):
        assert (one.proposals is None) == (other.proposals is None)
        for a, b in zip(one.proposals or (), other.proposals or (), strict=True):
            assert a.mask.same_pixels(b.mask)
            assert (a.predicted_iou, a.stability_score) == (b.predicted_iou, b.stability_score)
            assert (a.point_xy, a.crop) == (b.point_xy, b.crop)


def one_after_the_other(pieces: Iterator[Any]) -> Iterator[Any]:
    done = (piece() for piece in pieces if piece is not None)
    return (found for found in done if found is not None)


def test_what_goes_wrong_in_weighing_ends_the_search(small: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise MemoryError("no room")

    image = picture()
    steps = small.everything(small.encode(image, "k"), image, LOOSE)
    next(steps)
    monkeypatch.setattr("annotator.engine.everything.stabilities", fails)
    with pytest.raises(MemoryError, match="no room"):
        list(steps)


def test_a_search_that_is_given_up_leaves_no_thread(small: Sam2Segmenter) -> None:
    image = picture()
    steps = small.everything(small.encode(image, "k"), image, replace(LOOSE, points_per_batch=2))
    next(steps)
    assert [one for one in threading.enumerate() if one.name.startswith("behind")]
    del steps
    assert not [one for one in threading.enumerate() if one.name.startswith("behind")]


def test_settings_are_checked(small: Sam2Segmenter) -> None:
    image = picture()
    embedding = small.encode(image, "k")
    with pytest.raises(UserError, match="points_per_side"):
        small.everything(embedding, image, EverythingSettings(points_per_side=0))


def test_a_run_that_ended_goes_on_where_it_was(small: Sam2Segmenter) -> None:
    """From every look of it: not a click is asked twice, and what was found before competes with what comes."""
    image, settings = picture(), replace(LOOSE, points_per_side=4, crop_n_layers=1, points_per_batch=4)
    *steps, last = small.everything(small.encode(image, "k"), image, settings)
    looks = [step for step in steps if step.proposals]
    assert len(looks) >= 3
    for look in looks:
        again = small.encode(image, "k")
        begun = Begun(look.done, look.proposals or ())
        rest = list(small.everything(again, image, settings, begun=begun))
        assert rest[0].done > look.done
        assert [step.done for step in rest] == [step.done for step in [*steps, last] if step.done > look.done]
        found = rest[-1].proposals or ()
        assert rest[-1].is_last
        assert abs(len(found) - len(last.proposals or ())) <= 1  # one that only comes back for a better one that goes
        known = [max(one.mask.iou(other.mask) for other in last.proposals or ()) for one in found]
        assert np.mean(np.array(known) > 0.99) > 0.9


def test_a_run_that_was_complete_is_told_again_without_a_question(
    small: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture()
    found = run(small, image, LOOSE)
    embedding = small.encode(image, "k")
    monkeypatch.setattr(small, "decode_grid", None)
    [step] = small.everything(embedding, image, LOOSE, begun=Begun(36, found))
    assert step.is_last
    assert step.proposals == found


def test_the_same_objects_as_the_official_generator_with_trained_weights() -> None:
    """The embedded model without its drawn prompts, which the official generator has not, on both sides."""
    model, _, _ = load_nano(weights_path())
    image = picture(240, 180).copy()
    image[40:90, 100:200] = (90, 200, 90)
    settings = EverythingSettings(points_per_side=5, pred_iou_thresh=0.2, stability_score_thresh=0.4)
    official, ours = official_masks(model, image, settings), our_masks(model, image, settings)
    assert len(official) >= 5
    assert matched(ours, official) >= 0.98
    assert matched(official, ours) >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("layers", [0, 1])
def test_the_same_objects_as_the_official_generator(layers: int) -> None:
    """SAM 2.1 tiny with random weights, which are turned up so that its masks differ; official thresholds of IoU."""
    torch.manual_seed(0)
    model: Any = build_config("configs/sam2.1/sam2.1_hiera_t.yaml")
    with torch.no_grad():
        for mlp in model.sam_mask_decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight.mul_(40)
    image = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8).repeat(25, 0).repeat(25, 1)
    options = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.5, "crop_n_layers": layers}
    # Random masks all reach round the whole image: suppression, which has tests of its own, would leave one.
    options |= {"box_nms_thresh": 1.0, "crop_nms_thresh": 1.0}
    settings = EverythingSettings(**options)
    official, ours = official_masks(model, image, settings), our_masks(model, image, settings)
    assert len(official) >= 10
    assert matched(ours, official) >= 0.98
    assert abs(len(ours) - len(official)) <= 0.02 * len(official)


def test_small_things_between_the_points_of_the_grid_are_clicked() -> None:
    """Crops of the last layer are asked at what stands out; those before keep their grid."""
    image = np.full((128, 192, 3), 60, np.uint8)
    places = [(11, 13), (70, 40), (150, 20), (100, 100), (181, 117)]
    for x, y in places:
        image[y - 3 : y + 4, x - 3 : x + 4] = 220
    clicked: dict[Any, list[tuple[float, float]]] = {}

    class Asked:
        def decode_grid(self, embedding: Any, points_xy: np.ndarray, *, least_iou: float) -> GridAnswer:
            moved = points_xy + np.array([embedding.x0, embedding.y0])
            clicked.setdefault(embedding, []).extend(map(tuple, moved.tolist()))
            nothing = np.zeros(0, np.int64)
            return GridAnswer(nothing, nothing, np.zeros(0, np.float32), np.zeros((0, 1, 1), np.float32))

    settings = replace(LOOSE, points_per_side=4, crop_n_layers=1, finds_blobs=True)
    *_, last = Everything(Asked(), image, lambda region: region, settings, batch=16).steps()  # type: ignore
    whole = clicked.pop(Region(0, 0, 192, 128))
    assert len(whole) == 16
    blobs = [place for points in clicked.values() for place in points]
    assert last.total == 16 + len(blobs) < 5 * 16
    for x, y in places:
        assert sum(np.hypot(px - x, py - y) < 4 for px, py in blobs) == 1


def test_only_what_is_kept_becomes_pixels(small: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most clicks of a grid find what a neighbour has found better: their boxes tell, before anything is enlarged."""
    made: list[KeptLogits] = []
    kept: list[KeptLogits] = []
    pixels, keep = KeptLogits.mask, KeptLogits.of

    def counted_mask(self: KeptLogits, *args: Any, **kwargs: Any) -> Any:
        made.append(self)
        return pixels(self, *args, **kwargs)

    def counted_of(logits: np.ndarray) -> KeptLogits:
        kept.append(keep(logits))
        return kept[-1]

    monkeypatch.setattr(KeptLogits, "mask", counted_mask)
    monkeypatch.setattr(KeptLogits, "of", staticmethod(counted_of))
    monkeypatch.setattr("annotator.engine.everything.LOOKS", 1)
    found = run(small, picture(), replace(LOOSE, box_nms_thresh=0.7, mask_nms_thresh=1.0))
    assert len(found) == len(made) == len({id(one) for one in made})
    assert 3 * len(made) < len(kept) > 50
