"""The prompt adapter in the engine: shapes, gates, parity of its two decoders, swapping, files, refusals."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from annotator.domain.adapter import AdapterInfo
from annotator.domain.errors import ModelError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidates, ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.sam2 import adapter_files
from annotator.engine.sam2.adapted_decoder import Adapter, decode_adapted
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter, gated_attention, guide_input
from annotator.engine.sam2.files import build_config
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from tests.small_base import BASE, SMALL

CASES = {
    "click": Prompts((PointPrompt(50.0, 40.0),)),
    "box": Prompts(box=Box(20, 15, 90, 60)),
    "clicks and box": Prompts((PointPrompt(50.0, 40.0), PointPrompt(5.0, 60.0, False)), Box(20, 15, 90, 60)),
}


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_nano(SMALL).eval()


@pytest.fixture
def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 80, (75, 110, 3), dtype=np.uint8)
    image[20:50, 30:80] += 120
    return image


def info_for(network: PromptAdapter, base: ModelInfo = BASE) -> AdapterInfo:
    return AdapterInfo("test", "ellipses", base.name, base.sha256, adapter_files.config_of(network), "2 images")


def trained(network: PromptAdapter, seed: int = 1) -> PromptAdapter:
    """As if it had been trained: every part speaks, also the gates and the hard points."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(torch.randn_like(parameter) * (0.3 if name in ("query_gate", "key_gate") else 0.05))
        network.point_gate.add_(torch.randn_like(network.point_gate) * 0.7)
    return network.eval()


def logits_of(found: Candidates) -> np.ndarray:
    return np.stack([item.logits for item in found.items])


# --- gates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize("dense_prompt", ["", "stamps-1", "stamps-2"])
@pytest.mark.parametrize("case", CASES)
def test_an_untrained_adapter_changes_no_logit(
    model: torch.nn.Module, picture: np.ndarray, case: str, dense_prompt: str, is_fast: bool
) -> None:
    engine = Sam2Segmenter(model, BASE, dense_prompt=dense_prompt, use_fast_decoder=is_fast)
    embedding = engine.encode(picture, "p")
    plain = engine.decode(embedding, CASES[case])
    network = PromptAdapter.on(model)
    engine.set_adapter(Adapter(network, info_for(network)))
    adapted = engine.decode(embedding, CASES[case])
    if is_fast:
        np.testing.assert_array_equal(logits_of(adapted), logits_of(plain))
        assert [c.predicted_iou for c in adapted.items] == [c.predicted_iou for c in plain.items]
    else:  # another order of sums than the official module's
        np.testing.assert_allclose(logits_of(adapted), logits_of(plain), atol=1e-4)


def test_an_untrained_adapter_changes_no_logit_in_bfloat16(model: torch.nn.Module, picture: np.ndarray) -> None:
    engine = Sam2Segmenter(model, BASE, dtype=torch.bfloat16, dense_prompt="stamps-2")
    embedding = engine.encode(picture, "p")
    plain = logits_of(engine.decode(embedding, CASES["click"]))
    network = PromptAdapter.on(model)
    engine.set_adapter(Adapter(network, info_for(network)))
    np.testing.assert_array_equal(logits_of(engine.decode(embedding, CASES["click"])), plain)


def test_every_gate_matters(model: torch.nn.Module, picture: np.ndarray) -> None:
    """Each way of speaking alone changes the masks: tokens, image tokens, hard points of either sign."""
    engine = Sam2Segmenter(model, BASE)
    embedding = engine.encode(picture, "p")
    plain = logits_of(engine.decode(embedding, CASES["box"]))
    full = trained(PromptAdapter.on(model))
    for name in ("query_gate", "key_gate", "positive", "negative"):
        network = PromptAdapter.on(model)  # the base's heads
        state = {k: v for k, v in full.state_dict().items() if not k.startswith(("mask_tokens", "output_"))}
        network.load_state_dict(state, strict=False)
        with torch.no_grad():
            for gate in ("query_gate", "key_gate"):
                if gate != name:
                    getattr(network, gate).zero_()
            network.point_gate.mul_(torch.tensor([[float(name == "positive")], [float(name == "negative")]]))
        engine.set_adapter(Adapter(network, info_for(network)))
        assert np.abs(logits_of(engine.decode(embedding, CASES["box"])) - plain).max() > 1e-4, name


# --- parity of the decoder for speed and the one that is trained ------------------------------------------------------


@pytest.mark.parametrize("dense_prompt", ["", "stamps-1", "stamps-2"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ablation", ["", "uses_guide", "uses_tokens", "uses_points"])
def test_both_decoders_agree(
    model: torch.nn.Module, picture: np.ndarray, case: str, dense_prompt: str, ablation: str
) -> None:
    config = replace(AdapterConfig(64), **({ablation: False} if ablation else {}))
    network = trained(PromptAdapter.on(model, config))
    adapter = Adapter(network, info_for(network))
    answers = []
    for is_fast in (True, False):
        engine = Sam2Segmenter(model, BASE, dense_prompt=dense_prompt, use_fast_decoder=is_fast)
        engine.set_adapter(adapter)
        answers.append(engine.decode(engine.encode(picture, "p"), CASES[case]))
    np.testing.assert_allclose(logits_of(answers[0]), logits_of(answers[1]), atol=1e-4)
    fast, slow = (answer.chosen.uncertainty for answer in answers)
    assert (fast is None) == (ablation == "uses_tokens")
    if fast is not None and slow is not None:
        np.testing.assert_allclose(fast.values, slow.values, atol=1e-5)
        assert fast.hard_points == slow.hard_points
        assert bool(fast.hard_points) == (ablation != "uses_points")


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_on_an_official_configuration(batch: int) -> None:
    """256 channels and 1024 pixels: shapes, and several prompts at once are the same as one after the other."""
    torch.manual_seed(0)
    model: Any = build_config("configs/sam2.1/sam2.1_hiera_t.yaml")
    network = trained(PromptAdapter.on(model))
    features = (torch.randn(1, 32, 256, 256), torch.randn(1, 64, 128, 128), torch.randn(1, 256, 64, 64))
    guide = network.guide(torch.rand(1, 3, 256, 256))
    assert guide is not None
    assert guide.shape == (1, 4096, 256)
    boxes = torch.tensor([[[100.0, 100.0], [400.0, 500.0]], [[5.0, 9.0], [50.0, 60.0]], [[0.0, 0.0], [1024.0, 1024.0]]])
    encoder = model.sam_prompt_encoder
    with torch.no_grad():
        labels = torch.tensor([[2, 3]]).expand(batch, -1)
        sparse, dense = encoder(points=(boxes[:batch], labels), boxes=None, masks=None)
        expanded = tuple(f.expand(batch, -1, -1, -1) for f in features)
        found = decode_adapted(
            model.sam_mask_decoder,
            network,
            expanded,
            sparse,
            dense,
            encoder.get_dense_pe(),
            guide.expand(batch, -1, -1),
        )
        assert found.masks.shape == (batch, 4, 256, 256)
        assert found.iou.shape == (batch, 4)
        assert found.maps is not None
        assert found.maps.uncertainty.shape == (batch, 4096)
        assert found.maps.cells is not None
        assert found.maps.cells.shape == (batch, 8)
        engine = Sam2Segmenter(model, ModelInfo("tiny", "b" * 64, "cpu", "float32", 1024))
        assert engine.decoder.fast is not None
        from annotator.engine.sam2.adapted_decoder import AdaptedDecoder

        fast = AdaptedDecoder(engine.decoder.fast, network)
        state = engine.decoder.fast.prepare(features[2], features[0], features[1])
        adapted = fast.prepare(state, torch.rand(1, 3, 256, 256))
        adapted = type(adapted)(adapted.image, guide)
        for n in range(batch):
            output, _ = fast.decode(adapted, sparse[n : n + 1])
            difference = (output.masks(0, 4)[0] - found.masks[n]).abs().max()
            assert difference < 2e-4 * max(1.0, float(found.masks[n].abs().max()))
        together, _ = fast.decode(adapted, sparse)
        assert (together.masks(0, 4) - found.masks).abs().max() < 2e-4 * max(1.0, float(found.masks.abs().max()))


def test_gated_tokens_come_on_top_of_the_plain_attention(model: torch.nn.Module) -> None:
    """Gate 0: the plain attention without the token; gate 1: plus its share of the attention with it."""
    attention: Any = model.sam_mask_decoder.transformer.layers[1].cross_attn_image_to_token  # type: ignore[union-attr]
    image, tokens, values = torch.randn(2, 9, 64), torch.randn(2, 5, 64), torch.randn(2, 5, 64)
    with torch.no_grad():
        plain = attention(q=image, k=tokens[:, :4], v=values[:, :4])
        closed = gated_attention(attention, image, tokens, values, torch.zeros(1, 64))
        torch.testing.assert_close(closed, plain)
        halves = [gated_attention(attention, image, tokens, values, torch.full((1, 64), g)) for g in (0.5, 1.0)]
        torch.testing.assert_close(halves[0] - plain, (halves[1] - plain) / 2, atol=1e-5, rtol=1e-4)
        # The token's own contribution is what the whole attention loses when its value is taken away.
        bias = attention.v_proj.bias.clone()
        attention.v_proj.bias.zero_()
        whole = attention(q=image, k=tokens, v=values)
        without = attention(q=image, k=tokens, v=torch.cat([values[:, :4], torch.zeros(2, 1, 64)], 1))
        ours = gated_attention(attention, image, tokens, values, torch.ones(1, 64))
        none = gated_attention(attention, image, tokens, values, torch.zeros(1, 64))
        attention.v_proj.bias.copy_(bias)
        torch.testing.assert_close(ours - none, whole - without, atol=1e-5, rtol=1e-4)


# --- swapping ---------------------------------------------------------------------------------------------------------


def test_swapping_needs_no_encode_and_leaves_no_trace(model: torch.nn.Module, picture: np.ndarray) -> None:
    engine = Sam2Segmenter(model, BASE)
    embedding = engine.encode(picture, "p")
    forwards: list[int] = []
    model.image_encoder.register_forward_hook(lambda *_: forwards.append(1))  # type: ignore[union-attr]
    adapters = [trained(PromptAdapter.on(model), seed) for seed in (1, 2)]
    plain, seen = logits_of(engine.decode(embedding, CASES["box"])), []
    for network in (*adapters, adapters[0]):
        engine.set_adapter(Adapter(network, info_for(network)))
        seen.append(engine.decode(embedding, CASES["box"]))
    engine.set_adapter(None)
    again = engine.decode(embedding, CASES["box"])
    np.testing.assert_array_equal(logits_of(again), plain)
    assert again.chosen.uncertainty is None
    np.testing.assert_array_equal(logits_of(seen[0]), logits_of(seen[2]))
    assert np.abs(logits_of(seen[0]) - logits_of(seen[1])).max() > 1e-3
    assert not forwards
    assert len(embedding.states) == 2  # the base's terms and one adapter's


def test_off_and_on_again_makes_nothing_anew(
    model: torch.nn.Module, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Sam2Segmenter(model, BASE)
    embedding = engine.encode(picture, "p")
    network = trained(PromptAdapter.on(model))
    adapter = Adapter(network, info_for(network))
    engine.set_adapter(adapter)
    first = logits_of(engine.decode(embedding, CASES["box"]))
    monkeypatch.setattr(PromptAdapter, "guide", lambda *_: pytest.fail("the guide was made again"))
    for one in (None, adapter):
        engine.set_adapter(one)
        seen = logits_of(engine.decode(embedding, CASES["box"]))
    np.testing.assert_array_equal(seen, first)


def test_the_guide_is_made_once_per_image(
    model: torch.nn.Module, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = PromptAdapter.guide
    monkeypatch.setattr(PromptAdapter, "guide", lambda self, t: calls.append(1) or original(self, t))
    engine = Sam2Segmenter(model, BASE)
    network = trained(PromptAdapter.on(model))
    engine.set_adapter(Adapter(network, info_for(network)))
    embedding = engine.encode(picture, "p")
    for case in CASES.values():
        engine.decode(embedding, case)
    assert len(calls) == 1


def test_the_map_is_the_images(model: torch.nn.Module, picture: np.ndarray) -> None:
    engine = Sam2Segmenter(model, BASE)
    network = trained(PromptAdapter.on(model))
    engine.set_adapter(Adapter(network, info_for(network)))
    seen = engine.decode(engine.encode(picture, "p"), CASES["click"]).chosen.uncertainty
    assert seen is not None
    assert seen.values.shape == (8, 8)
    assert seen.values.dtype == np.float32
    assert 0 <= seen.values.min() <= seen.values.max() <= 1
    assert seen.box == Box(0, 0, 110, 75)
    assert all(0 < p.x < 110 and 0 < p.y < 75 for p in seen.hard_points)


def test_zoom_in_passes_adapters_through_and_places_the_map(model: torch.nn.Module) -> None:
    rng = np.random.default_rng(1)
    large = rng.integers(0, 255, (400, 600, 3), dtype=np.uint8)
    engine = ZoomSegmenter(Sam2Segmenter(model, BASE), margin=1.6)
    network = trained(PromptAdapter.on(model))
    adapter = Adapter(network, info_for(network))
    engine.set_adapter(adapter)
    assert engine.adapter is adapter
    embedding = engine.encode(large, "l")
    box = Box(300, 200, 360, 260)
    seen = engine.decode(embedding, Prompts(box=box)).chosen.uncertainty
    assert seen is not None
    assert 0 < seen.box.x0 <= 300
    assert 360 <= seen.box.x1 < 600
    assert all(seen.box.x0 < p.x < seen.box.x1 and seen.box.y0 < p.y < seen.box.y1 for p in seen.hard_points)
    engine.set_adapter(None)
    assert engine.decode(embedding, Prompts(box=box)).chosen.uncertainty is None


def test_several_pieces_are_answered_at_once_with_an_adapter(model: torch.nn.Module, picture: np.ndarray) -> None:
    engine = Sam2Segmenter(model, BASE, dense_prompt="stamps-2")
    network = trained(PromptAdapter.on(model))
    engine.set_adapter(Adapter(network, info_for(network)))
    pieces = [engine.encode(np.ascontiguousarray(picture[: 60 + 5 * i]), f"p{i}") for i in range(3)]
    together = engine.decode_each([(piece, CASES["click"]) for piece in pieces])
    for piece, found in zip(pieces, together, strict=True):
        alone = engine.decode(piece, CASES["click"])
        np.testing.assert_allclose(logits_of(found), logits_of(alone), atol=1e-4)
        one, other = found.chosen.uncertainty, alone.chosen.uncertainty
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(one.values, other.values, atol=1e-4)
        assert one.box == other.box


# --- gradients --------------------------------------------------------------------------------------------------------


def train_step(model: torch.nn.Module, network: PromptAdapter, *, with_points: bool = True) -> None:
    sam: Any = model
    features = (torch.randn(2, 8, 32, 32), torch.randn(2, 16, 16, 16), torch.randn(2, 64, 8, 8))
    with torch.no_grad():
        points = torch.tensor([[[20.0, 30.0]], [[60.0, 50.0]]])
        sparse, dense = sam.sam_prompt_encoder(
            points=(points, torch.ones(2, 1, dtype=torch.int)), boxes=None, masks=None
        )
    network.train()
    found = decode_adapted(
        sam.sam_mask_decoder,
        network,
        features,
        sparse,
        dense,
        sam.sam_prompt_encoder.get_dense_pe(),
        network.guide(torch.rand(2, 3, 32, 32)),
        with_points=with_points,
        generator=torch.Generator().manual_seed(0),
    )
    loss = found.masks.square().mean()
    if found.maps is not None:
        loss = loss + found.maps.uncertainty.mean() + found.maps.refined.mean() + found.maps.coarse.mean()
    loss.backward()


@pytest.mark.parametrize("ablation", ["", "uses_guide", "uses_tokens", "uses_points"])
def test_gradients_reach_exactly_what_is_trained(model: torch.nn.Module, ablation: str) -> None:
    model.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    config = replace(AdapterConfig(64), **({ablation: False} if ablation else {}))
    network = trained(PromptAdapter.on(model, config))
    train_step(model, network)
    # The other parameters of masks 1..3 are reached, too, because all four masks are in this loss.
    reached = {name for name, p in network.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}
    assert reached == {name for name, p in network.named_parameters() if p.requires_grad}
    assert all(p.grad is None for p in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert network.point_embeddings.grad is None


def test_closed_gates_can_be_opened(model: torch.nn.Module) -> None:
    """At the start nothing is heard, but every gate feels in which direction it should open."""
    model.requires_grad_(False)
    network = PromptAdapter.on(model)
    train_step(model, network)
    for gate in (network.query_gate, network.key_gate, network.point_gate):
        assert gate.grad is not None
        assert bool((gate.grad != 0).all())


def test_points_are_silent_in_the_warm_up(model: torch.nn.Module) -> None:
    model.requires_grad_(False)
    network = PromptAdapter.on(model)
    train_step(model, network, with_points=False)
    assert network.point_gate.grad is None


def test_gumbel_choices_differ_in_training_and_not_in_use(model: torch.nn.Module) -> None:
    network = trained(PromptAdapter.on(model))
    queries, keys = torch.randn(1, 9, 64), torch.randn(1, 64, 64)

    def cells(seed: int) -> list[int]:
        with torch.no_grad():
            maps = network(queries, keys, queries, keys, keys, generator=torch.Generator().manual_seed(seed))[1]
        return maps.cells[0].tolist()  # type: ignore[no-any-return]

    assert cells(1) == cells(2)
    network.train()
    assert cells(1) == cells(1)
    assert len({tuple(cells(seed)) for seed in range(8)}) > 1


def test_edges_are_in_the_guide() -> None:
    flat, square = torch.full((1, 3, 32, 32), 0.2), torch.full((1, 3, 32, 32), 0.2)
    square[..., 8:24, 8:24] = 0.9
    assert guide_input(flat).shape == (1, 4, 32, 32)
    assert float(guide_input(flat)[:, 3].max()) == 0.0
    edges = guide_input(square)[0, 3]
    assert float(edges.max()) == 1.0
    assert float(edges[12:20, 12:20].max()) == 0.0


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(model: torch.nn.Module, tmp_path: Path) -> tuple[PromptAdapter, Path]:
    network = trained(PromptAdapter.on(model))
    info = replace(info_for(network), figures={"box_biou": [0.5, 0.6]}, epochs=3, date="2026-01-01", licence="CC0")
    adapter_files.save_adapter(network, info, tmp_path / "a.safetensors")
    return network, tmp_path / "a.safetensors"


def test_a_file_gives_back_the_same_masks_and_card(
    model: torch.nn.Module, picture: np.ndarray, saved: tuple[PromptAdapter, Path]
) -> None:
    network, path = saved
    read = adapter_files.load_adapter(path, base=BASE)
    assert read.info.figures == {"box_biou": [0.5, 0.6]}
    assert (read.info.epochs, read.info.date, read.info.licence) == (3.0, "2026-01-01", "CC0")
    engine = Sam2Segmenter(model, BASE)
    embedding = engine.encode(picture, "p")
    answers = []
    for adapter in (Adapter(network, info_for(network)), read):
        engine.set_adapter(adapter)
        answers.append(logits_of(engine.decode(embedding, CASES["box"])))
    np.testing.assert_array_equal(*answers)


def test_another_base_is_refused_and_named(model: torch.nn.Module, saved: tuple[PromptAdapter, Path]) -> None:
    network, path = saved
    other = ModelInfo("sam2.1-tiny", "c" * 64, "cpu", "float32", 1024)
    with pytest.raises(ModelError, match=r"test belongs to small \(a{12}\), but sam2.1-tiny \(c{12}\) is in use"):
        adapter_files.load_adapter(path, base=other)
    engine = Sam2Segmenter(model, other)
    with pytest.raises(ModelError, match="belongs to small"):
        engine.set_adapter(Adapter(network, info_for(network)))
    assert engine.adapter is None


@pytest.mark.parametrize("content", [b"", b"not an adapter at all", b"\x80\x04K\x00."])
def test_damaged_files_are_one_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.safetensors"):
        adapter_files.load_adapter(path)


def test_files_that_are_no_adapters(tmp_path: Path, saved: tuple[PromptAdapter, Path]) -> None:
    network, _ = saved
    with pytest.raises(ModelError, match="no adapter file"):
        adapter_files.load_adapter(tmp_path / "none.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="not a prompt adapter"):
        adapter_files.load_adapter(tmp_path / "weights.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", metadata=info_for(network).to_metadata())
    with pytest.raises(ModelError, match=r"w\.safetensors is damaged"):  # refused before the network is made
        adapter_files.load_adapter(tmp_path / "w.safetensors")
    metadata = {**info_for(network).to_metadata(), "config": '{"channels": -3}'}
    save_file({"x": torch.zeros(1)}, tmp_path / "v.safetensors", metadata=metadata)
    with pytest.raises(ModelError, match="does not hold"):
        adapter_files.load_adapter(tmp_path / "v.safetensors")


def test_install_list_and_roll_back(tmp_path: Path, saved: tuple[PromptAdapter, Path]) -> None:
    _, path = saved
    folder = tmp_path / "installed"
    first = adapter_files.install(path, "nuclei", folder).read_bytes()
    network = trained(PromptAdapter(AdapterConfig(64)), seed=5)
    adapter_files.save_adapter(network, info_for(network), tmp_path / "b.safetensors")
    target = adapter_files.install(tmp_path / "b.safetensors", "nuclei", folder)
    (folder / "junk.safetensors").write_bytes(b"junk")
    assert target.read_bytes() != first
    assert [at.name for at, _ in adapter_files.list_adapters([folder])] == ["nuclei.safetensors"]
    second = target.read_bytes()
    assert adapter_files.roll_back("nuclei", folder) == target
    assert target.read_bytes() == first
    adapter_files.roll_back("nuclei", folder)
    assert target.read_bytes() == second, "again: forward"
    adapter_files.remove("nuclei", folder)
    assert not adapter_files.list_adapters([folder])
    for name in ("../x", "", "a/b", "x.safetensors"):
        with pytest.raises(ModelError, match="not a valid name"):
            adapter_files.installed_path(name, folder)
