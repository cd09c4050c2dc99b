"""Toy models of the library's real classes with random weights, saved in the layout that model hubs have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

SIDE, CHANNELS = 128, 32
KINDS = ("sam", "sam_hq", "sam2_folder", "edgetam", "sam3_tracker")


def _sizes(side: int, patch: int = 4) -> list[list[int]]:
    return [[side // (patch * 2**level)] * 2 for level in range(3)]


def _decoder() -> dict[str, Any]:
    return {"hidden_size": CHANNELS, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": CHANNELS}


def build(kind: str) -> Any:
    """A model of a family, the same every time."""
    torch.manual_seed(0)
    model = globals()[f"_{kind}"]().eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:  # these begin at 0: make them count
                values.normal_(std=0.1)
    return model


def _vit() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "output_channels": CHANNELS,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 16,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": CHANNELS // 2,
        "mlp_dim": 64,
    }


def _sam() -> Any:
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    prompts = SamPromptEncoderConfig(hidden_size=CHANNELS, image_size=SIDE, patch_size=16)
    decoder = SamMaskDecoderConfig(**_decoder())
    vision = SamVisionConfig(**_vit())
    return SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))


def _sam_hq() -> Any:
    from transformers import SamHQConfig, SamHQMaskDecoderConfig, SamHQModel, SamHQPromptEncoderConfig
    from transformers import SamHQVisionConfig as Vision

    prompts = SamHQPromptEncoderConfig(hidden_size=CHANNELS, image_size=SIDE, patch_size=16)
    decoder = SamHQMaskDecoderConfig(**_decoder(), vit_dim=32)
    vision = Vision(**_vit())
    return SamHQModel(SamHQConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))


def _sam2_folder() -> Any:
    from transformers import Sam2Config, Sam2Model
    from transformers.models.sam2.configuration_sam2 import (
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    trunk = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 2, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 4, 4],
        global_attention_blocks=[2],
    )
    vision = Sam2VisionConfig(
        backbone_config=trunk,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=_sizes(SIDE),
        fpn_hidden_size=CHANNELS,
    )
    prompts = Sam2PromptEncoderConfig(hidden_size=CHANNELS, image_size=SIDE)
    decoder = Sam2MaskDecoderConfig(**_decoder())
    return Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))


def _edgetam() -> Any:
    from transformers import EdgeTamConfig, EdgeTamModel, EdgeTamVisionConfig, TimmWrapperConfig
    from transformers.models.edgetam.configuration_edgetam import EdgeTamMaskDecoderConfig, EdgeTamPromptEncoderConfig

    arguments = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    trunk = TimmWrapperConfig(architecture="repvit_m1", model_args=arguments)
    vision = EdgeTamVisionConfig(backbone_config=trunk, backbone_feature_sizes=_sizes(SIDE), fpn_hidden_size=CHANNELS)
    prompts = EdgeTamPromptEncoderConfig(hidden_size=CHANNELS, image_size=SIDE)
    decoder = EdgeTamMaskDecoderConfig(**_decoder())
    return EdgeTamModel(EdgeTamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))


def sam3_vision(side: int = 112) -> Any:
    """The encoder that all parts of SAM 3 share."""
    from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig, Sam3ViTConfig

    grid = side // 14
    trunk = Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=side,
        pretrain_image_size=56,
        patch_size=14,
        window_size=4,
        global_attn_indexes=[1],
    )
    sizes = [[grid * 4] * 2, [grid * 2] * 2, [grid] * 2]
    return Sam3VisionConfig(backbone_config=trunk, fpn_hidden_size=CHANNELS, backbone_feature_sizes=sizes)


def _sam3_tracker() -> Any:
    from transformers import Sam3TrackerConfig, Sam3TrackerModel
    from transformers.models.sam3_tracker.configuration_sam3_tracker import (
        Sam3TrackerMaskDecoderConfig,
        Sam3TrackerPromptEncoderConfig,
    )

    prompts = Sam3TrackerPromptEncoderConfig(hidden_size=CHANNELS, image_size=112, patch_size=14).to_dict()
    decoder = Sam3TrackerMaskDecoderConfig(**_decoder()).to_dict()
    config = Sam3TrackerConfig(vision_config=sam3_vision(), prompt_encoder_config=prompts, mask_decoder_config=decoder)
    return Sam3TrackerModel(config)


def saved(kind: str, folder: Path) -> Path:
    """The folder of a toy model of a family."""
    place = folder / kind
    build(kind).save_pretrained(place)
    return place


def picture(width: int = 120, height: int = 80) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Noise with a bright disc, H x W x 3."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    image[(x - width // 3) ** 2 + (y - height // 2) ** 2 < 400] += np.uint8(120)
    return image


# --- models that read words -------------------------------------------------------------------------------------------


def save_tokenizer(place: Path, *, first: str, last: str, length: int) -> None:
    """A tokenizer of whole words, saved as hubs have it: 0 padding, 1 unknown, 2 and 3 the ends, letters, words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", first, last, ".", "mushroom", "debris", "red", "visual", "a", "photo", "of"]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, 2), (last, 3)]
    )
    saved_one = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=length
    )
    saved_one.save_pretrained(place)


def _clip_text(length: int) -> dict[str, Any]:
    return {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "projection_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": length,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }


def _sam3() -> Any:
    from transformers import CLIPTextConfig, Sam3Config, Sam3Model

    small = {"hidden_size": CHANNELS, "num_attention_heads": 2}
    layers = {**small, "num_layers": 1, "intermediate_size": 64}
    return Sam3Model(
        Sam3Config(
            vision_config=sam3_vision(),
            text_config=CLIPTextConfig(**_clip_text(32)).to_dict(),
            geometry_encoder_config=layers,
            detr_encoder_config=layers,
            detr_decoder_config={**layers, "num_queries": 10},
            mask_decoder_config={**small, "num_upsampling_stages": 3},
        )
    )


def _grounding_dino() -> Any:
    from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    swin = SwinConfig(
        image_size=64,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
        window_size=4,
        out_indices=[2, 3, 4],
    )
    bert = BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    config = GroundingDinoConfig(
        backbone_config=swin.to_dict(),
        text_config=bert.to_dict(),
        num_queries=20,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        d_model=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        max_text_len=24,
        disable_custom_kernels=True,
    )
    return GroundingDinoForObjectDetection(config)


def _owl() -> Any:
    from transformers import Owlv2Config, Owlv2ForObjectDetection

    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
    }
    return Owlv2ForObjectDetection(Owlv2Config(text_config=_clip_text(16), vision_config=vision, projection_dim=32))


def _clip() -> Any:
    from transformers import CLIPConfig, CLIPModel

    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    text = {key: value for key, value in _clip_text(16).items() if key != "projection_dim"}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))


WORD_KINDS = {"sam3": ("sam3", 32), "grounding_dino": ("grounding-dino-tiny", 24), "owl": ("owlv2-base", 16)}
"""Families for words: the model's name in the registry, and how many tokens it reads."""


def saved_with_words(kind: str, folder: Path, *, length: int) -> Path:
    """As :func:`saved`, with a tokenizer."""
    place = saved(kind, folder)
    if kind == "grounding_dino":  # else the picture would be enlarged to 1200 pixels
        (place / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 64, "longest_edge": 96}}')
    save_tokenizer(place, first="[CLS]", last="[SEP]", length=length)
    return place
