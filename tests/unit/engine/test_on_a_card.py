"""The engine on a graphics card's rules (:mod:`tests.strict_card`): nothing is left on the processor by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sam2.build_sam import build_sam2

from annotator.domain.errors import DeviceMemoryError
from annotator.domain.geometry import Box
from annotator.domain.prompt import Prompts
from annotator.engine.cache import TieredCache
from annotator.engine.sam2.adapted_decoder import Adapter
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.sam2.embedding import Sam2Embedding
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from tests.strict_card import OnCard, strict_card
from tests.unit.engine.test_prompt_adapter import BASE, CASES, SMALL, info_for, logits_of, trained


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    with strict_card(monkeypatch) as device:
        yield device


@pytest.fixture
def picture() -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 80, (75, 110, 3), dtype=np.uint8)
    image[20:50, 30:80] += 120
    return image


def nano() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_nano(SMALL).eval()


def adapter_on(model: torch.nn.Module) -> Adapter:
    network = trained(PromptAdapter.on(model, AdapterConfig(SMALL.channels)))
    return Adapter(network, info_for(network))


def test_the_card_keeps_a_cards_rules(card: torch.device) -> None:
    there, here = torch.ones(3, device=card), torch.ones(3)
    assert there.device == card
    assert isinstance(there * 2 + torch.tensor(1.0), OnCard)  # the processor's scalars are welcome
    assert torch.equal((there + here.to(card)).cpu(), torch.full((3,), 2.0))
    assert there[torch.tensor([0, 2])].tolist() == [1.0, 1.0]
    for mistake in (lambda: there + here, lambda: torch.cat([there, here]), lambda: here[there.long()]):
        with pytest.raises(RuntimeError, match="cuda:0"):
            mistake()
    for mistake in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises(TypeError, match="numpy"):
            mistake()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, device=card, generator=torch.Generator())
    assert torch.rand(3, device=card, generator=torch.Generator(card).manual_seed(0)).device == card


def test_gradients_pass_on_the_card(card: torch.device) -> None:
    layer = torch.nn.Linear(4, 2).to(card)
    layer(torch.ones(3, 4, device=card)).sum().backward()
    assert all(isinstance(p.grad, OnCard) for p in layer.parameters())
    assert layer.bias.grad is not None
    assert layer.bias.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("dense_prompt", "is_fast", "dtype"),
    [
        ("", True, torch.float32),
        ("stamps-1", True, torch.float32),
        ("stamps-2", False, torch.float32),
        ("stamps-2", True, torch.bfloat16),
    ],
)
def test_every_prompt_with_and_without_an_adapter(
    card: torch.device, picture: np.ndarray, dense_prompt: str, is_fast: bool, dtype: torch.dtype
) -> None:
    kind = str(dtype).removeprefix("torch.")
    infos = {"cpu": replace(BASE, dtype=kind), "cuda": replace(BASE, dtype=kind, device="cuda")}
    engines = {
        "cpu": Sam2Segmenter(nano(), infos["cpu"], dtype=dtype, dense_prompt=dense_prompt, use_fast_decoder=is_fast),
        "cuda": Sam2Segmenter(
            nano().to(card), infos["cuda"], dtype=dtype, dense_prompt=dense_prompt, use_fast_decoder=is_fast
        ),
    }
    embeddings = {name: engine.encode(picture, "k") for name, engine in engines.items()}
    assert embeddings["cuda"].low.device == card
    adapter = adapter_on(nano())  # read from a file it is in main memory, too
    for worn in (None, adapter, None):
        for prompts in CASES.values():
            answers = {}
            for name, engine in engines.items():
                engine.set_adapter(Adapter(adapter.network, adapter.info) if worn else None)
                first = engine.decode(embeddings[name], prompts)
                again = engine.decode(embeddings[name], prompts, continue_from=first.chosen)
                answers[name] = np.concatenate([logits_of(first), logits_of(again)])
                assert (first.chosen.uncertainty is not None) == bool(worn)
                adapter.network.cpu()  # one network serves both here
            np.testing.assert_allclose(answers["cuda"], answers["cpu"], atol=1e-4 if dtype == torch.float32 else 0.3)


def test_an_encode_is_over_when_its_time_is_told(
    card: torch.device, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Sam2Segmenter(nano().to(card), replace(BASE, device="cuda"))
    clock = [0.0]
    monkeypatch.setattr("annotator.engine.sam2.encoder.time.perf_counter", lambda: clock[0])

    def finish(device: torch.device) -> None:
        assert device == card
        clock[0] += 0.25  # what was queued takes its time now

    monkeypatch.setattr(torch.cuda, "synchronize", finish)
    assert engine.encode(picture, "k").encode_ms == 250.0


def test_embeddings_from_the_disk_are_taken_to_the_card(
    card: torch.device, picture: np.ndarray, tmp_path: Path
) -> None:
    engine = Sam2Segmenter(nano().to(card), replace(BASE, device="cuda"))
    fresh = engine.encode(picture, "k")
    TieredCache(ram_bytes=1 << 20, disk_dir=tmp_path, disk_bytes=1 << 30, codec=engine).put(fresh)
    later = TieredCache(ram_bytes=1 << 20, disk_dir=tmp_path, disk_bytes=1 << 30, codec=engine)
    kept = later.get(fresh.key, picture)
    assert isinstance(kept, Sam2Embedding)
    for prompts in CASES.values():
        answers = [logits_of(engine.decode(embedding, prompts)) for embedding in (fresh, kept)]
        np.testing.assert_array_equal(*answers)
    (moved,) = (state for state in kept.states.values() if isinstance(state, Sam2Embedding))
    assert moved.low.device == card, "once, not with every click"


def test_zoom_in_and_joint_decodes(card: torch.device, picture: np.ndarray) -> None:
    plain = Sam2Segmenter(nano().to(card), replace(BASE, device="cuda"), dense_prompt="stamps-2")
    here = Sam2Segmenter(nano(), BASE, dense_prompt="stamps-2")
    small = Prompts(box=Box(35, 25, 60, 45))
    answers = []
    for engine in (plain, here):
        zoomed = ZoomSegmenter(engine, margin=1.6, tidies=True)
        embedding = zoomed.encode(picture, "k")
        found = [zoomed.decode(embedding, prompts) for prompts in (small, CASES["click"], CASES["clicks and box"])]
        answers.append([np.asarray(candidates.chosen.mask.full()) for candidates in found])
    for there, of_cpu in zip(*answers, strict=True):
        np.testing.assert_array_equal(there, of_cpu)


def test_an_official_model(card: torch.device, picture: np.ndarray) -> None:
    torch.manual_seed(0)
    smaller = ["++model.image_size=256"]  # all its parts are there, and each takes a moment
    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", None, "cpu", "eval", smaller).to(card)
    engine = Sam2Segmenter(model, replace(BASE, name="tiny", device="cuda", image_size=256))
    network = PromptAdapter.on(model, AdapterConfig(256))
    assert next(network.parameters()).device == card
    embedding = engine.encode(picture, "k")
    for adapter in (None, Adapter(network.eval(), info_for(network, engine.info))):
        engine.set_adapter(adapter)
        for prompts in CASES.values():
            found = engine.decode(embedding, prompts)
            assert np.isfinite(logits_of(found)).all()


class Full:
    """A card whose memory ends in a named part of the model, until the model has left it."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.errors = 0
        module.register_forward_pre_hook(self._refuse)
        self._module = module

    def _refuse(self, _module: torch.nn.Module, _inputs: object) -> None:
        if next(self._module.parameters()).device.type == "cuda":
            self.errors += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")


@pytest.mark.parametrize("part", ["image_encoder", "sam_prompt_encoder"])
def test_a_full_card_is_left_for_the_processor(card: torch.device, picture: np.ndarray, part: str) -> None:
    there = Sam2Segmenter(
        nano().to(card), replace(BASE, device="cuda", dtype="bfloat16"), dtype=torch.bfloat16, dense_prompt="stamps-2"
    )
    here = Sam2Segmenter(nano(), BASE, dense_prompt="stamps-2")
    for engine in (there, here):
        engine.set_adapter(adapter_on(nano()))
    earlier, embedding = there.encode(picture, "earlier"), here.encode(picture, "k")
    full = Full(getattr(there.model, part))
    if part == "image_encoder":
        there.encode(picture, "k")
    else:
        there.decode(earlier, CASES["box"])
    assert full.errors == 1  # and no second try on the card
    assert (there.info.device, there.info.dtype, there.device.type) == ("cpu", "float32", "cpu")
    assert "processor" in there.info.note
    assert there.adapter is not None
    for prompts in CASES.values():
        expected = logits_of(here.decode(embedding, prompts))
        np.testing.assert_array_equal(logits_of(there.decode(there.encode(picture, "k"), prompts)), expected)
        np.testing.assert_allclose(
            logits_of(there.decode(earlier, prompts)), expected, atol=0.5
        )  # of the card, bfloat16
    assert full.errors == 1


def test_memory_that_ends_on_the_processor_is_said(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Sam2Segmenter(nano(), BASE)
    embedding = engine.encode(picture, "k")

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(engine.model, "forward_image", refuse)
    monkeypatch.setattr(engine.model.sam_prompt_encoder, "forward", refuse)
    for work in (lambda: engine.encode(picture, "k"), lambda: engine.decode(embedding, CASES["click"])):
        with pytest.raises(DeviceMemoryError, match="not enough memory"):
            work()
