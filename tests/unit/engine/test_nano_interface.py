"""The shipped embedded model keeps SAM 2's interface: quantisation and video memory work on its modules as they are."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from annotator.domain.adapter import AdapterInfo
from annotator.domain.errors import ModelError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine import weights
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.adapted_decoder import Adapter
from annotator.engine.sam2.adapter_files import config_of, load_adapter, save_adapter
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.sam2.dense_prompt import draw_prompts
from annotator.engine.sam2.nano import NanoConfig, build_nano, load_nano, with_video_memory
from annotator.engine.sam2.segmenter import Sam2Segmenter

NANO_1_SHA256 = "db71bc71b6ac742c93c0b8d7a3e331e8cfa409d1143578b841eb2db5fcc9aa79"
"""Of the first version's file, which is not shipped any more."""
PROMPTS = (
    Prompts((PointPrompt(150, 100),)),
    Prompts((PointPrompt(150, 100), PointPrompt(20, 20, False))),
    Prompts(box=Box(88, 58, 212, 142)),
)


@pytest.fixture(scope="module")
def shipped() -> tuple[nn.Module, NanoConfig]:
    status = weights.status_of(weights.registry()["nano"])
    assert status.path is not None
    model, config, _ = load_nano(status.path)
    return model.requires_grad_(False), config


def picture(*, shift: int = 0) -> np.ndarray:
    """A red block on a textured grey ground: 200 x 300 x 3."""
    image = np.random.default_rng(0).integers(100, 140, (200, 300, 3), dtype=np.uint8)
    image[60:140, 90 + shift : 210 + shift] = (230, 60, 40)
    return image


def truth() -> Mask:
    full = np.zeros((200, 300), bool)
    full[60:140, 90:210] = True
    return Mask.from_full(full)


def segmenter_of(model: nn.Module, config: NanoConfig) -> Sam2Segmenter:
    """On the official decoder's own modules, not on our copy of its weights."""
    info = ModelInfo("nano", "0" * 64, "cpu", "float32", config.image_size)
    return Sam2Segmenter(model, info, dense_prompt=config.dense_prompt, use_fast_decoder=False)


# --- quantisation -----------------------------------------------------------------------------------------------------


class Int8Linear(nn.Module):
    """A linear layer with int8 weights, one scale for each output, and activations rounded to int8 when they come."""

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        scale = linear.weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
        self.register_buffer("weight", (linear.weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale[:, 0])
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        step = x.abs().amax().clamp_min(1e-12) / 127
        product = (x / step).round() @ self.weight.float().T
        return product * (step * self.scale) + self.bias


def quantised(decoder: nn.Module) -> int:
    """Replace every linear layer in place; returns how many there were."""
    count = 0
    for parent in list(decoder.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8Linear(child))
                count += 1
    return count


def test_the_decoders_linear_layers_bear_int8(shipped: tuple[nn.Module, NanoConfig]) -> None:
    model, config = shipped
    small: Any = copy.deepcopy(model)
    assert quantised(small.sam_mask_decoder) == 50
    full_engine, small_engine = segmenter_of(model, config), segmenter_of(small, config)
    full_image, small_image = full_engine.encode(picture(), "x"), small_engine.encode(picture(), "x")
    for prompts in PROMPTS:
        full, less = full_engine.decode(full_image, prompts), small_engine.decode(small_image, prompts)
        assert full.chosen.mask.iou(truth()) > 0.8
        for one, other in zip(full.items, less.items, strict=True):
            assert one.mask.iou(other.mask) > 0.95
            assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=0.05)
            assert not np.array_equal(one.logits, other.logits)  # so it was the int8 one that answered


# --- video memory -----------------------------------------------------------------------------------------------------


def features_of(video: Any, image: np.ndarray, config: NanoConfig) -> tuple[dict[str, Any], torch.Tensor]:
    """What ``track_step`` takes of a frame, and the thumbnail for the dense prompt."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    square = F.interpolate(pixels, (config.image_size, config.image_size), mode="bilinear", antialias=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (square - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    _, vision, places, sizes = video._prepare_backbone_features(video.forward_image(normal))
    frame = {"current_vision_feats": vision, "current_vision_pos_embeds": places, "feat_sizes": sizes}
    return frame, F.avg_pool2d(square, 4)


def box_inputs(config: NanoConfig, box: Box) -> dict[str, torch.Tensor]:
    scale = torch.tensor([config.image_size / 300, config.image_size / 200])
    corners = torch.tensor([[[box.x0, box.y0], [box.x1, box.y1]]]) * scale
    return {"point_coords": corners, "point_labels": torch.tensor([[2, 3]], dtype=torch.int32)}


def track(video: Any, config: NanoConfig, box: Box) -> tuple[dict[str, Any], dict[str, Any]]:
    """A box on the first frame, nothing but the memory on the second, where the object has moved."""
    outputs: dict[str, Any] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    first, thumbnail = features_of(video, picture(), config)
    points = box_inputs(config, box)
    drawn = draw_prompts(config.dense_prompt, points["point_coords"], points["point_labels"], thumbnail)
    given = {"point_coords": points["point_coords"] - 0.5, "point_labels": points["point_labels"]}
    same: dict[str, Any] = {"mask_inputs": None, "output_dict": outputs, "num_frames": 2}
    start = video.track_step(
        frame_idx=0, is_init_cond_frame=True, point_inputs=given, prev_sam_mask_logits=drawn, **first, **same
    )
    outputs["cond_frame_outputs"][0] = start
    second, _ = features_of(video, picture(shift=6), config)
    return start, video.track_step(frame_idx=1, is_init_cond_frame=False, point_inputs=None, **second, **same)


@pytest.fixture
def video(shipped: tuple[nn.Module, NanoConfig]) -> Any:
    torch.manual_seed(0)
    return with_video_memory(*shipped)


def test_an_image_model_has_no_place_for_a_video(shipped: tuple[nn.Module, NanoConfig]) -> None:
    """Why there is :func:`with_video_memory`: without pointers SAM 2 cannot say that an object has left."""
    with torch.inference_mode(), pytest.raises(AttributeError, match="no_obj_ptr"):
        track(shipped[0], shipped[1], Box(88, 58, 212, 142))


def test_sam_2s_memory_takes_what_the_embedded_model_gives(shipped: tuple[nn.Module, NanoConfig], video: Any) -> None:
    model, config = shipped
    cells, side = config.image_size // 16, config.image_size
    with torch.inference_mode():
        start, following = track(video, config, Box(88, 58, 212, 142))
    for output in (start, following):
        assert output["obj_ptr"].shape == (1, config.channels)
        assert output["pred_masks"].shape == (1, 1, side // 4, side // 4)
        assert output["pred_masks_high_res"].shape == (1, 1, side, side)
        assert output["maskmem_features"].shape == (1, 64, cells, cells)
        assert output["maskmem_pos_enc"][-1].shape == (1, 64, cells, cells)
        for name in ("obj_ptr", "pred_masks", "maskmem_features", "object_score_logits"):
            assert torch.isfinite(output[name]).all(), name
    # The first frame, which no memory touches, is the image model's own answer.
    found = segmenter_of(model, config).decode(
        segmenter_of(model, config).encode(picture(), "x"), Prompts(box=Box(88, 58, 212, 142))
    )
    assert found.chosen.mask.iou(truth()) > 0.8
    np.testing.assert_array_equal(start["pred_masks"][0, 0].numpy() > 0, found.chosen.logits > 0)
    np.testing.assert_allclose(start["pred_masks"][0, 0].clamp(-32, 32).numpy(), found.chosen.logits, atol=1e-2)


def test_the_second_frame_depends_on_the_memory(shipped: tuple[nn.Module, NanoConfig], video: Any) -> None:
    _, config = shipped
    with torch.inference_mode():
        _, one = track(video, config, Box(88, 58, 212, 142))
        _, other = track(video, config, Box(5, 5, 60, 50))
    assert not torch.allclose(one["maskmem_features"], other["maskmem_features"])
    assert not torch.allclose(one["obj_ptr"], other["obj_ptr"])


def test_the_memory_can_be_trained_and_the_model_stays(shipped: tuple[nn.Module, NanoConfig], video: Any) -> None:
    model, config = shipped
    shared = {name for name, _ in model.named_parameters() if name != "maskmem_tpos_enc"}
    of_both: dict[str, Any] = dict(video.named_parameters())
    before = dict(model.named_parameters())
    assert all(of_both[name] is before[name] for name in shared - {"no_mem_pos_enc"})
    _, following = track(video, config, Box(88, 58, 212, 142))
    following["maskmem_features"].square().mean().backward()
    with_gradient = {name.split(".")[0] for name, p in of_both.items() if p.grad is not None and p.grad.any()}
    assert {"memory_encoder", "memory_attention", "obj_ptr_proj"} <= with_gradient
    assert with_gradient.isdisjoint({"image_encoder", "sam_prompt_encoder", "sam_mask_decoder"})


def test_a_model_of_another_width_gets_a_memory_of_its_width() -> None:
    config = NanoConfig(
        image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
    )
    torch.manual_seed(0)
    with torch.inference_mode():
        for channels in (64, 32):
            _, following = track(
                with_video_memory(build_nano(config).eval(), config, channels=channels), config, Box(88, 58, 212, 142)
            )
            assert following["maskmem_features"].shape == (1, channels, 8, 8)
            assert torch.isfinite(following["pred_masks"]).all()


# --- adapters of the model before -------------------------------------------------------------------------------------


def test_adapters_made_for_nano_1_are_refused_by_name(tmp_path: Any) -> None:
    engine = load_segmenter("nano", device="cpu", dtype=torch.float32)
    network = PromptAdapter(AdapterConfig(channels=128))
    old = AdapterInfo("cells", "nuclei", "nano", NANO_1_SHA256, config_of(network), "2 images")
    save_adapter(network, old, tmp_path / "cells.safetensors")
    told = rf"cells belongs to nano \({NANO_1_SHA256[:12]}\), but nano \({engine.info.sha256[:12]}\) is in use"
    with pytest.raises(ModelError, match=told) as refused:
        load_adapter(tmp_path / "cells.safetensors", base=engine.info)
    assert "train the adapter anew on nano" in str(refused.value)
    with pytest.raises(ModelError, match=told):
        engine.set_adapter(Adapter(network, old))
    assert engine.adapter is None
