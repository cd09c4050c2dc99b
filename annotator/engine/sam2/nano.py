"""The embedded model: SAM 2's prompt encoder and mask decoder on a small convolutional trunk of our own.

It is a real ``SAM2Base``, so every other part of the program sees just another SAM 2 model. Hiera's place is taken by a
plain residual network (He et al., CVPR 2016, basic blocks): dense 3 x 3 convolutions are the fastest thing a CPU does.
Or by the trunk of EfficientNet-Lite (:mod:`annotator.engine.sam2.lite_trunk`), which can start from ImageNet's weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.engine.sam2.lite_trunk import LITES, LiteTrunk, least_lite_weights
from annotator.engine.weight_claims import check_network
from annotator.engine.weights import write_weights

FORMAT = "annotator-nano-1"
RATING_PREFIX = "rating_network."
"""Tensors of that name are no part of the model (:mod:`annotator.engine.sam2.rating_tensors`)."""

_MOST_IMAGE_SIZE = 4096
TRUNKS = ("residual", *LITES)


@dataclass(frozen=True, slots=True)
class NanoConfig:
    """The shape of an embedded model.

    Attributes:
        image_size: side S of the square input in pixels, a multiple of 32.
        channels: decoder width C (SAM 2 uses 256).
        trunk: "residual", or a name of :data:`~annotator.engine.sam2.lite_trunk.LITES`.
        stage_channels: a residual trunk's width at strides 4, 8, 16, 32; other trunks have their own.
        stage_blocks: its blocks at those strides.
        mlp_channels: hidden width of the transformer's MLPs.
        dense_prompt: how clicks are stamped into the dense prompt (:mod:`annotator.engine.sam2.dense_prompt`).
        zoom_margin: side of a zoom-in piece over the longer side of the object
            (:mod:`annotator.engine.zoom.segmenter`).
    """

    image_size: int = 320
    channels: int = 128
    stage_channels: tuple[int, int, int, int] = (48, 96, 192, 320)
    stage_blocks: tuple[int, int, int, int] = (1, 2, 2, 1)
    mlp_channels: int = 1024
    dense_prompt: str = "stamps-2"
    zoom_margin: float = 1.6
    trunk: str = "residual"


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions round a shortcut; ``stride`` 2 halves the grid."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
            self.shortcut = nn.Sequential(
                pool, nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)
            )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.act(self.norm1(self.conv1(x)))
        return self.act(self.norm2(self.conv2(inner)) + self.shortcut(x))  # type: ignore[no-any-return]


class NanoTrunk(nn.Module):
    """B x 3 x S x S to four feature maps at strides 4, 8, 16, 32; ``channel_list`` names widths deepest first."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        first = config.stage_channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, first, 3, 2, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
        )
        stages, channels_in = [], first
        for index, (channels, count) in enumerate(zip(config.stage_channels, config.stage_blocks, strict=True)):
            blocks = [ResidualBlock(channels_in, channels, 1 if index == 0 else 2)]
            blocks += [ResidualBlock(channels, channels, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            channels_in = channels
        self.stages = nn.ModuleList(stages)
        self.channel_list = list(config.stage_channels[::-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def least_weights(config: NanoConfig) -> int:
    """Weights that a model of this shape has at least: the trunk's convolutions, and the transformer's two layers.

    Raises:
        ValueError: an image size that no model has (grids of positions are made for it), a width below 1, or a trunk
            that this version does not know.
    """
    if config.trunk not in TRUNKS:
        raise ValueError(f"a trunk {config.trunk!r}")
    if not 32 <= config.image_size <= _MOST_IMAGE_SIZE:
        raise ValueError(f"an image size of {config.image_size}")
    widths = (config.channels, config.mlp_channels, *config.stage_channels, *config.stage_blocks)
    if any(not isinstance(width, int) or width < 1 for width in widths):
        raise ValueError("a width that is not a whole number from 1")
    blocks = zip(config.stage_blocks, config.stage_channels, strict=True)
    trunk = sum(9 * width**2 * (2 * count - 1) for count, width in blocks)
    if config.trunk in LITES:
        trunk = least_lite_weights(config.trunk)
    return trunk + 4 * config.channels * config.mlp_channels + 4 * config.channels**2


def build_nano(config: NanoConfig) -> nn.Module:
    """A ``SAM2Base`` with freshly initialised weights, in training mode, on the CPU."""
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam.transformer import TwoWayTransformer
    from sam2.modeling.sam2_base import SAM2Base

    trunk = LiteTrunk(config.trunk) if config.trunk in LITES else NanoTrunk(config)
    neck = FpnNeck(
        position_encoding=PositionEmbeddingSine(num_pos_feats=config.channels, normalize=True),
        d_model=config.channels,
        backbone_channel_list=trunk.channel_list,
        fpn_top_down_levels=[1, 2, 3],
        fpn_interp_model="nearest",
    )
    model: nn.Module = SAM2Base(
        image_encoder=ImageEncoder(trunk=trunk, neck=neck, scalp=1),
        memory_attention=nn.Identity(),
        memory_encoder=nn.Identity(),
        num_maskmem=1,
        image_size=config.image_size,
        directly_add_no_mem_embed=True,
        use_high_res_features_in_sam=True,
        multimask_output_in_sam=True,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
    )
    decoder: Any = model.sam_mask_decoder
    decoder.transformer = TwoWayTransformer(
        depth=2, embedding_dim=config.channels, mlp_dim=config.mlp_channels, num_heads=8
    )
    return model


def with_video_memory(model: nn.Module, config: NanoConfig, *, frames: int = 7, channels: int = 64) -> nn.Module:
    """SAM 2's video model on an embedded model's own modules, in eval mode; only the memory is fresh (untrained).

    An image model has no place for what a video needs (memories, object pointers, the pointer for "no object"), so it
    cannot run ``track_step``; this one can. Its image encoder, prompt encoder and mask decoder *are* the given model's.
    Where the model was trained with a drawn dense prompt, that goes in as ``prev_sam_mask_logits``.

    Args:
        frames: memories that a frame looks back at, itself included; channels: width of a memory.
    """
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam.transformer import RoPEAttention
    from sam2.modeling.sam2_base import SAM2Base

    width, cells = config.channels, config.image_size // 16
    attention: dict[str, Any] = {"embedding_dim": width, "num_heads": 1, "downsample_rate": 1, "dropout": 0.1}
    layer = MemoryAttentionLayer(
        activation="relu",
        d_model=width,
        dim_feedforward=config.mlp_channels,
        dropout=0.1,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=RoPEAttention(**attention, feat_sizes=(cells, cells)),
        cross_attention=RoPEAttention(**attention, feat_sizes=(cells, cells), rope_k_repeat=True, kv_in_dim=channels),
    )
    given: Any = model
    video: Any = SAM2Base(
        image_encoder=given.image_encoder,
        memory_attention=MemoryAttention(d_model=width, pos_enc_at_input=True, layer=layer, num_layers=2),
        memory_encoder=MemoryEncoder(
            out_dim=channels,
            in_dim=width,
            position_encoding=PositionEmbeddingSine(num_pos_feats=channels, normalize=True),
            mask_downsampler=MaskDownSampler(embed_dim=width, kernel_size=3, stride=2, padding=1),
            fuser=Fuser(CXBlock(width), num_layers=2),
        ),
        num_maskmem=frames,
        image_size=config.image_size,
        sigmoid_scale_for_mem_enc=20.0,
        sigmoid_bias_for_mem_enc=-10.0,
        directly_add_no_mem_embed=True,
        no_obj_embed_spatial=True,
        use_high_res_features_in_sam=True,
        multimask_output_in_sam=True,
        iou_prediction_use_sigmoid=True,
        use_obj_ptrs_in_encoder=True,
        proj_tpos_enc_in_obj_ptrs=True,
        use_signed_tpos_enc_to_obj_ptrs=True,
        only_obj_ptrs_in_the_past_for_eval=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True,
        use_mlp_for_obj_ptr_proj=True,
    )
    video.sam_prompt_encoder, video.sam_mask_decoder = given.sam_prompt_encoder, given.sam_mask_decoder
    video.no_mem_embed = given.no_mem_embed
    return video.eval()  # type: ignore[no-any-return]


def save_nano(model: nn.Module, path: Path, *, config: NanoConfig, metadata: Mapping[str, str]) -> None:
    """Write the weights as fp16 safetensors with string metadata, atomically. Integer buffers keep their type.

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {
        name: (tensor.detach().cpu().half() if tensor.is_floating_point() else tensor.detach().cpu()).contiguous()
        for name, tensor in model.state_dict().items()
    }
    text = {"format": FORMAT, "config": json.dumps(asdict(config), sort_keys=True), **metadata}
    write_weights(path, save(tensors, metadata=text))


def say_in_nano(path: Path, out: Path, said: Mapping[str, str], rating: Mapping[str, Tensor] | None = None) -> None:
    """Write an embedded model's file again with more metadata; its weights stay as they are, to the bit.

    Args:
        rating: the tensors of its rating network in place of those it has, none for none; None leaves what there is.

    Raises:
        ModelError: as :func:`read_nano_metadata`. OSError: ``out`` cannot be written.
    """
    metadata = read_nano_metadata(path)
    tensors = _tensors(path)
    if rating is not None:
        tensors = {name: t for name, t in tensors.items() if not name.startswith(RATING_PREFIX)} | dict(rating)
    write_weights(out, save(tensors, metadata={**metadata, **said}))


def _tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping


def read_nano_metadata(path: Path) -> dict[str, str]:
    """The string metadata of an embedded model's file.

    Raises:
        ModelError: the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise ModelError(f"There is no model file {brief(path)}.", "Check the path.") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{brief(path.name)} is not a readable safetensors file.", "Copy it again from its source."
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{brief(path.name)} is not an embedded model of format {FORMAT}.", "Use a model of this version."
        )
    return metadata


def load_nano(path: Path) -> tuple[nn.Module, NanoConfig, dict[str, str]]:
    """The model in eval mode (float32), its configuration and its metadata.

    Raises:
        ModelError: the file is missing, damaged or of another kind.
    """
    metadata = read_nano_metadata(path)
    try:
        raw = json.loads(metadata["config"])
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        config = NanoConfig(**fields)
        check_network(path, least_weights(config))
        state = {name: tensor for name, tensor in _tensors(path).items() if not name.startswith(RATING_PREFIX)}
        model = build_nano(config)
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{brief(path.name)} does not hold the model it names.", "Copy it again from its source."
        ) from error
    trunk: nn.Module = model.get_submodule("image_encoder.trunk")
    trunk.to(memory_format=torch.channels_last)  # processors convolve so in half of the time
    return model.eval(), config, metadata


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
