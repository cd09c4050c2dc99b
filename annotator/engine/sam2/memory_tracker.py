"""Objects carried by SAM 2's own video memory, on ``track_step`` over embeddings that clicks use, too.

The package's video predictor keeps every frame and every output for ever and cannot be given an embedding. Everything
it does goes through three methods of ``SAM2Base``; with the same weights this gives the same masks, and keeps what the
model looks at: a few certain frames and the newest others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.mask import Mask
from annotator.domain.ports.tracking import EmbeddingOf, TrackAnswer, TrackFrame, TrackSeed, TrackState
from annotator.domain.tracks.track import Direction
from annotator.engine.sam2.embedding import Sam2Embedding

CERTAIN_KEPT = 4
"""Certain frames that are attended: the nearest before and after, then by distance."""
RECENT_KEPT = 16
"""Frames whose object pointers are attended."""
_SEEN_LOGIT = 0.0
Output = dict[str, Any]


def has_memory(model: nn.Module) -> bool:
    """Whether a SAM 2 model has the modules that a video needs."""
    encoder = getattr(model, "memory_encoder", None)
    return encoder is not None and not isinstance(encoder, nn.Identity) and int(getattr(model, "num_maskmem", 0)) > 1


@dataclass(slots=True)
class _Memory:
    """What the model remembers of one object: outputs by position."""

    certain: dict[int, Output] = field(default_factory=dict)
    recent: OrderedDict[int, Output] = field(default_factory=OrderedDict)

    @property
    def frames(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Objects that remember the same frames go in one pass."""
        return tuple(self.certain), tuple(self.recent)


class MemoryTracker:
    """A :class:`~annotator.domain.ports.tracking.Propagator`.

    Args:
        model: eval-mode ``SAM2Base`` with its memory modules, on its device.
        frames: in the whole series: the model's sense of time is scaled by it.
        embedding_of: of a frame, with ``no_mem_embed`` added as the cache keeps it.
        here: brings an embedding to the model's device.
    """

    note = ""
    finds_again = True

    def __init__(
        self,
        model: nn.Module,
        *,
        frames: int,
        direction: Direction,
        embedding_of: EmbeddingOf,
        here: Callable[[Sam2Embedding], Sam2Embedding],
    ) -> None:
        sam: Any = model
        self._model = sam
        self._frames, self._is_reverse = frames, direction < 0
        self._embedding_of, self._here = embedding_of, here
        self._size = int(sam.image_size)
        sam.max_cond_frames_in_attn = CERTAIN_KEPT
        sam.binarize_mask_from_pts_for_mem_enc = True  # as the video predictor has it; clicks do not use it
        self._memories: dict[int, _Memory] = {}
        self._grids = [(self._size // stride, self._size // stride) for stride in (4, 8, 16)]
        self._place: Tensor | None = None

    @torch.inference_mode()
    def seed(self, frame: TrackFrame, seeds: Sequence[TrackSeed], *, is_cancelled: Callable[[], bool]) -> None:
        """See :class:`~annotator.domain.ports.tracking.Propagator`. A frame that is certain replaces what was thought
        of it and of those beside it."""
        levels = self._levels(self._embedding(frame, is_cancelled))
        inputs = torch.stack([self._mask_input(seed.mask, levels[0].device) for seed in seeds])
        features, places = self._expanded(levels, len(seeds))
        empty: dict[str, dict[int, Output]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        out = self._model.track_step(
            frame_idx=frame.position,
            is_init_cond_frame=True,
            current_vision_feats=features,
            current_vision_pos_embeds=places,
            feat_sizes=self._grids,
            point_inputs=None,
            mask_inputs=inputs,
            output_dict=empty,
            num_frames=self._frames,
            track_in_reverse=self._is_reverse,
            run_mem_encoder=False,
        )
        whole = F.interpolate(out["pred_masks"], (self._size, self._size), mode="bilinear", align_corners=False)
        memory, memory_places = self._model._encode_new_memory(
            features, self._grids, whole, out["object_score_logits"], is_mask_from_pts=True
        )
        near = int(self._model.num_maskmem)
        for at, seed in enumerate(seeds):
            kept = self._memories.setdefault(seed.track_id, _Memory())
            kept.certain[frame.position] = _slim(out, memory, memory_places, at)
            for position in [one for one in kept.recent if abs(one - frame.position) <= near]:
                del kept.recent[position]
            self._forget(kept, frame.position)

    @torch.inference_mode()
    def step(
        self, frame: TrackFrame, track_ids: Sequence[int], *, is_cancelled: Callable[[], bool]
    ) -> list[TrackAnswer]:
        """See :class:`~annotator.domain.ports.tracking.Propagator`."""
        levels = self._levels(self._embedding(frame, is_cancelled))
        self._memories = {track_id: self._memories[track_id] for track_id in track_ids}
        groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for track_id, memory in self._memories.items():
            groups.setdefault(memory.frames, []).append(track_id)
        found: dict[int, TrackAnswer] = {}
        for ids in groups.values():
            out = self._step_group(frame.position, ids, levels)
            found |= {one: _answer(frame, one, out, at) for at, one in enumerate(ids)}
        return [found[track_id] for track_id in track_ids]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _step_group(self, position: int, ids: Sequence[int], levels: Sequence[Tensor]) -> Output:
        features, places = self._expanded(levels, len(ids))
        memories = [self._memories[one] for one in ids]
        known = {
            "cond_frame_outputs": {at: _batch([m.certain[at] for m in memories]) for at in memories[0].certain},
            "non_cond_frame_outputs": {at: _batch([m.recent[at] for m in memories]) for at in memories[0].recent},
        }
        out: Output = self._model.track_step(
            frame_idx=position,
            is_init_cond_frame=False,
            current_vision_feats=features,
            current_vision_pos_embeds=places,
            feat_sizes=self._grids,
            point_inputs=None,
            mask_inputs=None,
            output_dict=known,
            num_frames=self._frames,
            track_in_reverse=self._is_reverse,
        )
        for at, memory in enumerate(memories):
            memory.recent[position] = _slim(out, out["maskmem_features"], out["maskmem_pos_enc"], at)
            self._trim(memory)
        return out

    def _trim(self, memory: _Memory) -> None:
        """Pointers of the newest frames, and the spatial memory of those that are attended."""
        while len(memory.recent) > RECENT_KEPT:
            memory.recent.popitem(last=False)
        for position in list(memory.recent)[: -int(self._model.num_maskmem)]:
            memory.recent[position]["maskmem_features"] = memory.recent[position]["maskmem_pos_enc"] = None

    @staticmethod
    def _forget(memory: _Memory, position: int) -> None:
        """Certain frames that will not be attended again; the first stays."""
        while len(memory.certain) > 2 * CERTAIN_KEPT:
            others = list(memory.certain)[1:]
            del memory.certain[max(others, key=lambda at: abs(at - position))]

    def _embedding(self, frame: TrackFrame, is_cancelled: Callable[[], bool]) -> Sam2Embedding:
        found: Any = self._embedding_of(frame, is_cancelled)
        found = getattr(found, "base", found)  # of an engine that zooms in
        if not isinstance(found, Sam2Embedding):
            raise TypeError("this engine carries with its own embeddings")
        return self._here(found)

    def _levels(self, embedding: Sam2Embedding) -> tuple[Tensor, Tensor, Tensor]:
        """Fine, coarse and low; the video path wants the last without ``no_mem_embed``."""
        low = embedding.low.float()
        if self._model.directly_add_no_mem_embed:
            low = low - self._model.no_mem_embed.view(1, -1, 1, 1)
        return embedding.fine.float(), embedding.coarse.float(), low

    def _expanded(self, levels: Sequence[Tensor], count: int) -> tuple[list[Tensor], list[Tensor | None]]:
        """HW x B x C of each level, and where its cells are; only the last level's places are looked at."""
        if self._place is None:
            self._place = self._model.image_encoder.neck.position_encoding(torch.zeros_like(levels[2]))
        features = [_sequence(level, count) for level in levels]
        return features, [None, None, _sequence(self._place, count)]

    def _mask_input(self, mask: Mask, device: torch.device) -> Tensor:
        """1 x S x S of zeros and ones, as the video predictor makes it."""
        full = torch.from_numpy(mask.full().astype(np.float32))[None, None]
        square = (self._size, self._size)
        small = F.interpolate(full, square, mode="bilinear", align_corners=False, antialias=True)
        return (small >= 0.5).float()[0].to(device)


def _sequence(level: Tensor, count: int) -> Tensor:
    return level.expand(count, -1, -1, -1).flatten(2).permute(2, 0, 1)


def _slim(out: Output, memory: Tensor, places: list[Tensor], at: int) -> Output:
    """One object's output; its memory as bfloat16, as the video predictor keeps it."""
    one = slice(at, at + 1)
    return {
        "maskmem_features": memory[one].to(torch.bfloat16),
        "maskmem_pos_enc": [place[:1] for place in places],
        "obj_ptr": out["obj_ptr"][one],
        "object_score_logits": out["object_score_logits"][one],
    }


def _batch(outputs: Sequence[Output]) -> Output:
    """Outputs of several objects on one frame as one."""
    first = outputs[0]
    has_memory = first["maskmem_features"] is not None
    count = len(outputs)
    places = [place.expand(count, -1, -1, -1) for place in first["maskmem_pos_enc"]] if has_memory else None
    return {
        "maskmem_features": torch.cat([one["maskmem_features"] for one in outputs]) if has_memory else None,
        "maskmem_pos_enc": places,
        "obj_ptr": torch.cat([one["obj_ptr"] for one in outputs]),
        "object_score_logits": torch.cat([one["object_score_logits"] for one in outputs]),
    }


def _answer(frame: TrackFrame, track_id: int, out: Output, at: int) -> TrackAnswer:
    width, height = frame.size_wh
    score = float(out["object_score_logits"][at].max())
    logits = out["pred_masks"][at, 0].float().cpu().numpy()
    if score <= _SEEN_LOGIT:
        gone = Mask.empty(width, height)
        return TrackAnswer(track_id, frame.position, gone, 0.0, TrackState.LOST, gone.rle())
    mask = mask_from_logits(logits, width=width, height=height)
    state = TrackState.LOST if mask.is_empty else TrackState.FOUND
    return TrackAnswer(track_id, frame.position, mask, _confidence(out, at), state, mask.rle())


def _confidence(out: Output, at: int) -> float:
    """From the outline's sharpness: share of the mask that stays when the threshold is moved by one logit."""
    logits = out["pred_masks"][at, 0]
    loose = int((logits > -1.0).sum())
    return float((logits > 1.0).sum()) / loose if loose else 0.0
