"""Find all that is like examples: learn what they look like, look where that is, ask the model there, rate its answers.

Where to ask is worked out by :mod:`annotator.domain.likeness`, on the pixels and on the embedding of the whole image.
The model is asked in a piece round each place, by box and by click, and its answers are rated by a fitted model. What
is found with certainty then teaches as the examples do, and once more it is looked where to ask; and again, as long as
that finds many.
Whatever segmenter there is can serve: it has to encode, to decode and to show its features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.zoom import WHOLE_SHARE, Region, zoom_region
from annotator.domain.errors import EncodeCancelled, PromptError
from annotator.domain.geometry import Box
from annotator.domain.likeness import pooling
from annotator.domain.likeness.appearance import (
    Channels,
    FloatArray,
    PixelLooks,
    heat_map,
    learn_pixels,
    size_of,
    step_for,
    together,
)
from annotator.domain.likeness.rating import Answer, Answers
from annotator.domain.likeness.seeds import Pattern, Seed, others_than, patterns_of, seeds_in
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidates, Embedding, EverythingStep, LogitsArray, RgbArray
from annotator.domain.ports.likeness import Examples, LikeQuestion
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.looks import (
    Looks,
    Scene,
    answer_of,
    grid_of,
    learned_from,
    maps_of,
    seen_anew,
    standardised,
)
from annotator.engine.zoom.pieces import moved, placed

PIECE_MARGIN = 2.2
"""Side of a piece over the longer side of its seed's box."""
EXAMPLE_MARGIN = 2.0
LOOKS = 10
"""How often what was found is shown before every seed was asked; the first ones come sooner."""
LEAST_CERTAIN, LEAST_WARM = 0.6, 0.4
"""What is rated so, and lies where the heat map is so warm, is learned from as an example is: then what is like it is
looked for where nobody looked yet. What is a good object but of another kind has a high rating, too, and is cold."""
LEAST_LEARNED, MOST_LEARNED = 2, 12
MORE_SEEDS = 60
"""In each further round."""
LEAST_FRESH, MOST_ROUNDS = 15, 8
"""There is a third round, and a further one, if the one before found so many with certainty: an image with hundreds of
objects has more of them than the first places reach."""
_EARLY = (1, 3)
_LEAST_BOX_CELLS = 2.0
_STILL_LEARNING = EverythingStep(0, 0, None)

_Steps = Generator[EverythingStep, None, None]


class PieceDecoder(Protocol):
    """What encodes and decodes pieces, as Sam2Segmenter does; its embeddings show their features."""

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> Embedding: ...
    def decode_from(
        self, logits: LogitsArray | None, embedding: Embedding, prompts: Prompts, *, tidies: bool = False
    ) -> Candidates: ...


class LikeSearch:
    """One per segmenter; keeps what the last question's examples look like.

    Args:
        base_of: of an embedding that is wrapped, the decoder's own.
        piece_below: objects whose longer side is less than this share of the image's are asked for in a piece that is
            encoded again, others in the embedding of the whole image. Small models need pieces always.
        tidies: as of :class:`~annotator.engine.zoom.segmenter.ZoomSegmenter`.
    """

    def __init__(
        self,
        decoder: PieceDecoder,
        *,
        base_of: Callable[[Embedding], Embedding] = lambda embedding: embedding,
        piece_below: float = math.inf,
        tidies: bool = False,
    ) -> None:
        self._decoder, self._base_of, self._piece_below, self._tidies = decoder, base_of, piece_below, tidies
        self._learned: tuple[LikeQuestion, Looks] | None = None

    def steps(
        self,
        embedding: Embedding,
        image: RgbArray,
        image_key: str,
        question: LikeQuestion,
        known: Sequence[Mask],
        *,
        has_to_yield: Callable[[], bool] | None = None,
    ) -> Iterator[EverythingStep]:
        """See :class:`annotator.domain.ports.likeness.FindsLike`."""
        return self.steps_of(self.run(has_to_yield), embedding, image, image_key, question, known)

    def run(self, has_to_yield: Callable[[], bool] | None = None) -> LikeRun:
        """What one answer is worked out with."""
        return LikeRun(self._decoder, self._piece_below, self._tidies, has_to_yield)

    def steps_of(
        self,
        run: LikeRun,
        embedding: Embedding,
        image: RgbArray,
        image_key: str,
        question: LikeQuestion,
        known: Sequence[Mask],
    ) -> Iterator[EverythingStep]:
        """As :meth:`steps`; ``run`` shows afterwards all that was answered."""
        scene = run.scene(image, image_key, self._base_of(embedding))
        run.least_score = question.least_score
        yield _STILL_LEARNING
        if self._learned is None or self._learned[0] is not question:
            self._learned = (question, (yield from run.learn(question, scene)))
        looks = self._learned[1]
        there = [*known, *(mask for key, mask in looks.masks if key == image_key)]
        yield from run.search(scene, looks, there)


class LikeRun:
    """The steps of one answer. ``answers`` is what it has so far."""

    def __init__(
        self, decoder: PieceDecoder, piece_below: float, tidies: bool, has_to_yield: Callable[[], bool] | None
    ) -> None:
        self._decoder, self._piece_below, self._tidies, self._has_to_yield = decoder, piece_below, tidies, has_to_yield
        self.answers = Answers(())
        self.least_score = 0.0

    def scene(self, image: RgbArray, image_key: str, embedding: Embedding) -> Scene:
        maps = maps_of(embedding)
        return Scene(image, image_key, embedding, maps, pooling.standard_of(grid_of(maps)))

    # --- the examples -------------------------------------------------------------------------------------------------

    def learn(self, question: LikeQuestion, here: Scene) -> Generator[EverythingStep, None, Looks]:
        """Raises:
        PromptError: the model makes nothing of a box.
        """
        scenes: list[tuple[Examples, Scene, tuple[Mask, ...]]] = []
        for one in question.examples:
            scene = here
            if one.image_key != here.image_key:
                embedding = yield from self._encoded(one.image, f"{one.image_key}|example")
                scene = self.scene(one.image, one.image_key, embedding)
            boxed = yield from self._boxed(scene, one.boxes)
            scenes.append((one, scene, (*one.masks, *boxed)))
        size = size_of([mask for _, _, masks in scenes for mask in masks])
        vectors: list[FloatArray] = []
        pixels: list[PixelLooks] = []
        patterns: list[Pattern] = []
        for one, scene, masks in scenes:
            if not masks:
                continue
            for mask in masks:
                vectors.append((yield from self._vector(scene, mask)))
            channels = Channels(scene.image, scene.deep, step=step_for(size, scene.whole.width, scene.whole.height))
            pixels.append(learn_pixels(channels, masks, one.unlike, size.side_px))
            patterns += patterns_of(scene.image, masks, size)
            yield _STILL_LEARNING
        own = tuple((scene.image_key, mask) for _, scene, masks in scenes for mask in masks)
        unlike = tuple(mask for one in question.examples if one.image_key == here.image_key for mask in one.unlike)
        mean = np.asarray(np.mean(vectors, axis=0), np.float32)
        return Looks(size, together(pixels), tuple(patterns), mean, own, unlike)

    def _boxed(self, scene: Scene, boxes: Sequence[Box]) -> Generator[EverythingStep, None, list[Mask]]:
        """What the model sees in boxes."""
        found = []
        for box in boxes:
            inside = box.clipped(scene.whole.width, scene.whole.height)
            if inside.area <= 0:
                raise PromptError("A box of an example lies outside of the image.", "Draw it again.")
            region = self._region(scene, inside, margin=EXAMPLE_MARGIN, least_px=0.0)
            embedding = yield from self._piece(scene, region)
            mask = self._decode(embedding, Prompts(box=inside), region, scene).chosen.mask
            if mask.is_empty:
                raise PromptError("The model finds nothing in a box of an example.", "Draw it again.")
            found.append(mask)
        return found

    def _vector(self, scene: Scene, mask: Mask) -> Generator[EverythingStep, None, FloatArray]:
        """Pooled features of an example, standardised by its image."""
        x, y, w, h = mask.bbox_xywh
        region = self._region(scene, Box(x, y, x + w, y + h), margin=EXAMPLE_MARGIN, least_px=0.0)
        embedding = yield from self._piece(scene, region)
        maps = scene.maps if embedding is scene.embedding else maps_of(embedding)
        weight = pooling.weight_in(mask, region, maps[0].shape[1])
        return standardised(pooling.pooled(grid_of(maps), weight), scene)

    # --- the search ---------------------------------------------------------------------------------------------------

    def search(self, scene: Scene, looks: Looks, known: Sequence[Mask]) -> _Steps:
        """Look for places, and ask at each."""
        width, height = scene.whole.width, scene.whole.height
        channels = Channels(scene.image, scene.deep, step=step_for(looks.size, width, height))
        heat = heat_map(channels, looks.pixels, is_their_own=looks.are_of(scene))
        yield _STILL_LEARNING
        seeds = seeds_in(scene.image, heat, looks.size, looks.patterns, known)
        yield EverythingStep(0, len(seeds), None)
        self.answers = Answers(seeds, known, sum(key == scene.image_key for key, _ in looks.masks))
        yield from self._ask_all(scene, looks, heat, seeds, 0)
        found, first, rounds = self._certain(), 0, 1
        while _goes_on(found, first, rounds):
            better = learned_from(looks, found[:MOST_LEARNED], scene, channels)
            yield EverythingStep(len(seeds), len(seeds), None)
            heat = heat_map(channels, better.pixels, is_their_own=looks.are_of(scene))
            there = known if rounds == 1 else [*known, *(one.mask for one in found)]
            places = seeds_in(scene.image, heat, better.size, better.patterns, there)
            first, more = len(seeds), others_than(seeds, places, better.size)[:MORE_SEEDS]
            seeds += more
            self.answers.change(partial(seen_anew, looks=better, heat=heat), more)
            yield EverythingStep(first, len(seeds), self._proposals(seeds, scene))
            yield from self._ask_all(scene, better, heat, seeds, first)
            found, rounds = self._certain(), rounds + 1
        yield EverythingStep(len(seeds), len(seeds), self._proposals(seeds, scene), is_last=True)

    def _ask_all(self, scene: Scene, looks: Looks, heat: FloatArray, seeds: Sequence[Seed], first: int) -> _Steps:
        """At every seed from ``first`` on."""
        shown = first * LOOKS // max(len(seeds), 1)
        for at in range(first, len(seeds)):
            yield from self._ask(scene, looks, heat, seeds[at], at)
            done = at + 1
            is_look = done in _EARLY or done * LOOKS // len(seeds) > shown
            shown = done * LOOKS // len(seeds)
            if done < len(seeds):
                yield EverythingStep(done, len(seeds), self._proposals(seeds, scene) if is_look else None)

    def _certain(self) -> list[Answer]:
        """All that was found with certainty, the best first."""
        scores = self.answers.scores() if len(self.answers) else np.zeros(0)
        best = [self.answers.items[at] for at in self.answers.survivors(scores) if scores[at] >= LEAST_CERTAIN]
        return [one for one in best if one.heat_inside >= LEAST_WARM]

    def _ask(self, scene: Scene, looks: Looks, heat: FloatArray, seed: Seed, at: int) -> _Steps:
        """One place: by its box, and by a click."""
        width, height = scene.whole.width, scene.whole.height
        box = seed.box
        around = Box(min(box.x0, seed.x), min(box.y0, seed.y), max(box.x1, seed.x), max(box.y1, seed.y))
        region = self._region(scene, around, margin=PIECE_MARGIN, least_px=0.8 * looks.size.side_px)
        embedding = yield from self._piece(scene, region)
        maps = scene.maps if embedding is scene.embedding else maps_of(embedding)
        grid = grid_of(maps)
        inside = box.clipped(width, height)
        cell_px = max(region.width, region.height) / grid.shape[1]
        asked = [Prompts((PointPrompt(seed.x, seed.y),))]
        if min(inside.width, inside.height) > _LEAST_BOX_CELLS * cell_px / 4:
            asked.insert(0, Prompts(box=inside))
        for prompts in asked:
            for candidate in self._decode(embedding, prompts, region, scene).items:
                answer = answer_of(candidate, grid, scene, looks, heat, at)
                if answer is not None:
                    self.answers.add(answer)

    def _proposals(self, seeds: Sequence[Seed], scene: Scene) -> tuple[Proposal, ...]:
        if not len(self.answers):
            return ()
        found = []
        for at, score in zip(*self.answers.rated(), strict=True):
            if score >= self.least_score:
                answer = self.answers.items[at]
                seed = seeds[answer.seed]
                place = (seed.x, seed.y)
                found.append(Proposal(answer.mask, min(score, 1.0), answer.stability, place, scene.whole))
        return tuple(found)

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _region(self, scene: Scene, box: Box, *, margin: float, least_px: float) -> Region:
        width, height = scene.whole.width, scene.whole.height
        if max(box.width, box.height) >= self._piece_below * max(width, height):
            return scene.whole
        region = zoom_region(box, width=width, height=height, margin=margin, least_px=max(24.0, least_px))
        return scene.whole if region.width * region.height >= WHOLE_SHARE * width * height else region

    def _piece(self, scene: Scene, region: Region) -> Generator[EverythingStep, None, Embedding]:
        if region == scene.whole:
            return scene.embedding
        pixels = np.ascontiguousarray(scene.image[region.y0 : region.y1, region.x0 : region.x1])
        place = f"{region.x0},{region.y0},{region.x1},{region.y1}"
        return (yield from self._encoded(pixels, f"{scene.image_key}|{place}"))

    def _encoded(self, pixels: RgbArray, key: str) -> Generator[EverythingStep, None, Embedding]:
        while True:
            try:
                return self._decoder.encode(pixels, key, is_cancelled=self._has_to_yield)
            except EncodeCancelled:
                yield _STILL_LEARNING  # something more urgent waits; then it is begun anew

    def _decode(self, embedding: Embedding, prompts: Prompts, region: Region, scene: Scene) -> Candidates:
        """In image pixels."""
        if region == scene.whole:
            return self._decoder.decode_from(None, embedding, prompts, tidies=self._tidies)
        found = self._decoder.decode_from(None, embedding, moved(prompts, region), tidies=self._tidies)
        size = (scene.whole.width, scene.whole.height)
        return replace(found, items=tuple(replace(c, mask=placed(c.mask, region, size)) for c in found.items))


def _goes_on(found: Sequence[Answer], first: int, rounds: int) -> bool:
    """Whether there is another round: a second one if there is something to learn from; a further one if many are found
    in places of the last one, which are those from ``first`` on."""
    if rounds == 1:
        return len(found) >= LEAST_LEARNED
    return rounds < MOST_ROUNDS and sum(one.seed >= first for one in found) >= LEAST_FRESH
