"""EVF-SAM 2: image and words become one token, which SAM 2's decoder takes where it takes clicks else.

One phrase gives one mask; the checkpoint for many tasks gives that of all that is of a kind, which is cut into parts.
Clicks beside the words say which object is meant: then the mask is that of one object, from both kinds of tokens. Where
the model that answers clicks has the same encoder, its embedding of the image is taken and nothing is encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.logits import mask_from_logits, stability
from annotator.domain.answering.named import named_proposal, settled
from annotator.domain.errors import EncodeCancelled, PromptError
from annotator.domain.operations import parts
from annotator.domain.ports.concept import LEAST_SCORE, ConceptAsk, ConceptImage
from annotator.domain.ports.engine import EverythingStep, ModelInfo, RgbArray
from annotator.domain.prompt import PointPrompt
from annotator.engine.devices import memory_errors
from annotator.engine.evf.beit3 import Beit3
from annotator.engine.sam2.embedding import Sam2Embedding
from annotator.engine.sam2.segmenter import Sam2Segmenter

MOST_TOKENS = 64
_ENCODER = ("image_encoder.", "no_mem_embed")
START, END, UNKNOWN = 0, 2, 3
ALL_OF_A_KIND = 64002
"""The id of the word "[semantic]"."""
LEAST_PART_SHARE = 0.02
"""Of the largest part of a mask: what is smaller is no object of its own."""


class EvfNetwork(nn.Module):
    """As the published checkpoints name it: ``visual_model``, ``mm_extractor.beit3`` and ``text_hidden_fcs``."""

    def __init__(self, visual_model: nn.Module, beit3: Beit3, out_width: int) -> None:
        super().__init__()
        width = beit3.size.width
        self.visual_model = visual_model
        self.mm_extractor = nn.ModuleDict({"beit3": beit3})
        words = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out_width))
        self.text_hidden_fcs = nn.ModuleList([words])

    @property
    def beit3(self) -> Beit3:
        found: Beit3 = self.mm_extractor["beit3"]  # type: ignore[assignment]
        return found

    def token(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """The words in this image as a prompt: B x 1 x prompt width."""
        found: Tensor = self.text_hidden_fcs[0](self.beit3(pixels, ids)[:, :1])
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What is known of the last image."""

    key: str
    embedding: Sam2Embedding
    pixels: Tensor


class EvfFinder:
    """Words to masks, on an embedding of the checkpoint's own SAM 2. Not for several threads at once.

    Args:
        pieces: a phrase to the ids of its pieces, as the checkpoint's sentencepiece model has them.
        is_for_kinds: whether the words stand for all that is of a kind.
    """

    def __init__(
        self, network: EvfNetwork, pieces: Callable[[str], list[int]], info: ModelInfo, *, is_for_kinds: bool = False
    ) -> None:
        self._network, self._pieces, self._info, self._is_for_kinds = network, pieces, info, is_for_kinds
        self._device = next(network.parameters()).device
        self._segmenter = Sam2Segmenter(network.visual_model, info)
        self._seen: _Seen | None = None
        self._compared: Sam2Segmenter | None = None
        self._is_same = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    def steps(
        self, image: ConceptImage, ask: ConceptAsk, *, has_to_yield: Callable[[], bool] | None = None
    ) -> Iterator[EverythingStep]:
        """See :class:`annotator.domain.ports.concept.Finder`: a step for the image, and one for each phrase."""
        phrases = ask.phrases.all
        total = len(phrases) + 1
        while (seen := self._look(image, has_to_yield)) is None:
            yield EverythingStep(0, total, None)
        yield EverythingStep(1, total, None)
        found: list[Proposal] = []
        for done, phrase in enumerate(phrases, 2):
            found += self._found(seen, image.rgb, phrase, ask.clicks if phrase in ask.phrases.wanted else ())
            yield EverythingStep(done, total, settled(found, ask.phrases, ask.limit), is_last=done == total)

    def ids(self, phrase: str) -> list[int]:
        """What the network reads of a phrase: at most :data:`MOST_TOKENS`, ends included."""
        begin = [START, ALL_OF_A_KIND] if self._is_for_kinds else [START]
        words = [one + 1 if one else UNKNOWN for one in self._pieces(phrase)]
        return [*begin, *words[: MOST_TOKENS - len(begin) - 1], END]

    def _look(self, image: ConceptImage, has_to_yield: Callable[[], bool] | None) -> _Seen | None:
        """The image through SAM 2's encoder; None where something more urgent waits."""
        if self._seen is None or self._seen.key != image.key:
            self._seen = None
            embedding = self._known(image)
            side = self._info.image_size
            squashed = resized(image.rgb, side, "bilinear").round().to(torch.uint8)[0].permute(1, 2, 0).numpy()
            try:
                embedding = embedding or self._segmenter.encode(
                    np.ascontiguousarray(squashed), image.key, is_cancelled=has_to_yield
                )
            except EncodeCancelled:
                return None
            pixels = resized(image.rgb, self._network.beit3.size.side, "bicubic") / 127.5 - 1
            self._seen = _Seen(image.key, embedding, pixels.to(self._device))
        return self._seen

    def _known(self, image: ConceptImage) -> Sam2Embedding | None:
        """What the model that answers clicks knows of the image, where its encoder is the one in this checkpoint."""
        segmenter = image.segmenter
        if not isinstance(segmenter, Sam2Segmenter) or segmenter.device != self._device:
            return None
        if self._compared is not segmenter:
            self._compared, self._is_same = segmenter, same_encoder(segmenter.model, self._network.visual_model)
        found = image.embedding() if self._is_same else None
        return found if isinstance(found, Sam2Embedding) else None

    @torch.inference_mode()
    def _found(self, seen: _Seen, rgb: RgbArray, phrase: str, clicks: Sequence[PointPrompt]) -> list[Proposal]:
        with memory_errors("Close other programs or use a smaller model."):
            ids = torch.tensor([self.ids(phrase)], device=self._device)
            masks, iou = self._decoded(
                seen.embedding, self._tokens(self._network.token(seen.pixels, ids), clicks, rgb.shape[:2])
            )
        best = int(iou.argmax())
        logits, score = masks[best].float().cpu().numpy(), float(iou[best])
        if not (np.isfinite(logits).all() and np.isfinite(score)):
            raise PromptError("The model gave no numbers for these words.", "Try others.")
        whole = mask_from_logits(logits, width=rgb.shape[1], height=rgb.shape[0])
        if whole.is_empty or score < LEAST_SCORE:
            return []
        found = parts(whole) if self._is_for_kinds and not clicks else (whole,)
        least = LEAST_PART_SHARE * max(one.area for one in found)
        return [named_proposal(one, score, stability(logits), phrase) for one in found if one.area >= least]

    def _tokens(self, words: Tensor, clicks: Sequence[PointPrompt], shape: tuple[int, ...]) -> Tensor:
        """The words' token behind those of the clicks, if there are any, as the prompt encoder has them."""
        if not clicks:
            return words
        side, (height, width) = self._info.image_size, shape
        places = [[click.x * side / width, click.y * side / height] for click in clicks]
        labels = torch.tensor([[int(click.is_positive) for click in clicks]], device=self._device)
        prompts: Any = self._network.visual_model.sam_prompt_encoder
        points = prompts._embed_points(torch.tensor([places], device=self._device), labels, pad=True)
        return torch.cat([points, words], 1)

    def _decoded(self, embedding: Sam2Embedding, token: Tensor) -> tuple[Tensor, Tensor]:
        """Three masks K x L x L and their predicted IoU; ``token``: all sparse prompts, 1 x N x width."""
        sam: Any = self._network.visual_model
        prompts = sam.sam_prompt_encoder
        dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, *prompts.image_embedding_size)
        masks, iou, _, _ = sam.sam_mask_decoder(
            image_embeddings=embedding.low.float(),
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=token,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=False,
            high_res_features=[embedding.fine.float(), embedding.coarse.float()],
        )
        return masks[0], iou[0]


def same_encoder(one: nn.Module, other: nn.Module) -> bool:
    """Whether two SAM 2 make the same embedding of an image, by their weights."""
    mine, others = (
        {name: values for name, values in model.state_dict().items() if name.startswith(_ENCODER)}
        for model in (one, other)
    )
    return mine.keys() == others.keys() and all(
        values.shape == others[name].shape and bool(torch.equal(values, others[name])) for name, values in mine.items()
    )


def resized(image: RgbArray, side: int, mode: str) -> Tensor:
    """H x W x 3 uint8 to 1 x 3 x side x side float32 in 0..255, without smoothing, as the checkpoint was trained."""
    pixels = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1)[None]
    return F.interpolate(pixels, (side, side), mode=mode, align_corners=False).clamp(0, 255)
