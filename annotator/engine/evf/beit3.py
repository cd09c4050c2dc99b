"""BEiT-3, as far as EVF-SAM needs it: image and words through one encoder whose layers have two experts.

Attributes have the names of the published checkpoints. Sizes follow from the weights: heads are 64 wide in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_WIDTH = 64
_EPS = 1e-5
_FIRST_POSITION = 2
"""The two before it stand for padding."""


@dataclass(frozen=True, slots=True)
class Beit3Size:
    """Of a network: ``side`` of the image it sees, in pixels; ``most_words`` positions of tokens, two unused."""

    width: int
    hidden: int
    layers: int
    side: int
    patch: int
    vocabulary: int
    most_words: int

    @property
    def heads(self) -> int:
        return max(1, self.width // HEAD_WIDTH)

    @classmethod
    def of(cls, state: Mapping[str, Tensor], prefix: str = "") -> Beit3Size:
        """Read off weights.

        Raises:
            KeyError, IndexError: they are of another network.
        """
        vocabulary, width = state[f"{prefix}text_embed.weight"].shape
        patch = state[f"{prefix}vision_embed.proj.weight"].shape[-1]
        places = len(state[f"{prefix}encoder.embed_positions.A.weight"]) - _FIRST_POSITION - 1
        start = f"{prefix}encoder.layers."
        layers = 1 + max(int(name[len(start) :].split(".")[0]) for name in state if name.startswith(start))
        return cls(
            width=width,
            hidden=len(state[f"{prefix}encoder.layers.0.ffn.A.fc1.weight"]),
            layers=layers,
            side=patch * math.isqrt(places),
            patch=patch,
            vocabulary=vocabulary,
            most_words=len(state[f"{prefix}encoder.embed_positions.B.weight"]),
        )


class Two(nn.Module):
    """Two experts of one kind: A for the image's tokens, B for those of the words."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.A, self.B = make(), make()

    def forward(self, x: Tensor, split: int) -> Tensor:
        return torch.cat([self.A(x[:, :split]), self.B(x[:, split:])], 1)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (Two(lambda: nn.Linear(width, width)) for _ in range(4))
        self.inner_attn_ln = Two(lambda: nn.LayerNorm(width, eps=_EPS))

    def forward(self, x: Tensor, split: int) -> Tensor:
        batch, count, width = x.shape

        def headed(part: Two) -> Tensor:
            found: Tensor = part(x, split).view(batch, count, self.heads, -1).transpose(1, 2)
            return found

        q, k, v = headed(self.q_proj), headed(self.k_proj), headed(self.v_proj)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, count, width)
        found: Tensor = self.out_proj(self.inner_attn_ln(mixed, split), split)
        return found


class Feed(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.ffn_layernorm = nn.LayerNorm(hidden, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(self.ffn_layernorm(F.gelu(self.fc1(x))))
        return found


class Block(nn.Module):
    def __init__(self, size: Beit3Size) -> None:
        super().__init__()
        self.self_attn = Attention(size.width, size.heads)
        self.self_attn_layer_norm = Two(lambda: nn.LayerNorm(size.width, eps=_EPS))
        self.final_layer_norm = Two(lambda: nn.LayerNorm(size.width, eps=_EPS))
        self.ffn = Two(lambda: Feed(size.width, size.hidden))

    def forward(self, x: Tensor, split: int) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x, split), split)
        found: Tensor = x + self.ffn(self.final_layer_norm(x, split), split)
        return found


class Vision(nn.Module):
    def __init__(self, size: Beit3Size) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, size.width, size.patch, size.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size.width))  # of its training

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.proj(pixels).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], 1)


class Positions(nn.Module):
    def __init__(self, size: Beit3Size) -> None:
        super().__init__()
        self.A = nn.Embedding((size.side // size.patch) ** 2 + _FIRST_POSITION + 1, size.width)
        self.B = nn.Embedding(size.most_words, size.width)


class Encoder(nn.Module):
    def __init__(self, size: Beit3Size) -> None:
        super().__init__()
        self.embed_positions = Positions(size)
        self.layers = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.layer_norm = Two(lambda: nn.LayerNorm(size.width, eps=_EPS))


class Beit3(nn.Module):
    """One image with one phrase at a time: nothing is padded."""

    def __init__(self, size: Beit3Size) -> None:
        super().__init__()
        self.size = size
        self.text_embed = nn.Embedding(size.vocabulary, size.width)
        self.vision_embed = Vision(size)
        self.encoder = Encoder(size)

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """Pixels B x 3 x side x side (-1..1) and ids B x N to B x (1 + patches + N) x width; the first is the class."""
        seen, words = self.vision_embed(pixels), self.text_embed(ids)
        split, places = seen.shape[1], self.encoder.embed_positions
        first = _FIRST_POSITION
        seen = seen + places.A.weight[first : first + split]
        x = torch.cat([seen, words + places.B.weight[first : first + words.shape[1]]], 1)
        for layer in self.encoder.layers:
            x = layer(x, split)
        found: Tensor = self.encoder.layer_norm(x, split)
        return found
