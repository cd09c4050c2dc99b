"""SAM 1: folders of model hubs, and the authors' own ``.pth`` files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.engine.hf.door import build_model, library, load_state, open_model
from annotator.engine.hf.layout import Preprocessing
from annotator.engine.hf.loading import IMAGENET_MEAN, IMAGENET_STD, PromptNetwork, place_of, segmenter_of
from annotator.engine.hf.segmenter import HubSegmenter
from annotator.engine.specs import ModelSource
from annotator.engine.torch_files import read_state
from annotator.engine.weight_claims import check_checkpoint

PATCH = 16
RULES = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"\.blocks\.", ".layers."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"neck\.0\.", "neck.conv1."),
    (r"neck\.1\.", "neck.layer_norm1."),
    (r"neck\.2\.", "neck.conv2."),
    (r"neck\.3\.", "neck.layer_norm2."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"point_embeddings\.", "point_embed."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+|hf_mlp)\.layers\.0\.", r"\1.proj_in."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+|hf_mlp)\.layers\.1\.", r"\1.layers.0."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+|hf_mlp)\.layers\.2\.", r"\1.proj_out."),
    (r"norm_final_attn\.", "layer_norm_final_attn."),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
)
"""The authors' names of tensors, and the library's."""
GLOBAL_BLOCKS = {12: [2, 5, 8, 11], 24: [5, 11, 17, 23], 32: [7, 15, 23, 31]}
"""By the number of blocks, those that see the whole image: this does not stand in the weights."""
HEADS_OF_WIDTH = {768: 12, 1024: 16, 1280: 16}


def load(source: ModelSource) -> HubSegmenter:
    """As a family of the registry.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = place_of(source)
    model = open_model(place, "SamModel", model_types=("sam",)) if place.is_dir() else read_pth(place)
    return segmenter_of(source, PromptNetwork(model, preprocessing_of(model)))


def preprocessing_of(model: Any) -> Preprocessing:
    """SAM 1's: the longer side fills the square."""
    side = int(model.config.vision_config.image_size)
    return Preprocessing(side, IMAGENET_MEAN, IMAGENET_STD, is_letterboxed=True)


def read_pth(path: Path) -> Any:
    """A checkpoint of the authors as a model of the library.

    Raises:
        ModelError: it is damaged, or of another model.
    """
    state = read_checkpoint(path)
    found = library()
    config = found.SamConfig(
        vision_config=found.SamVisionConfig(**vision_settings(state, path.name)),
        prompt_encoder_config=found.SamPromptEncoderConfig(image_size=_side(state), patch_size=PATCH),
        mask_decoder_config=found.SamMaskDecoderConfig(),
    )
    model = build_model(config, "SamModel")
    load_state(model, renamed(state, RULES), path.name)
    return model


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of an authors' file by their names; nothing of it is run.

    Raises:
        ModelError: it is damaged, or has another layout.
    """
    check_checkpoint(path)
    state = read_state(path)
    if "image_encoder.pos_embed" not in state or "image_encoder.patch_embed.proj.weight" not in state:
        raise ModelError(f"{brief(path.name)} is no checkpoint of SAM 1.", "Choose another file.")
    return state


def vision_settings(state: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    """What the encoder of a checkpoint looks like, read from the shapes of its tensors.

    Raises:
        ModelError: no encoder has such shapes.
    """
    width = int(state["image_encoder.pos_embed"].shape[-1])
    depth = 1 + max(int(found[1]) for key in state if (found := re.match(r"image_encoder\.blocks\.(\d+)\.", key)))
    if depth not in GLOBAL_BLOCKS or width not in HEADS_OF_WIDTH:
        raise ModelError(
            f"{brief(name)} has an encoder that is not known ({depth} blocks of {width}).", "Choose ViT-B, L or H."
        )
    return {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": HEADS_OF_WIDTH[width],
        "mlp_dim": 4 * width,
        "global_attn_indexes": GLOBAL_BLOCKS[depth],
        "image_size": _side(state),
        "patch_size": PATCH,
    }


def renamed(state: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """Tensors under the names of the library."""
    out = {}
    for key, value in state.items():
        if key.startswith("pixel_"):
            continue
        for pattern, name in rules:
            key = re.sub(pattern, name, key)
        out[key] = value
    positions = out.get("prompt_encoder.shared_embedding.positional_embedding")
    if positions is not None:
        out["shared_image_embedding.positional_embedding"] = positions
    return out


def _side(state: Mapping[str, Tensor]) -> int:
    return PATCH * int(state["image_encoder.pos_embed"].shape[1])
