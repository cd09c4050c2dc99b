"""The embedded model: shape, file, stamped prompts, and the engine on top of it."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.domain.answering.nesting import names
from annotator.domain.errors import EncodeCancelled, ImageError, ModelError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.cache import TieredCache
from annotator.engine.sam2.dense_prompt import stamp_prompts
from annotator.engine.sam2.nano import NanoConfig, build_nano, count_parameters, load_nano, save_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter

TINY = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)


@pytest.fixture(scope="module")
def engine() -> Sam2Segmenter:
    torch.manual_seed(0)
    info = ModelInfo("nano", "1" * 64, "cpu", "float32", 128)
    return Sam2Segmenter(build_nano(TINY).eval(), info, dense_prompt="stamps-1")


def picture(height: int = 60, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_default_fits_in_16_megabytes_as_fp16() -> None:
    assert 2 * count_parameters(build_nano(NanoConfig())) < 16e6


def test_file_round_trip_is_exact_in_fp16(tmp_path: Path) -> None:
    model = build_nano(TINY)
    save_nano(model, tmp_path / "nano.safetensors", config=TINY, metadata={"seed": "0"})
    loaded, config, metadata = load_nano(tmp_path / "nano.safetensors")
    assert config == TINY
    assert metadata["seed"] == "0"
    for name, tensor in model.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[name], expected)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\0\0\0\0\0\0\0{}      "])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.safetensors"):
        load_nano(path)


def test_the_fast_decoder_equals_the_official_one_on_every_kind_of_prompt(engine: Sam2Segmenter) -> None:
    reference = Sam2Segmenter(engine._model, engine.info, dense_prompt="stamps-1", use_fast_decoder=False)
    image = picture()
    mask = Mask.from_full(np.pad(np.ones((20, 30), bool), ((10, 30), (20, 30))))
    cases = [
        Prompts((PointPrompt(20, 30),)),
        Prompts((PointPrompt(20, 30), PointPrompt(50, 10, False))),
        Prompts(box=Box(10, 10, 50, 40)),
        Prompts((PointPrompt(20, 30),), Box(10, 10, 50, 40)),
        Prompts(base_mask=mask),
    ]
    a, b = engine.encode(image, "x"), reference.encode(image, "x")
    for prompts in cases:
        ours, theirs = engine.decode(a, prompts), reference.decode(b, prompts)
        assert len(ours.items) == (3 if prompts.is_ambiguous else 1)
        for one, other in zip(ours.items, theirs.items, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
        assert ours.object_score == pytest.approx(theirs.object_score, abs=1e-4)


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts((PointPrompt(9, 8),)),
        Prompts((PointPrompt(9, 8), PointPrompt(30, 20, False))),
        Prompts(box=Box(3, 4, 40, 30)),
    ],
)
def test_several_pieces_are_answered_at_once_as_one_by_one(engine: Sam2Segmenter, prompts: Prompts) -> None:
    pieces = [engine.encode(picture(40 + 10 * i, 60 + 5 * i), f"p{i}") for i in range(3)]
    together = engine.decode_each([(piece, prompts) for piece in pieces])
    for piece, found in zip(pieces, together, strict=True):
        alone = engine.decode(piece, prompts)
        assert [c.label for c in found.items] == [c.label for c in alone.items]
        assert found.object_score == pytest.approx(alone.object_score, abs=1e-4)
        for one, other in zip(found.items, alone.items, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
            assert (one.mask.width, one.mask.height) == (piece.width, piece.height)
            assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-4)


def test_prompts_of_different_kinds_are_answered_one_by_one(engine: Sam2Segmenter) -> None:
    piece = engine.encode(picture(), "p")
    requests = [Prompts((PointPrompt(9, 8),)), Prompts(box=Box(3, 4, 40, 30))]
    found = engine.decode_each([(piece, prompts) for prompts in requests])
    assert [len(answer.items) for answer in found] == [3, 1]
    with pytest.raises(PromptError):
        engine.decode_each([(piece, requests[0]), (piece, Prompts())])


def test_candidates_are_in_the_order_of_area_and_named_after_the_best(engine: Sam2Segmenter) -> None:
    found = engine.decode(engine.encode(picture(), "x"), Prompts((PointPrompt(5, 5),)))
    areas = [item.mask.area for item in found.items]
    assert areas == sorted(areas)
    assert tuple(item.label for item in found.items) == names([item.mask for item in found.items], found.best)
    assert found.chosen.label == "whole"
    assert found.chosen.predicted_iou == max(item.predicted_iou for item in found.items)


def test_prompts_outside_are_pulled_in_and_nonsense_is_refused(engine: Sam2Segmenter) -> None:
    embedding = engine.encode(picture(), "x")
    inside = engine.decode(embedding, Prompts((PointPrompt(0, 60),)))
    outside = engine.decode(embedding, Prompts((PointPrompt(-500, 1e9),)))
    np.testing.assert_array_equal(inside.chosen.logits, outside.chosen.logits)
    for bad in (Prompts(), Prompts((PointPrompt(float("nan"), 1),)), Prompts(box=Box(900, 900, 950, 950))):
        with pytest.raises(PromptError):
            engine.decode(embedding, bad)


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 3), (4, 4, 4)])
def test_things_that_are_no_image_are_refused(engine: Sam2Segmenter, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError):
        engine.encode(np.zeros(shape, np.uint8), "x")


def test_an_encode_gives_way_and_the_engine_goes_on(engine: Sam2Segmenter) -> None:
    flag = threading.Event()
    flag.set()
    with pytest.raises(EncodeCancelled):
        engine.encode(picture(), "x", is_cancelled=flag.is_set)
    assert engine.encode(picture(), "x").width == 80


def test_the_key_names_everything_that_changes_the_features(engine: Sam2Segmenter) -> None:
    other = Sam2Segmenter(engine._model, engine.info, dtype=torch.bfloat16, dense_prompt="stamps-1")
    assert engine.embedding_key("a") == engine.embedding_key("a")
    assert len({engine.embedding_key("a"), engine.embedding_key("b"), other.embedding_key("a")}) == 3


def test_the_cache_gives_back_the_same_masks_from_disk_and_survives_damage(
    engine: Sam2Segmenter, tmp_path: Path
) -> None:
    def cache() -> TieredCache:
        return TieredCache(ram_bytes=1 << 20, disk_dir=tmp_path, disk_bytes=1 << 30, codec=engine)

    embedding = engine.encode(picture(), "x")
    first = cache()
    first.put(embedding)
    assert first.get(embedding.key) is embedding
    assert cache().get(embedding.key) is None, "without pixels only memory is asked"
    again = cache().get(embedding.key, picture())
    assert again is not None
    prompts = Prompts((PointPrompt(20, 30),))
    np.testing.assert_array_equal(
        engine.decode(again, prompts).chosen.logits, engine.decode(embedding, prompts).chosen.logits
    )
    (tmp_path / f"{embedding.key}.safetensors").write_bytes(b"damaged")
    assert cache().get(embedding.key, picture()) is None


def test_the_disk_tier_keeps_to_its_budget(engine: Sam2Segmenter, tmp_path: Path) -> None:
    cache = TieredCache(ram_bytes=1, disk_dir=tmp_path, disk_bytes=1, codec=engine)
    cache.put(engine.encode(picture(), "a"))
    assert list(tmp_path.iterdir()) == []


def test_stamps_draw_clicks_where_they_are() -> None:
    grey = torch.full((1, 3, 16, 16), 0.5)
    points, labels = torch.tensor([[[10.0, 30.0], [50.0, 30.0]]]), torch.tensor([[1, 0]])
    stamped = stamp_prompts(points, labels, grey)[0, 0]
    assert stamped.argmax().item() == 7 * 16 + 2
    assert stamped.argmin().item() == 7 * 16 + 12
    previous = torch.full((1, 1, 16, 16), 2.0)
    refined = stamp_prompts(points, labels, grey, previous)[0, 0]
    assert refined[7, 2] > 8
    assert refined[7, 12] < -3


def test_a_box_is_stamped_inside_and_outside() -> None:
    grey = torch.full((1, 3, 16, 16), 0.5)
    stamped = stamp_prompts(torch.tensor([[[8.0, 8.0], [40.0, 24.0]]]), torch.tensor([[2, 3]]), grey)[0, 0]
    assert stamped[3, 3] == pytest.approx(1.0)
    assert stamped[10, 10] == pytest.approx(-6.0)
