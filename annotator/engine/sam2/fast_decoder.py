"""SAM 2's prompt decoder, written for latency: same weights, same mathematics, no approximation.

What differs from ``sam2.modeling.sam``, whose modules stay the reference that the tests compare with:

* what depends on the image alone is computed once per image (:class:`ImageState`);
* attention between few prompt tokens (T) and many image tokens (N) is *absorbed*: the projection of the N image tokens
  is moved over to the T x heads token vectors, N * C * (heads * T) instead of N * C * C/2 multiply-adds;
* tokens last all through: transposed convolutions are matrix products on rows, LayerNorm2d is a plain layer norm, and
  pixels are put in raster order only in the finished masks;
* only the masks that are asked for are made.

The second block has a seam, :class:`SecondBlockHook`, where a prompt adapter adds to queries and keys.

Shapes: B prompts, T tokens, N = h * w image tokens, C channels, H heads, D = C/2 / H.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.engine.sam2.layout import LEAST_SHARE, check_supported, nested, raster, stacked_mlps, transposed_weight


@dataclass(frozen=True, slots=True)
class Injection:
    """What an adapter adds in the second block.

    Attributes:
        queries: B x T x C, added to the tokens beside the cross attention's output.
        keys: B x N x C, added to the image tokens, channel by channel times ``key_gate`` (C).
        extra_tokens, extra_pe: B x E x C, appended tokens and their positional encodings; None for none.
        extra_gate: E x C factors on what the image tokens take up from the appended ones; None for 1.
    """

    queries: Tensor
    keys: Tensor
    key_gate: Tensor
    extra_tokens: Tensor | None = None
    extra_pe: Tensor | None = None
    extra_gate: Tensor | None = None


class SecondBlockHook(Protocol):
    """Called right after the second block's token-to-image attention, before its residual sum and norm."""

    def __call__(self, attended: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor) -> Injection: ...


@dataclass(frozen=True, slots=True)
class ImageState:
    """Everything of one image that no prompt changes.

    Attributes:
        embedding: 1 x N x C float32, the lowest-resolution level (no dense prompt added).
        coarse, fine: 1 x 4N x C/4 and 1 x 16N x C/8: the high-resolution features in nested 2 x 2 order, biases in.
        first: the first block's image-side terms for prompts without a dense prompt.
    """

    embedding: Tensor
    coarse: Tensor
    fine: Tensor
    first: FirstBlock

    @staticmethod
    def stacked(states: Sequence[ImageState]) -> ImageState:
        """Several images', one row each: B prompts are then decoded on B images."""
        if len(states) == 1:
            return states[0]
        names = [f.name for f in fields(FirstBlock)]
        first = FirstBlock(**{name: torch.cat([getattr(s.first, name) for s in states]) for name in names})
        embedding, coarse, fine = (torch.cat([getattr(s, n) for s in states]) for n in ("embedding", "coarse", "fine"))
        return ImageState(embedding, coarse, fine, first)


@dataclass(frozen=True, slots=True)
class FirstBlock:
    """Keys and values for the tokens, queries and residual for the image, all of the first block."""

    keys: Tensor
    values: Tensor
    queries: Tensor
    residual: Tensor


class MaskMaker(Protocol):
    """Makes the masks that are asked for; see :class:`DecoderOutput`."""

    def __call__(self, start: int, stop: int, rows: Tensor | None = None, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class DecoderOutput:
    """Raw answers of all four mask tokens: token 0 is the single mask, 1..3 the candidates.

    Attributes:
        masks: callable (first, last) -> B x (last - first) x 4h x 4w float32 logits; with a third argument only of
            those prompts (indices into B).
        iou: B x 4 predicted IoU; object_score: B x 1 logits.
    """

    masks: MaskMaker
    iou: Tensor
    object_score: Tensor


class FastDecoder:
    """The decoder of one model in one dtype.

    Args:
        model: an eval-mode SAM 2 model (``sam_prompt_encoder``, ``sam_mask_decoder``).
        dtype: compute type of the transformer and the upscaler; sums that need it stay float32.

    Raises:
        UnsupportedDecoderError: a module is not what this class re-implements.
    """

    def __init__(self, model: nn.Module, *, dtype: torch.dtype = torch.float32) -> None:
        encoder: Any = model.sam_prompt_encoder
        decoder: Any = model.sam_mask_decoder
        check_supported(decoder)
        self.dtype = dtype
        self.grid_hw: tuple[int, int] = tuple(encoder.image_embedding_size)
        self._dense_pe = encoder.get_dense_pe().detach().flatten(2).transpose(1, 2).contiguous()
        self._dense_pe_cast = self._dense_pe.to(dtype)
        self._no_mask = encoder.no_mask_embed.weight.detach().view(1, 1, -1)
        self._own_tokens = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight]).detach()
        self._blocks = [_Block(layer, dtype) for layer in decoder.transformer.layers]
        self._final = FastAttention(decoder.transformer.final_attn_token_to_image, dtype)
        self._final_norm = _Norm(decoder.transformer.norm_final_attn, dtype)
        self._iou_head = decoder.iou_prediction_head
        self._object_head = decoder.pred_obj_score_head
        self._take_heads(decoder)

    def _take_heads(self, heads: Any) -> None:
        self._output_tokens = torch.cat([self._own_tokens, heads.mask_tokens.weight.detach()])
        first, norm, _, second, _ = heads.output_upscaling
        self._up1, self._up1_bias = transposed_weight(first, self.dtype), first.bias.detach()
        self._up_norm = _Norm(norm, self.dtype)
        self._up2, self._up2_bias = transposed_weight(second, self.dtype), second.bias.detach()
        self._hyper = stacked_mlps(heads.output_hypernetworks_mlps, self.dtype)

    def with_heads(self, heads: Any) -> FastDecoder:
        """The same frozen decoder with other mask tokens, upscaler and hyper-networks (an adapter's)."""
        other = copy.copy(self)
        other._take_heads(heads)
        return other

    @torch.inference_mode()
    def prepare_from(self, base: FastDecoder, state: ImageState) -> ImageState:
        """This decoder's image-only terms from those of a decoder that differs in its heads alone."""
        coarse, fine = self._up1_bias.float() - base._up1_bias.float(), self._up2_bias.float() - base._up2_bias.float()
        return replace(
            state,
            coarse=state.coarse + coarse.to(self.dtype) if bool(coarse.any()) else state.coarse,
            fine=state.fine + fine.to(self.dtype) if bool(fine.any()) else state.fine,
        )

    @torch.inference_mode()
    def prepare(self, embedding: Tensor, high_res_4: Tensor, high_res_8: Tensor) -> ImageState:
        """Image-only terms.

        Args:
            embedding: 1 x C x h x w; high_res_4: 1 x C/8 x 4h x 4w; high_res_8: 1 x C/4 x 2h x 2w.
        """
        tokens = embedding.float().flatten(2).transpose(1, 2).contiguous()
        coarse = (nested(high_res_8.float(), 1) + self._up1_bias.float()).to(self.dtype)
        fine = (nested(high_res_4.float(), 2) + self._up2_bias.float()).to(self.dtype)
        return ImageState(tokens, coarse[None], fine[None], self._first_block(tokens + self._no_mask))

    @torch.inference_mode()
    def decode(
        self,
        state: ImageState,
        sparse: Tensor,
        *,
        dense: Tensor | None = None,
        hook: SecondBlockHook | None = None,
    ) -> DecoderOutput:
        """Decode B prompts on one image.

        Args:
            sparse: B x n x C from SAM 2's prompt encoder (padding token included).
            dense: B x C x h x w mask-prompt embedding, or None for SAM 2's "no mask" embedding.
            hook: a prompt adapter, or None for the plain model.
        """
        batch = sparse.shape[0]
        tokens = torch.cat([self._output_tokens.expand(batch, -1, -1), sparse], 1).to(self.dtype)
        first = state.first
        if dense is not None:
            first = self._first_block(state.embedding + dense.float().flatten(2).transpose(1, 2))
        queries, keys = self._transform(first, tokens, hook)
        heads = queries.to(self._iou_head.layers[0].weight.dtype)

        def masks(start: int, stop: int, rows: Tensor | None = None) -> Tensor:
            some = (keys, queries) if rows is None else (keys[rows], queries[rows])
            return self._upscale(state, *some, start, stop)

        return DecoderOutput(masks, self._iou_head(heads[:, 1]).float(), self._object_head(heads[:, 0]).float())

    def _first_block(self, source: Tensor) -> FirstBlock:
        block = self._blocks[0]
        with_pe = (source + self._dense_pe).to(self.dtype)
        plain = source.to(self.dtype).contiguous()
        to_image, to_tokens = block.token_to_image, block.image_to_token
        return FirstBlock(
            keys=to_image.split(F.linear(with_pe, to_image.wk, to_image.bk)).contiguous(),
            values=to_image.split(F.linear(plain, to_image.wv, to_image.bv)).contiguous(),
            queries=(to_tokens.split(F.linear(with_pe, to_tokens.wq, to_tokens.bq)) * to_tokens.scale).contiguous(),
            residual=plain + to_tokens.bo,
        )

    def _transform(self, first: FirstBlock, tokens: Tensor, hook: SecondBlockHook | None) -> tuple[Tensor, Tensor]:
        queries, token_pe = tokens, tokens
        block = self._blocks[0]
        queries = block.norm1(block.self_attention.plain(queries, queries, queries))
        attended = block.token_to_image.tokens_from(queries + token_pe, first.keys, first.values)
        queries = block.norm2(queries + attended)
        queries = block.norm3(queries + block.mlp(queries))
        scores = block.image_to_token.scores_from(first.queries, queries + token_pe)
        keys = block.norm4(block.image_to_token.mix(scores, queries, first.residual))

        block = self._blocks[1]
        keys_pe = keys + self._dense_pe_cast
        with_pe = queries + token_pe
        queries = block.norm1(queries + block.self_attention.plain(with_pe, with_pe, queries))
        attended = block.token_to_image.tokens_absorbed(queries + token_pe, keys_pe, keys)
        gate: Tensor | None = None
        if hook is not None:
            injection = hook(attended, keys, token_pe, self._dense_pe_cast)
            queries, token_pe, keys, attended = _injected(injection, queries, token_pe, keys, attended)
            gate, keys_pe = injection.extra_gate, torch.add(keys, self._dense_pe_cast, out=keys_pe)
        queries = block.norm2(queries + attended)
        queries = block.norm3(queries + block.mlp(queries))
        scores = block.image_to_token.scores_absorbed(keys_pe, queries + token_pe)
        keys = block.norm4(block.image_to_token.mix(scores, queries, keys + block.image_to_token.bo, gate))

        keys_pe = keys + self._dense_pe_cast
        own = self._output_tokens.shape[0]  # what the other tokens would see now, nobody asks for
        queries, token_pe = queries[:, :own], token_pe[:, :own]
        queries = queries + self._final.tokens_absorbed(queries + token_pe, keys_pe, keys)
        return self._final_norm(queries), keys

    def _upscale(self, state: ImageState, keys: Tensor, queries: Tensor, start: int, stop: int) -> Tensor:
        batch, count, _ = keys.shape
        coarse = state.coarse.view(-1, count, self._up1.shape[1]).expand(batch, -1, -1)
        pixels = torch.baddbmm(coarse, keys, self._up1.expand(batch, -1, -1)).view(batch, count * 4, -1)
        pixels = F.gelu(self._up_norm(pixels))
        fine = state.fine.view(-1, count * 4, self._up2.shape[1]).expand(batch, -1, -1)
        pixels = torch.baddbmm(fine, pixels, self._up2.expand(batch, -1, -1))
        pixels = F.gelu(pixels).view(batch, count * 16, -1)
        filters = queries[:, 2 + start : 2 + stop].transpose(0, 1)
        for depth, (weight, bias) in enumerate(self._hyper):
            filters = torch.baddbmm(bias[start:stop], filters, weight[start:stop])
            if depth + 1 < len(self._hyper):
                filters = F.relu(filters)
        return raster(torch.matmul(pixels, filters.permute(1, 2, 0)), self.grid_hw).float()


class _Norm:
    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        self.weight, self.bias = module.weight.detach().to(dtype), module.bias.detach().to(dtype)
        self.eps: float = module.eps

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)


class _Block:
    """One two-way block: its attentions, norms and MLP."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        self.self_attention = FastAttention(layer.self_attn, dtype)
        self.token_to_image = FastAttention(layer.cross_attn_token_to_image, dtype)
        self.image_to_token = FastAttention(layer.cross_attn_image_to_token, dtype)
        self.norm1, self.norm2 = _Norm(layer.norm1, dtype), _Norm(layer.norm2, dtype)
        self.norm3, self.norm4 = _Norm(layer.norm3, dtype), _Norm(layer.norm4, dtype)
        self._mlp = [(m.weight.detach().to(dtype), m.bias.detach().to(dtype)) for m in layer.mlp.layers]

    def mlp(self, x: Tensor) -> Tensor:
        (w1, b1), (w2, b2) = self._mlp
        return F.linear(F.relu(F.linear(x, w1, b1)), w2, b2)


class FastAttention:
    """SAM's attention with the projections kept apart, so that they can be moved between the two sides."""

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        self.heads: int = module.num_heads
        self.head_dim: int = module.internal_dim // module.num_heads
        self.scale = 1.0 / math.sqrt(self.head_dim)
        cast = {name: p.detach().to(dtype) for name, p in module.named_parameters()}
        self.wq, self.bq = cast["q_proj.weight"], cast["q_proj.bias"]
        self.wk, self.bk = cast["k_proj.weight"], cast["k_proj.bias"]
        self.wv, self.bv = cast["v_proj.weight"], cast["v_proj.bias"]
        self.wo, self.bo = cast["out_proj.weight"], cast["out_proj.bias"]
        channels, heads, dim = self.wq.shape[1], self.heads, self.head_dim
        self._wk_heads = (self.wk.view(heads, dim, channels) * self.scale).contiguous()
        self._wv_heads = self.wv.view(heads, dim, channels).transpose(1, 2).contiguous()
        self._wq_heads = (self.wq.view(heads, dim, channels) * self.scale).contiguous()
        self._bq_heads = (self.bq.view(heads, 1, dim) * self.scale).contiguous()
        self._wo_heads = self.wo.view(channels, heads, dim).permute(1, 2, 0).contiguous()

    def split(self, x: Tensor) -> Tensor:
        """B x n x (H D) -> B x H x n x D."""
        return x.view(*x.shape[:-1], self.heads, self.head_dim).transpose(-3, -2)

    def plain(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = F.scaled_dot_product_attention(
            self.split(F.linear(q, self.wq, self.bq)),
            self.split(F.linear(k, self.wk, self.bk)),
            self.split(F.linear(v, self.wv, self.bv)),
        )
        return F.linear(out.transpose(-3, -2).flatten(-2), self.wo, self.bo)

    def tokens_from(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Tokens attend to projected image keys and values (1 or B x H x N x D)."""
        batch, count, _ = q.shape
        projected = F.linear(q, self.wq, self.bq)
        if keys.shape[0] == 1 and batch > 1:  # one image, many prompts: fold the prompts into the token axis
            projected = projected.reshape(1, batch * count, -1)
        out = F.scaled_dot_product_attention(self.split(projected), keys, values)
        return F.linear(out.transpose(1, 2).flatten(2), self.wo, self.bo).reshape(batch, count, -1)

    def tokens_absorbed(self, q: Tensor, image_pe: Tensor, image: Tensor) -> Tensor:
        """Tokens attend to unprojected image tokens: keys from ``image_pe``, values from ``image``, B x N x C.

        The key bias adds the same number to all scores of a query, so the softmax does not see it.
        """
        batch, count, channels = q.shape
        heads = self.split(F.linear(q, self.wq, self.bq))
        absorbed = torch.matmul(heads, self._wk_heads).reshape(batch, self.heads * count, channels)
        attention = torch.bmm(absorbed, image_pe.transpose(1, 2)).softmax(-1)
        context = torch.bmm(attention, image).view(batch, self.heads, count, channels)
        out = torch.matmul(context, self._wv_heads).transpose(1, 2).reshape(batch, count, -1) + self.bv
        return F.linear(out, self.wo, self.bo)

    def scores_from(self, image_queries: Tensor, k: Tensor) -> Tensor:
        """Scores of projected, scaled image queries (1 or B x H x N x D) against tokens: B x H x T x N.

        Image tokens lie last: a softmax over a short last axis takes ten times as long as one over an inner axis.
        """
        return torch.matmul(self.split(F.linear(k, self.wk, self.bk)), image_queries.transpose(-1, -2))

    def scores_absorbed(self, image_pe: Tensor, k: Tensor) -> Tensor:
        """The same from unprojected image tokens B x N x C."""
        batch, count, channels = k.shape
        keys = self.split(F.linear(k, self.wk, self.bk))
        absorbed = torch.matmul(keys, self._wq_heads).reshape(batch, self.heads * count, channels)
        bias = (keys * self._bq_heads).sum(-1).reshape(batch, self.heads * count, 1)
        scores = torch.baddbmm(bias, absorbed, image_pe.transpose(1, 2))
        return scores.view(batch, self.heads, count, -1)

    def mix(self, scores: Tensor, v: Tensor, residual: Tensor, gate: Tensor | None = None) -> Tensor:
        """Image tokens take up the tokens' values: residual (bias included) + attention, B x N x C.

        Args:
            scores: B x H x T x N.
            gate: E x C for the last E tokens; see :func:`gated_shares`.
        """
        batch, heads, count, pixels = scores.shape
        attention = scores.softmax(2)
        values = torch.matmul(self.split(F.linear(v, self.wv, self.bv)), self._wo_heads)
        if gate is not None:
            own = attention[:, :, : count - gate.shape[0]]  # gated_shares, in place
            own.div_(own.sum(2, keepdim=True).clamp_min_(LEAST_SHARE))
            values[:, :, -gate.shape[0] :] *= gate
        attention = attention.view(batch, heads * count, pixels).transpose(1, 2)
        return torch.baddbmm(residual.expand(batch, -1, -1), attention, values.reshape(batch, heads * count, -1))


def _injected(
    injection: Injection, queries: Tensor, token_pe: Tensor, keys: Tensor, attended: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, their positions, keys and the attention's output after an adapter added to them."""
    attended = attended + injection.queries
    keys = keys.addcmul_(injection.keys, injection.key_gate)  # in place: fresh megabytes cost more than the sums
    if injection.extra_tokens is not None and injection.extra_pe is not None:
        # New tokens have no residual of their own: zeros join the queries, their content joins the attention.
        attended = torch.cat([attended, injection.extra_tokens], 1)
        queries = torch.cat([queries, torch.zeros_like(injection.extra_tokens)], 1)
        token_pe = torch.cat([token_pe, injection.extra_pe], 1)
    return queries, token_pe, keys, attended
