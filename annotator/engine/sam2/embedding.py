"""What the encoder leaves of an image: its feature levels, and what decoders keep with them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annotator.engine.cache import StoredEmbedding

LEVELS = ("fine", "coarse", "low", "thumbnail")


@dataclass(frozen=True, eq=False)
class Sam2Embedding:
    """One encoded image on the engine's device.

    Attributes:
        fine: 1 x C/8 x S/4 x S/4; coarse: 1 x C/4 x S/8 x S/8; low: 1 x C x S/16 x S/16 (``no_mem_embed`` added).
        thumbnail: 1 x 3 x S/4 x S/4 RGB in 0..1, what click stamps take colours from.
        states: what decoders made of it that no prompt changes, by decoder.
    """

    key: str
    width: int
    height: int
    encode_ms: float
    fine: Tensor
    coarse: Tensor
    low: Tensor
    thumbnail: Tensor
    states: dict[object, Any] = field(default_factory=dict, repr=False)

    @property
    def nbytes(self) -> int:
        """With what decoders keep: that is more than the features, once there was a click."""
        tensors = [getattr(self, name) for name in LEVELS]
        return sum(_bytes_of(held) for held in (*tensors, *self.states.values()))

    def stored(self) -> StoredEmbedding:
        """What the disk has to keep of it."""
        tensors = {name: getattr(self, name).cpu() for name in LEVELS}
        facts = {"width": str(self.width), "height": str(self.height), "encode_ms": f"{self.encode_ms:.3f}"}
        return StoredEmbedding(tensors, facts)

    @classmethod
    def restored(cls, key: str, stored: StoredEmbedding) -> Sam2Embedding:
        """On the processor.

        Raises:
            KeyError, ValueError: it is none.
        """
        width, height, encode_ms = (stored.facts[name] for name in ("width", "height", "encode_ms"))
        fine, coarse, low, thumbnail = (stored.tensors[name] for name in LEVELS)
        return cls(key, int(width), int(height), float(encode_ms), fine, coarse, low, thumbnail)

    def feature_maps(self) -> tuple[npt.NDArray[np.float32], ...]:
        """See :class:`annotator.engine.like.ShowsFeatures`."""
        return tuple(getattr(self, name)[0].float().cpu().numpy() for name in LEVELS)

    def to(self, device: torch.device) -> Sam2Embedding:
        moved = {name: getattr(self, name).to(device) for name in LEVELS}
        return replace(self, **moved, states={})


def _bytes_of(held: object) -> int:
    """Bytes of a tensor, or of all tensors in a decoder's state."""
    if isinstance(held, Tensor):
        return held.numel() * held.element_size()
    if isinstance(held, Sam2Embedding):
        return held.nbytes
    if is_dataclass(held):
        return sum(_bytes_of(getattr(held, part.name)) for part in fields(held))
    return 0
