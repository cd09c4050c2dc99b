"""HQ-SAM: folders of model hubs, and the authors' own ``.pth`` files.

The library's decoder (5.24) upscales the image tokens that go into its transformer, not those that come out of it.
Here its modules are called as the authors' decoder calls them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from annotator.engine.hf.door import build_model, library, load_state, open_model
from annotator.engine.hf.loading import PromptNetwork, place_of, segmenter_of
from annotator.engine.hf.sam import RULES, preprocessing_of, read_checkpoint, renamed, vision_settings
from annotator.engine.hf.segmenter import HubSegmenter, RawMasks
from annotator.engine.specs import ModelSource

HQ_RULES = (
    (r"hf_token\.", "hq_token."),
    (r"compress_vit_feat\.0\.", "compress_vit_conv1."),
    (r"compress_vit_feat\.1\.", "compress_vit_norm."),
    (r"compress_vit_feat\.3\.", "compress_vit_conv2."),
    (r"embedding_encoder\.0\.", "encoder_conv1."),
    (r"embedding_encoder\.1\.", "encoder_norm."),
    (r"embedding_encoder\.3\.", "encoder_conv2."),
    (r"embedding_maskfeature\.0\.", "mask_conv1."),
    (r"embedding_maskfeature\.1\.", "mask_norm."),
    (r"embedding_maskfeature\.3\.", "mask_conv2."),
    *RULES,
    (r"hf_mlp\.", "hq_mask_mlp."),
)


class HqNetwork(PromptNetwork):
    """SAM's masks plus what the token for high quality adds to each of them."""

    def levels(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The embedding, and what the first block that sees the whole image says (1 x 64 x 64 x width)."""
        embedding, blocks = self.model.get_image_embeddings(pixels)
        return embedding, blocks[0]

    def answer(
        self,
        levels: tuple[Tensor, ...],
        *,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask: bool,
    ) -> RawMasks:
        """See :class:`annotator.engine.hf.segmenter.Network`."""
        embedding, block = levels
        if points is not None and labels is None:
            labels = torch.ones_like(points[..., 0], dtype=torch.long)
        sparse, dense = self.model.prompt_encoder(points, labels, boxes, masks)
        if sparse is None:  # a mask alone
            sparse = embedding.new_zeros(1, 1 if masks is None else masks.shape[0], 0, embedding.shape[1])
        logits, iou = self._decoded(embedding, block, sparse, dense)
        chosen = slice(1, logits.shape[1] - 1) if multimask else slice(0, 1)
        return RawMasks(logits[:, chosen] + logits[:, -1:], iou[:, chosen], None)

    def _decoded(self, embedding: Tensor, block: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """All masks P x 5 x L x L, that of high quality last, and the predicted IoU of the first four."""
        parts, count = self.model.mask_decoder, sparse.shape[1]
        queries = torch.cat([parts.iou_token.weight, parts.mask_tokens.weight, parts.hq_token.weight])
        tokens = torch.cat([queries.expand(1, count, -1, -1), sparse], 2)
        position = self.model.get_image_wide_positional_embeddings()
        hidden, image = parts.transformer(
            point_embeddings=tokens,
            image_embeddings=(embedding + dense).repeat_interleave(count // dense.shape[0], 0)
            if dense.shape[0] != count
            else embedding + dense,
            image_positional_embeddings=position.repeat_interleave(count, 0),
            attention_similarity=None,
            target_embedding=None,
        )
        _, channels, height, width = embedding.shape
        image = image.transpose(2, 3).reshape(count, channels, height, width)
        plain = parts.activation(parts.upscale_layer_norm(parts.upscale_conv1(image)))
        plain = parts.activation(parts.upscale_conv2(plain))
        fine = parts.mask_conv2(parts.activation(parts.mask_norm(parts.mask_conv1(plain))))
        fine = fine + self._details(embedding, block)
        answers = hidden[0, :, 1 : 1 + queries.shape[0] - 1]
        heads = [*parts.output_hypernetworks_mlps, parts.hq_mask_mlp]
        weights = torch.stack([head(answers[:, at]) for at, head in enumerate(heads)], 1)
        masks = torch.einsum("pkc,pchw->pkhw", weights[:, :-1], plain)
        best = torch.einsum("pkc,pchw->pkhw", weights[:, -1:], fine)
        return torch.cat([masks, best], 1), parts.iou_prediction_head(hidden[0, :, 0])

    def _details(self, embedding: Tensor, block: Tensor) -> Tensor:
        """What the encoder knows of fine structures; the same for every prompt."""
        parts = self.model.mask_decoder
        late = parts.encoder_conv2(parts.activation(parts.encoder_norm(parts.encoder_conv1(embedding))))
        early = parts.compress_vit_conv1(block.permute(0, 3, 1, 2).contiguous())
        early = parts.compress_vit_conv2(parts.activation(parts.compress_vit_norm(early)))
        found: Tensor = late + early
        return found


def load(source: ModelSource) -> HubSegmenter:
    """As a family of the registry.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = place_of(source)
    model = open_model(place, "SamHQModel", model_types=("sam_hq",)) if place.is_dir() else read_pth(place)
    return segmenter_of(source, HqNetwork(model, preprocessing_of(model)))


def read_pth(path: Path) -> Any:
    """A checkpoint of the authors as a model of the library.

    Raises:
        ModelError: it is damaged, or of another model.
    """
    state = read_checkpoint(path)
    settings = vision_settings(state, path.name)
    found = library()
    config = found.SamHQConfig(
        vision_config=found.SamHQVisionConfig(**settings),
        prompt_encoder_config=found.SamHQPromptEncoderConfig(image_size=settings["image_size"]),
        mask_decoder_config=found.SamHQMaskDecoderConfig(vit_dim=settings["hidden_size"]),
    )
    model = build_model(config, "SamHQModel")
    load_state(model, renamed(state, HQ_RULES), path.name)
    return model
