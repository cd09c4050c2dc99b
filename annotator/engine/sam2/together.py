"""Several images or pieces of images in one pass of a SAM 2 model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from annotator.domain.answering.asking import proposals_of
from annotator.domain.answering.everything import EverythingSettings, Proposal
from annotator.domain.ports.engine import Candidates, Embedding, RgbArray
from annotator.domain.ports.together import Asked
from annotator.domain.prompt import Prompts
from annotator.engine.pixels import check_rgb
from annotator.engine.sam2.arrays import mask_input_of, prompt_arrays
from annotator.engine.sam2.embedding import Sam2Embedding
from annotator.engine.sam2.joint import Question, in_rounds

if TYPE_CHECKING:
    from annotator.engine.sam2.segmenter import Sam2Segmenter


class Sam2Together:
    """See :class:`annotator.domain.ports.together.AnswersTogether`. Belongs to the segmenter that has it."""

    def __init__(self, segmenter: Sam2Segmenter) -> None:
        self._owner = segmenter

    def encode(self, images: Sequence[tuple[RgbArray, str]]) -> list[Embedding]:
        """One pass of the encoder."""
        for image, _ in images:
            check_rgb(image)
        named = [(image, self._owner.embedding_key(key)) for image, key in images]
        return self._owner.in_memory(lambda: [*self._owner.encoder.encode_together(named)]) if named else []

    def decode(self, asked: Sequence[Asked], *, most: int, tidies: bool = False) -> list[Candidates]:
        """Prompts of one kind in one pass.

        Args:
            tidies: as of :meth:`annotator.engine.sam2.segmenter.Sam2Segmenter.decode_from`.
        """
        owner = self._owner

        def decode(questions: Sequence[Question]) -> list[Candidates]:
            if owner.decoder.fast is None:  # the official module takes one image
                return [owner.decode_from(q.logits, q.embedding, q.prompts, tidies=tidies) for q in questions]
            return owner.in_memory(lambda: self._joined(questions, tidies=tidies))

        return in_rounds(asked, decode, most=most)

    def decode_first(self, requests: Sequence[tuple[Embedding, Prompts]], *, tidies: bool) -> list[Candidates]:
        """First prompts, in one pass where the model is small enough to gain by it on a processor."""
        owner = self._owner
        kinds = {(len(p.points), p.box is None, p.is_ambiguous) for _, p in requests}
        can_join = len(kinds) == 1 and len(requests) > 1 and owner.decoder.can_join
        are_here = all(isinstance(e, Sam2Embedding) and e.low.device == owner.device for e, _ in requests)
        if not can_join or not are_here or any(p.base_mask or p.is_empty for _, p in requests):
            return [owner.decode_from(None, embedding, prompts, tidies=tidies) for embedding, prompts in requests]
        questions = [Question(embedding, prompts) for embedding, prompts in requests]
        return owner.in_memory(lambda: self._joined(questions, tidies=tidies))

    def everything(
        self, work: Sequence[tuple[Embedding, RgbArray]], settings: EverythingSettings, *, most: int
    ) -> list[tuple[Proposal, ...]]:
        """The clicks of an image go together; crops, where they are asked for at all, are encoded one by one."""
        return [proposals_of(self._owner.everything(embedding, image, settings)) for embedding, image in work]

    @contextmanager
    def staying(self) -> Iterator[None]:
        """See the port."""
        self._owner.stays = True
        try:
            yield
        finally:
            self._owner.stays = False

    def _joined(self, questions: Sequence[Question], *, tidies: bool) -> list[Candidates]:
        """Those of one kind, on the fast decoder."""
        started = time.perf_counter()
        owner = self._owner
        device, size = owner.device, owner.info.image_size
        embeddings = [owner.here(_own(q.embedding)) for q in questions]
        arrays = [
            prompt_arrays(q.prompts, (e.width, e.height), model_size=size, device=device)
            for e, q in zip(embeddings, questions, strict=True)
        ]
        points, labels = (_stacked(column) for column in zip(*arrays, strict=True))
        masks = [mask_input_of(q.prompts, q.logits, side=size // 4, device=device) for q in questions]
        is_of_one = all(embedding is embeddings[0] for embedding in embeddings)
        answers = owner.decoder.decode(
            embeddings[:1] if is_of_one else embeddings,
            points,
            labels,
            mask_input=_stacked(masks),
            multimask=questions[0].prompts.is_ambiguous,
        )
        return [
            owner.candidates_of(found, e, started, q.prompts.points if tidies else None)
            for found, e, q in zip(answers, embeddings, questions, strict=True)
        ]


def _own(embedding: Embedding) -> Sam2Embedding:
    if not isinstance(embedding, Sam2Embedding):
        raise TypeError("this engine decodes its own embeddings")
    return embedding


def _stacked(rows: Sequence[Tensor | None]) -> Tensor | None:
    """Of all, or None where there are none."""
    there = [row for row in rows if row is not None]
    return torch.cat(there) if there else None
