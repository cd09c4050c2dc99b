"""The trunk of EfficientNet-Lite in an embedded model: its shape, its padding, its file, and the engine on it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from annotator.domain.errors import EncodeCancelled, ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.sam2.lite_trunk import LITES, LiteTrunk, SameConv, least_lite_weights
from annotator.engine.sam2.nano import FORMAT, NanoConfig, build_nano, least_weights, load_nano, save_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter

SMALL = NanoConfig(image_size=64, channels=32, mlp_channels=32, trunk="lite0")


@pytest.mark.parametrize(("kind", "widths"), [("lite0", [320, 112, 40, 24]), ("lite2", [352, 120, 48, 24])])
def test_four_maps_at_strides_4_to_32(kind: str, widths: list[int]) -> None:
    trunk = LiteTrunk(kind).eval()
    assert trunk.channel_list == widths
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (1, width, 64 // stride, 96 // stride) for width, stride in zip(widths[::-1], (4, 8, 16, 32), strict=True)
    ]
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert least_lite_weights(kind) == sum(m.weight.numel() for m in convolutions)
    assert all(m.bias is not None for m in convolutions)


@pytest.mark.parametrize(("kernel", "edges"), [(3, (0, 1, 0, 1)), (5, (1, 2, 1, 2))])
def test_a_stride_of_two_pads_bottom_and_right_more(kernel: int, edges: tuple[int, ...]) -> None:
    convolution = SameConv(2, 2, kernel, 2, groups=2)
    x = torch.randn(1, 2, 8, 8)
    wanted = F.conv2d(F.pad(x, edges), convolution.weight, convolution.bias, stride=2, groups=2)
    torch.testing.assert_close(convolution(x), wanted)
    assert SameConv(2, 2, kernel)(x).shape == x.shape


def test_filters_of_one_channel_are_trained_in_float32_beside_bf16() -> None:
    depth, wide = SameConv(2, 2, 3, groups=2), SameConv(2, 2, 1)
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.zeros(1, 2, 4, 4)
        assert (depth(x).dtype, wide(x).dtype) == (torch.float32, torch.bfloat16)
        depth.requires_grad_(False)
        assert depth(x).dtype == torch.bfloat16  # in use nothing is trained


def test_an_embedded_model_on_it_is_written_read_and_answers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_nano(SMALL).eval()
    path = tmp_path / "lite.safetensors"
    save_nano(model, path, config=SMALL, metadata={})
    loaded, config, _ = load_nano(path)
    assert config == SMALL
    info = ModelInfo("lite", "0" * 64, "cpu", "float32", 64)
    pixels = (np.random.default_rng(0).random((48, 64, 3)) * 255).astype(np.uint8)
    answers = []
    for network in (model, loaded):
        engine = Sam2Segmenter(network, info, dense_prompt=SMALL.dense_prompt)
        embedding = engine.encode(pixels, "a")
        answers.append(engine.decode(embedding, Prompts((PointPrompt(20.0, 20.0),))).chosen.logits)
    np.testing.assert_allclose(answers[0], answers[1], atol=0.05)  # half precision
    with pytest.raises(EncodeCancelled):
        engine.encode(pixels, "b", is_cancelled=lambda: True)


@pytest.mark.parametrize("trunk", ["residual", "lite0"])
def test_a_trunk_is_read_in_the_layout_that_processors_convolve_fastest(trunk: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = replace(SMALL, trunk=trunk, stage_channels=(16, 16, 16, 16), stage_blocks=(1, 1, 1, 1))
    model = build_nano(config).eval()
    save_nano(model, tmp_path / "nano.safetensors", config=config, metadata={})
    loaded, _, _ = load_nano(tmp_path / "nano.safetensors")
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before, found = (network.get_submodule("image_encoder.trunk").half().float()(x) for network in (model, loaded))
    assert all(m.is_contiguous(memory_format=torch.channels_last) for m in found)
    for own, wanted in zip(found, before, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-3, atol=1e-3)


def test_a_trunk_that_is_not_known_is_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    config = json.dumps({**asdict(SMALL), "trunk": "lite9"})
    save_file({"x": torch.zeros(1)}, path, metadata={"format": FORMAT, "config": config})
    with pytest.raises(ModelError, match="does not hold the model"):
        load_nano(path)


def test_a_small_file_cannot_name_a_large_trunk() -> None:
    plain = least_weights(replace(SMALL, trunk="residual", stage_channels=(1, 1, 1, 1), stage_blocks=(1, 1, 1, 1)))
    for kind in LITES:
        assert least_weights(replace(SMALL, trunk=kind)) > plain + 2_000_000
