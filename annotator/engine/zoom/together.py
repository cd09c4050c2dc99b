"""Several images in one call of a model that looks closer: their pieces go through it together, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from annotator.domain.answering.asking import ask_steps, proposals_of
from annotator.domain.answering.everything import Begun, EverythingSettings, Proposal
from annotator.domain.answering.zoom import Region
from annotator.domain.ports.engine import Candidates, Embedding, RgbArray
from annotator.domain.ports.together import Asked
from annotator.domain.prompt import Prompts
from annotator.engine.everything import GRID_BATCH_ON_CARD, Everything
from annotator.engine.zoom.pieces import groups, is_finite, says_where
from annotator.engine.zoom.piecewise import CROPS_KEPT, ZoomEmbedding, looked

if TYPE_CHECKING:
    from annotator.engine.zoom.segmenter import ZoomSegmenter

GRID_BATCH = 16
"""Clicks of a grid decoded at once on a processor."""


class ZoomTogether:
    """See :class:`annotator.domain.ports.together.AnswersTogether`. Belongs to the segmenter that has it."""

    def __init__(self, segmenter: ZoomSegmenter) -> None:
        self._owner = segmenter

    def encode(self, images: Sequence[tuple[RgbArray, str]]) -> list[Embedding]:
        """See the port."""
        found = self._owner.base.together.encode(images)
        return [ZoomEmbedding(base, image) for base, (image, _) in zip(found, images, strict=True)]

    def decode(self, asked: Sequence[Asked], *, most: int) -> list[Candidates]:
        """The pieces of first steps are encoded together, and boxes and masks decoded together; clicks are looked for,
        and gone on from, one by one."""
        pieces = self._owner.pieces
        first = [self._first_regions(_own(one.embedding), one.steps[0]) for one in asked]
        found: dict[int, Candidates] = {}
        for places in groups(first, [one.embedding for one in asked], most=min(most, CROPS_KEPT)):
            mine = {place: _own(asked[place].embedding) for place in places}
            pieces.encode_together([(mine[p], region) for p in places for region in first[p]], most=most)
            named = [place for place in places if says_where(asked[place].steps[0]) and first[place]]
            parts = [(mine[place], first[place][0], asked[place].steps[0]) for place in named]
            for place, answer in zip(named, pieces.decode_together(parts, most=most), strict=True):
                found[place] = looked(self._owner.answered(answer, first[place][0]), mine[place])
            for place in places:
                found[place] = ask_steps(self._owner, mine[place], asked[place].steps, found.get(place))
        return [found[place] for place in range(len(asked))]

    def everything(
        self, work: Sequence[tuple[Embedding, RgbArray]], settings: EverythingSettings, *, most: int
    ) -> list[tuple[Proposal, ...]]:
        """The crops of all images are encoded together; the clicks go together by image."""
        runs = [
            (everything_run(self._owner, _own(embedding), image, settings), _own(embedding))
            for embedding, image in work
        ]
        wanted = [(embedding, region) for run, embedding in runs for region in run.regions[:CROPS_KEPT]]
        self._owner.pieces.encode_together(wanted, most=most)
        return [proposals_of(run.steps()) for run, _ in runs]

    def staying(self) -> AbstractContextManager[None]:
        """See the port."""
        return self._owner.base.together.staying()

    def _first_regions(self, embedding: ZoomEmbedding, prompts: Prompts) -> tuple[Region, ...]:
        """Where prompts are looked at first; nowhere when they are refused."""
        if not is_finite(prompts) or prompts.is_empty:
            return ()
        if says_where(prompts):
            return (self._owner.named_region(embedding, prompts),)
        return self._owner.regions_of_clicks(embedding, prompts)


def everything_run(
    segmenter: ZoomSegmenter,
    embedding: ZoomEmbedding,
    image: RgbArray,
    settings: EverythingSettings,
    has_to_yield: Callable[[], bool] | None = None,
    begun: Begun | None = None,
) -> Everything:
    """A run whose crops are pieces."""
    whole = embedding.whole

    def embedding_of(region: Region) -> Embedding:
        return embedding.base if region == whole else segmenter.pieces.embedding(embedding, region, has_to_yield)

    batch = GRID_BATCH if segmenter.device.type == "cpu" else GRID_BATCH_ON_CARD
    return Everything(segmenter.base, image, embedding_of, settings.checked(), batch=batch, begun=begun)


def _own(embedding: Embedding) -> ZoomEmbedding:
    if not isinstance(embedding, ZoomEmbedding):
        raise TypeError("this engine decodes its own embeddings")
    return embedding
