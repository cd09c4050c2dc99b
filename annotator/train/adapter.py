"""Training of a prompt adapter on a frozen base; the steps are those of :mod:`annotator.train.prompted`."""

from __future__ import annotations

import torch
from torch import Tensor

from annotator.engine.sam2.adapted_decoder import AdaptedOutput, decode_adapted
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.train.data.batch import Batch
from annotator.train.prompted import AdapterSettings, PromptedTrainer, Windows
from annotator.train.steps.ranks import ALONE, Ranks

GATE_SCALE = 2.0
"""Gates start closed and have far to go, in runs of a few hundred steps."""
COPIES = ("mask_tokens.", "output_upscaling.", "output_hypernetworks_mlps.")
COPIES_SCALE = 0.3
"""Of what was copied from the base: it has learnt long and well, and the adapter's rate would make it forget."""


class AdapterTrainer(PromptedTrainer[PromptAdapter]):
    """Trains an adapter on the frozen decoder. Arguments as for :class:`PromptedTrainer`."""

    def __init__(
        self,
        segmenter: Sam2Segmenter,
        windows: Windows,
        *,
        settings: AdapterSettings,
        config: AdapterConfig,
        ranks: Ranks = ALONE,
    ) -> None:
        torch.manual_seed(settings.seed)
        network = PromptAdapter.on(segmenter.model, config)
        own = {name: p for name, p in network.named_parameters() if p.requires_grad}
        gates = [p for name, p in own.items() if name.endswith("_gate")]
        copies = [p for name, p in own.items() if name.startswith(COPIES)]
        others = [p for name, p in own.items() if not name.endswith("_gate") and not name.startswith(COPIES)]
        groups = ((others, 1.0), (copies, COPIES_SCALE), (gates, GATE_SCALE))
        super().__init__(segmenter, windows, settings=settings, network=network, groups=groups, ranks=ranks)

    def answers(
        self,
        network: PromptAdapter,
        batch: Batch,
        prompts: tuple[Tensor, Tensor],
        *,
        generator: torch.Generator | None,
    ) -> AdaptedOutput:
        """See :meth:`PromptedTrainer.answers`."""
        owner = batch.owner
        guide = network.guide_from(batch.guide_input)[owner] if network.config.uses_guide else None
        fine, coarse, low = (f[owner] for f in batch.features)
        return decode_adapted(
            self._model.sam_mask_decoder,
            network,
            (fine, coarse, low),
            *prompts,
            self._pe,
            guide,
            with_points=self.has_points,
            generator=generator,
        )
