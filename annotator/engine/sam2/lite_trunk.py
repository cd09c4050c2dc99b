"""The trunk of EfficientNet-Lite (Tan and Le, ICML 2019): inverted residuals with ReLU6, no squeeze-and-excitation.

What ImageNet taught it is why it is here: weights for it are free, so the embedded model need not learn from a few
thousand masks what a cow looks like. Batch norms do not exist in it: they are folded into the convolutions when such
weights are read (:mod:`annotator.train.start`), so their statistics stay as they were at any batch size, and there is
nothing to fold for use.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, autocast, is_grad_enabled, nn

STEM_CHANNELS = 32


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """Blocks that follow each other: how many, the kernel's side, the first one's stride, expansion, width."""

    count: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_LITE0 = (
    BlockGroup(1, 3, 1, 1, 16),
    BlockGroup(2, 3, 2, 6, 24),
    BlockGroup(2, 5, 2, 6, 40),
    BlockGroup(3, 3, 2, 6, 80),
    BlockGroup(3, 5, 1, 6, 112),
    BlockGroup(4, 5, 2, 6, 192),
    BlockGroup(1, 3, 1, 6, 320),
)
_LITE2 = (
    BlockGroup(1, 3, 1, 1, 16),
    BlockGroup(3, 3, 2, 6, 24),
    BlockGroup(3, 5, 2, 6, 48),
    BlockGroup(4, 3, 2, 6, 88),
    BlockGroup(4, 5, 1, 6, 120),
    BlockGroup(5, 5, 2, 6, 208),
    BlockGroup(1, 3, 1, 6, 352),
)
LITES = {"lite0": _LITE0, "lite2": _LITE2}
"""By name, the groups of blocks."""
STAGE_GROUPS = ((0, 1), (2,), (3, 4), (5, 6))
"""Which groups end at strides 4, 8, 16 and 32."""


class SameConv(nn.Conv2d):
    """A convolution with a bias, padded as TensorFlow pads: on even grids a stride of 2 pads bottom and right more."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, *, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)
        before = (kernel - stride) // 2
        self._edges = (before, kernel - stride - before) * 2 if stride > 1 else None

    def forward(self, input: Tensor) -> Tensor:
        padded = input if self._edges is None else F.pad(input, self._edges)
        if self.groups == 1 or input.device.type != "cpu" or not (self.weight.requires_grad and is_grad_enabled()):
            return super().forward(padded)
        # Filters of one channel have a slow backward pass in bf16 on processors: twice the time of float32 (measured).
        with autocast("cpu", enabled=False):
            return super().forward(padded.float())


class InvertedResidual(nn.Module):
    """Widened by a 1 x 1 convolution, filtered a channel at a time, made narrow again; the shortcut joins the ends."""

    def __init__(self, channels_in: int, group: BlockGroup, stride: int) -> None:
        super().__init__()
        inner = channels_in * group.expansion
        self.expand = SameConv(channels_in, inner, 1) if group.expansion > 1 else None
        self.depth = SameConv(inner, inner, group.kernel, stride, groups=inner)
        self.project = SameConv(inner, group.channels, 1)
        self._has_shortcut = stride == 1 and channels_in == group.channels

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        out: Tensor = self.project(F.relu6(self.depth(inner), inplace=True))
        return out + x if self._has_shortcut else out


class LiteTrunk(nn.Module):
    """B x 3 x S x S (S a multiple of 32) to four feature maps at strides 4, 8, 16, 32.

    Args:
        kind: a name of :data:`LITES`.

    Attributes:
        channel_list: widths of the maps, deepest first.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        groups, channels_in = LITES[kind], STEM_CHANNELS
        self.stem = SameConv(3, STEM_CHANNELS, 3, 2)
        stages = []
        for members in STAGE_GROUPS:
            blocks = []
            for group in (groups[member] for member in members):
                for index in range(group.count):
                    blocks.append(InvertedResidual(channels_in, group, group.stride if index == 0 else 1))
                    channels_in = group.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channel_list = [groups[members[-1]].channels for members in reversed(STAGE_GROUPS)]

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        x = F.relu6(self.stem(x), inplace=True)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def least_lite_weights(kind: str) -> int:
    """Weights of a trunk's convolutions, without making it."""
    total, channels_in = 27 * STEM_CHANNELS, STEM_CHANNELS
    for group in LITES[kind]:
        for _ in range(group.count):
            inner = channels_in * group.expansion
            widening = channels_in * inner if group.expansion > 1 else 0
            total += widening + inner * group.kernel**2 + inner * group.channels
            channels_in = group.channels
    return total
