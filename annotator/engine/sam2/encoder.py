"""From an image to its feature levels: preprocessing as SAM 2 does it, and an encode that can be given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.domain.errors import EncodeCancelled
from annotator.domain.ports.engine import RgbArray
from annotator.engine.sam2.embedding import Sam2Embedding

EXACT_PIXELS_LIMIT = 2_500_000
"""Above this the image is resized as 8-bit (within one grey level of the float path, a tenth of its time)."""


class ImageEncoder:
    """The heavy half of a SAM 2 model.

    Args:
        model: eval-mode ``SAM2Base`` on its device.
        dtype: float32, or bfloat16 (autocast).
    """

    def __init__(self, model: nn.Module, *, dtype: torch.dtype) -> None:
        sam: Any = model
        self._model = sam
        self._device, self._dtype = next(model.parameters()).device, dtype
        self._size = int(sam.image_size)
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor([0.229, 0.224, 0.225], device=self._device).view(1, 3, 1, 1)
        self._is_cancelled: Callable[[], bool] | None = None
        self._hook_blocks()

    def move(self, device: torch.device, dtype: torch.dtype) -> None:
        """The model was moved."""
        self._device, self._dtype = device, dtype
        self._mean, self._std = self._mean.to(device), self._std.to(device)

    def encode(self, image: RgbArray, key: str, is_cancelled: Callable[[], bool] | None = None) -> Sam2Embedding:
        """The embedding of an H x W x 3 uint8 image, under a key.

        Raises:
            EncodeCancelled: ``is_cancelled``, asked between the encoder's blocks, said so.
        """
        return self.encode_together([(image, key)], is_cancelled)[0]

    @torch.inference_mode()
    def encode_together(
        self, images: Sequence[tuple[RgbArray, str]], is_cancelled: Callable[[], bool] | None = None
    ) -> list[Sam2Embedding]:
        """As :meth:`encode`, of several images in one pass."""
        started = time.perf_counter()
        pixels = torch.cat([self.preprocess(image) for image, _ in images])
        self._is_cancelled = is_cancelled
        try:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype == torch.bfloat16):
                normal = (pixels - self._mean) / self._std
                fine, coarse, low = self._model.forward_image(normal)["backbone_fpn"]
        finally:
            self._is_cancelled = None
        if self._model.directly_add_no_mem_embed:
            low = low + self._model.no_mem_embed.view(1, -1, 1, 1)
        fine, coarse, low, thumbnail = (t.to(self._dtype) for t in (fine, coarse, low, F.avg_pool2d(pixels, 4)))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # or the encode's time would be taken for the first click's
        encode_ms = (time.perf_counter() - started) * 1e3 / len(images)
        found = []
        for at, (image, key) in enumerate(images):
            levels = (_row(fine, at), _row(coarse, at), _row(low, at), _row(thumbnail, at))
            found.append(Sam2Embedding(key, image.shape[1], image.shape[0], encode_ms, *levels))
        return found

    def preprocess(self, image: RgbArray) -> Tensor:
        """H x W x 3 uint8 to 1 x 3 x S x S float32 in 0..1: squashed, bilinear with antialias, as SAM 2 does."""
        whole = torch.from_numpy(np.array(image, np.uint8, copy=not image.flags.writeable, order="C"))
        whole = whole.permute(2, 0, 1)[None]
        if image.shape[0] * image.shape[1] > EXACT_PIXELS_LIMIT:
            small = F.interpolate(whole, (self._size, self._size), mode="bilinear", antialias=True)
            return small.to(self._device).float() / 255
        exact = (whole.to(self._device).float() / 255).contiguous()
        return F.interpolate(exact, (self._size, self._size), mode="bilinear", antialias=True)

    def _hook_blocks(self) -> None:
        """Ask between the encoder's blocks whether the encode is still wanted."""
        trunk = self._model.image_encoder.trunk
        blocks = list(getattr(trunk, "blocks", [])) or [m for stage in trunk.stages for m in stage]

        def check(_module: nn.Module, _inputs: Any) -> None:
            if self._is_cancelled is not None and self._is_cancelled():
                raise EncodeCancelled

        for block in blocks:
            block.register_forward_pre_hook(check)


def _row(level: Tensor, at: int) -> Tensor:
    """One image's part, which holds nothing of the others in memory."""
    return level if len(level) == 1 else level[at : at + 1].clone()
