"""How an image lies in the square that an encoder sees, and how logits of that square lie on the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import LogitsArray, RgbArray

EXACT_PIXELS_LIMIT = 2_500_000
"""Above this an image is resized as 8-bit (within one grey level of the float path, a tenth of its time)."""
OUTSIDE_LOGIT = -32.0


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a family does to an image first.

    Attributes:
        side: of the square, in pixels.
        mean, std: of red, green and blue, in 0..1.
        is_letterboxed: whether the longer side fills the square and the rest is 0 (SAM 1); else it is squashed.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    is_letterboxed: bool = False

    def placed(self, width: int, height: int) -> Placing:
        """Where an image of this size lies."""
        if not self.is_letterboxed:
            return Placing(self.side, self.side, self.side, width, height)
        scale = self.side / max(width, height)
        return Placing(self.side, max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)), width, height)

    def tensor(self, image: RgbArray, device: torch.device) -> Tensor:
        """H x W x 3 uint8 to 1 x 3 x side x side float32, normalised."""
        place = self.placed(image.shape[1], image.shape[0])
        whole = torch.from_numpy(np.array(image, np.uint8, copy=not image.flags.writeable, order="C"))
        whole = whole.permute(2, 0, 1)[None]
        size = (place.used_height, place.used_width)
        if image.shape[0] * image.shape[1] > EXACT_PIXELS_LIMIT:
            scaled = F.interpolate(whole, size, mode="bilinear", antialias=True).to(device).float() / 255
        else:
            exact = (whole.to(device).float() / 255).contiguous()
            scaled = F.interpolate(exact, size, mode="bilinear", antialias=True)
        mean, std = (torch.tensor(row, device=device).view(1, 3, 1, 1) for row in (self.mean, self.std))
        normal = (scaled - mean) / std
        return F.pad(normal, (0, self.side - place.used_width, 0, self.side - place.used_height))


@dataclass(frozen=True, slots=True)
class Placing:
    """One image in the square: it fills ``used_width`` x ``used_height`` from the top left; all in pixels."""

    side: int
    used_width: int
    used_height: int
    width: int
    height: int

    @property
    def scale_xy(self) -> tuple[float, float]:
        """From image pixels to pixels of the square."""
        return self.used_width / self.width, self.used_height / self.height

    @property
    def is_whole(self) -> bool:
        return self.used_width == self.used_height == self.side

    def mask(self, logits: LogitsArray) -> Mask:
        """The mask of L x L logits of the square, in image pixels."""
        if self.is_whole:
            return mask_from_logits(logits, width=self.width, height=self.height)
        scale_x, scale_y = self.scale_xy
        wide, high = max(self.width, round(self.side / scale_x)), max(self.height, round(self.side / scale_y))
        found = mask_from_logits(logits, width=wide, height=high)
        bits = found.bits[: max(0, self.height - found.y), : max(0, self.width - found.x)]
        if not bits.any():
            return Mask.empty(self.width, self.height)
        return Mask(bits, found.x, found.y, self.width, self.height).tight()

    def squashed(self, logits: Tensor) -> Tensor:
        """N x L x L logits of the square as N x L x L logits of the image alone."""
        return logits if self.is_whole else self._sampled(logits, self._used, padding="border")

    def unsquashed(self, logits: Tensor) -> Tensor:
        """The other way round, for logits or masks that are of the image alone; outside of it there is nothing."""
        if self.is_whole:
            return logits
        found = self._sampled(logits - OUTSIDE_LOGIT, (1 / self._used[0], 1 / self._used[1]), padding="zeros")
        return found + OUTSIDE_LOGIT

    @property
    def _used(self) -> tuple[float, float]:
        return self.used_width / self.side, self.used_height / self.side

    @staticmethod
    def _sampled(logits: Tensor, shares: tuple[float, float], *, padding: str) -> Tensor:
        """Read at these shares of the width and height, measured from the top left."""
        rows, columns = logits.shape[-2:]
        x = (torch.arange(columns, device=logits.device) + 0.5) / columns * shares[0] * 2 - 1
        y = (torch.arange(rows, device=logits.device) + 0.5) / rows * shares[1] * 2 - 1
        grid = torch.stack([x[None, :].expand(rows, -1), y[:, None].expand(-1, columns)], -1)[None]
        grid = grid.expand(logits.shape[0], -1, -1, -1).to(logits.dtype)
        found = F.grid_sample(logits[:, None], grid, mode="bilinear", padding_mode=padding, align_corners=False)
        return found[:, 0]
