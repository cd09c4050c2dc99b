"""Training of the whole mask decoder instead of an adapter: the paper's comparison, at the same budget.

Everything but the network is the adapter's run: windows, prompts, corrections, schedule, validation.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from annotator.engine.sam2.adapted_decoder import AdaptedOutput
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.train.adapter import COPIES_SCALE
from annotator.train.data.batch import Batch
from annotator.train.prompted import AdapterSettings, PromptedTrainer, Windows
from annotator.train.steps.ranks import ALONE, Ranks

ENCODER_SIDE = ("conv_s0.", "conv_s1.")
"""Layers that sam2 keeps in the decoder but runs on the image: what is cached has been through them."""


class DecoderTrainer(PromptedTrainer[nn.Module]):
    """Trains a copy of the base's decoder. Arguments as for :class:`~annotator.train.adapter.PromptedTrainer`.

    The rate is that of the adapter's copies (:data:`~annotator.train.adapter.COPIES_SCALE` of the settings'): all of
    the decoder has learnt long and well.
    """

    def __init__(
        self, segmenter: Sam2Segmenter, windows: Windows, *, settings: AdapterSettings, ranks: Ranks = ALONE
    ) -> None:
        torch.manual_seed(settings.seed)
        base: Any = segmenter.model
        network: nn.Module = copy.deepcopy(base.sam_mask_decoder).requires_grad_(True)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(not name.startswith(ENCODER_SIDE))
        trained = [p for p in network.parameters() if p.requires_grad]
        groups = ((trained, COPIES_SCALE),)
        super().__init__(segmenter, windows, settings=settings, network=network, groups=groups, ranks=ranks)

    def answers(
        self,
        network: nn.Module,
        batch: Batch,
        prompts: tuple[Tensor, Tensor],
        *,
        generator: torch.Generator | None,
    ) -> AdaptedOutput:
        """See :meth:`~annotator.train.adapter.PromptedTrainer.answers`; there are no maps."""
        decoder: Any = network
        sparse, dense = prompts
        fine, coarse, low = (f[batch.owner] for f in batch.features)
        masks, iou, _, score = decoder.predict_masks(
            image_embeddings=low,
            image_pe=self._pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[fine, coarse],
        )
        return AdaptedOutput(masks, iou, score, None)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()
