"""The current object as a value: its prompts step by step, the answers to them, and a wish to accept it.

No Qt and no clock: the controller in ``refine.py`` applies these transitions and shows what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from annotator.domain.brush import Correction, painted
from annotator.domain.drafts.refined import laid_in
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, ModelInfo, RgbArray
from annotator.domain.project import Annotation, ImageRecord
from annotator.domain.prompt import Prompts, PromptSession
from annotator.domain.sight import Sight

KEPT_PAINTED_BYTES = 64 * 1024 * 1024
"""Painted masks of earlier steps are kept up to this many bytes, so that going back is quick."""
KEPT_MASK_BYTES = 256 * 1024 * 1024
"""Answers of earlier steps are kept up to this many bytes of mask; older ones are asked for again on undo."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenImage:
    """The image on the screen. ``epoch`` is the image switch; answers of earlier epochs are not about it.

    Attributes:
        rgb: H x W x 3 uint8, what the model sees; ``key`` names it.
        sight: which part of a very large image that is; None: all of it, pixel for pixel.
        is_here: whether ``rgb`` has been read; until then the model is not asked.
    """

    record: ImageRecord
    rgb: RgbArray
    key: str
    epoch: int
    sight: Sight | None = None
    is_here: bool = True

    @property
    def size_wh(self) -> tuple[int, int]:
        """Of the whole image, in pixels."""
        return (self.rgb.shape[1], self.rgb.shape[0]) if self.sight is None else (self.sight.width, self.sight.height)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model said to one step.

    ``index`` is the candidate that the person uses, ``adapter`` the record of the one that answered, empty for the
    base alone.
    """

    prompts: Prompts
    candidates: Candidates
    index: int
    encode_ms: float
    was_cached: bool
    model: ModelInfo | None
    adapter: str = ""

    @property
    def candidate(self) -> Candidate:
        return self.candidates.items[self.index]

    @property
    def mask_bytes(self) -> int:
        return sum(item.mask.bits.nbytes + item.logits.nbytes for item in self.candidates.items)

    def turned(self, step: int) -> Answer:
        return replace(self, index=(self.index + step) % len(self.candidates.items))


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A mask with strokes over it; ``source`` is the one without them, None when there was none."""

    source: Mask | None
    strokes: tuple[Correction, ...]
    mask: Mask

    def is_of(self, draft: Draft) -> bool:
        """Whether nothing has changed since."""
        return self.source is draft.source and self.strokes == draft.prompts.strokes


@dataclass(frozen=True, slots=True)
class Ticket:
    """The wish to accept: class and time (monotonic seconds) of the key press."""

    category_id: int
    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """One current object.

    Attributes:
        epoch: unique to this draft; an answer of another epoch is not for it.
        session: the prompts, with undo and redo.
        origin: the annotation that is being refined.
        generations: for each step of the session the generation it was asked with, 0 while it was not.
        answers: by generation.
        failed: the newest generation that the engine could not answer.
        ticket: set once the person has accepted; nothing is added to the draft from then on.
        started_s: monotonic time of the first prompt.
        clicks: points, boxes and strokes given, removed ones included.
        turns: candidate switches asked for before the answer was there.
        category_id: the class chosen for a refined object, None: the one it has.
        painted: masks with strokes over them, the newest first; see :meth:`repainted`.
        runs: a mask and its run lengths.
    """

    epoch: int
    image: OpenImage
    session: PromptSession = field(default_factory=PromptSession)
    origin: Annotation | None = None
    generations: tuple[int, ...] = (0,)
    answers: Mapping[int, Answer] = field(default_factory=lambda: MappingProxyType({}))
    failed: int = 0
    ticket: Ticket | None = None
    started_s: float | None = None
    clicks: int = 0
    turns: int = 0
    category_id: int | None = None
    painted: tuple[Painted, ...] = ()
    runs: tuple[Mask, bytes] | None = None

    # --- what it says -------------------------------------------------------------------------------------------------

    @property
    def kept_category_id(self) -> int | None:
        """The class of a refined object: the one chosen since, else the one it has. None for a new object."""
        if self.origin is None:
            return None
        return self.origin.category_id if self.category_id is None else self.category_id

    @property
    def prompts(self) -> Prompts:
        return self.session.prompts

    @property
    def generation(self) -> int:
        """The generation of the step at the cursor; 0 when it was not asked."""
        return self.generations[self.session.cursor]

    @property
    def has_prompts(self) -> bool:
        """Whether there is anything to ask the model (an untouched base mask needs no answer)."""
        return bool(self.prompts.points) or self.prompts.box is not None

    @property
    def has_work(self) -> bool:
        """Whether the person has said or painted anything."""
        return self.has_prompts or bool(self.prompts.strokes)

    @property
    def is_ready(self) -> bool:
        """Whether :attr:`mask` is what an accept keeps: the answer to exactly these prompts, or made by hand where no
        model answers."""
        if self.has_prompts and not self._has_failed:
            return self.answer is not None
        strokes, base = self.prompts.strokes, self.prompts.base_mask
        is_made_by_hand = not self._has_failed or base is not None or any(stroke.is_positive for stroke in strokes)
        return bool(strokes) and is_made_by_hand

    @property
    def is_touched(self) -> bool:
        """Whether there is something to cancel."""
        return self.session.is_active or len(self.session.steps) > 1

    @property
    def answer(self) -> Answer | None:
        """The answer to exactly the prompts at the cursor: the only one that may be accepted."""
        return self.answers.get(self.generation) if self.has_prompts else None

    @property
    def is_waiting(self) -> bool:
        return self.has_prompts and self.answer is None and not self._has_failed

    @property
    def must_ask(self) -> bool:
        return self.is_waiting and self.generation == 0

    @property
    def visible(self) -> Answer | None:
        """The newest answer that leads to the prompts at the cursor: painted until a newer one comes."""
        points = self.prompts.asked.points
        if not self.has_prompts:
            return None
        for generation in reversed(self.generations[: self.session.cursor + 1]):
            found = self.answers.get(generation)
            if found is not None and found.prompts.points == points[: len(found.prompts.points)]:
                return found
        return None

    @property
    def source(self) -> Mask | None:
        """The mask under the strokes: the answer in use, else the object that is being refined."""
        found = self.visible
        return found.candidate.mask if found is not None else self.prompts.base_mask

    @property
    def mask(self) -> Mask | None:
        """What to show and to keep: :attr:`source` with the strokes over it."""
        return self.repainted().painted[0].mask if self.prompts.strokes else self.source

    @property
    def rle(self) -> bytes | None:
        """Run lengths of :attr:`mask`, once they are known."""
        return self.runs[1] if self.runs is not None and self.runs[0] is self.mask else None

    @property
    def continued(self) -> Candidate | None:
        """The candidate in use at the step before, when the prompts at the cursor extend that step's."""
        cursor = self.session.cursor
        if cursor == 0 or not self.prompts.extends(self.session.steps[cursor - 1]):
            return None
        before = self.answers.get(self.generations[cursor - 1])
        return None if before is None else before.candidate

    @property
    def _has_failed(self) -> bool:
        return self.failed != 0 and self.failed == self.generation

    # --- transitions --------------------------------------------------------------------------------------------------

    def pushed(self, session: PromptSession, *, at_s: float, is_click: bool = True) -> Draft:
        """With a new step; steps that could have been redone are gone."""
        kept = self.generations[: self.session.cursor + 1]
        # Taking a prompt away may lead back to prompts that were answered already; a stroke asks for nothing new.
        asked, now = session.prompts.asked, self.session.prompts
        steps = zip(kept, self.session.steps, strict=False)
        known = next((g for g, step in steps if (g in self.answers or step is now) and step.asked == asked), 0)
        generations = (*kept, known)
        return replace(
            self,
            session=session,
            generations=generations,
            answers=MappingProxyType({g: a for g, a in self.answers.items() if g in generations}),
            started_s=at_s if self.started_s is None else self.started_s,
            clicks=self.clicks + int(is_click),
            turns=self.turns if asked == now.asked else 0,
        )

    def moved(self, session: PromptSession) -> Draft:
        """At another step of the same session; a step whose answer is not known is asked again."""
        generations = list(self.generations)
        asks_the_same = session.prompts.asked == self.prompts.asked
        if generations[session.cursor] not in self.answers:
            generations[session.cursor] = self.generation if asks_the_same else 0
        turns = self.turns if asks_the_same else 0
        return replace(self, session=session, generations=tuple(generations), turns=turns)

    def asked(self, generation: int) -> Draft:
        generations = list(self.generations)
        generations[self.session.cursor] = generation
        return replace(self, generations=tuple(generations))

    def answered(self, generation: int, answer: Answer) -> Draft:
        """With an answer; one to a step that is gone changes nothing."""
        if generation not in self.generations:
            return self
        turns, step = self.turns, self.generations.index(generation)
        answer = laid_in(answer, step, self.session.steps, self.generations, self.answers)
        if generation == self.generation:
            answer, turns = answer.turned(turns), 0
        return replace(self, answers=MappingProxyType(self._trimmed({**self.answers, generation: answer})), turns=turns)

    def turned(self, step: int) -> Draft:
        """With another candidate; remembered while the answer is still to come."""
        answer = self.answer
        if answer is None:
            return replace(self, turns=self.turns + step) if self.is_waiting else self
        return replace(self, answers=MappingProxyType({**self.answers, self.generation: answer.turned(step)}))

    def encoded(self, mask: Mask, rle: bytes) -> Draft:
        """With the runs of ``mask``, when that is the mask in use."""
        return replace(self, runs=(mask, rle)) if self.mask is mask else self

    def repainted(self) -> Draft:
        """With the strokes over the mask that is in use now; itself when they are."""
        if not self.prompts.strokes or (self.painted and self.painted[0].is_of(self)):
            return self
        known = next((done for done in self.painted if done.is_of(self)), None)
        return replace(self, painted=_kept((known or _painted(self), *(d for d in self.painted if d is not known))))

    def forgotten(self) -> Draft:
        """Without any answer (another model is in use): the step at the cursor is asked again."""
        return replace(self, generations=(0,) * len(self.generations), answers=MappingProxyType({}), failed=0)

    def _trimmed(self, answers: dict[int, Answer]) -> dict[int, Answer]:
        spent = 0
        kept: dict[int, Answer] = {}
        for generation in sorted(answers, reverse=True):
            spent += answers[generation].mask_bytes
            if kept and spent > KEPT_MASK_BYTES:
                break
            kept[generation] = answers[generation]
        return dict(sorted(kept.items()))


def _painted(draft: Draft) -> Painted:
    """Painted anew, from the longest beginning that is there already."""
    source, strokes = draft.source, draft.prompts.strokes
    width, height = draft.image.size_wh
    under, count = source or Mask.empty(width, height), 0
    for done in draft.painted:
        length = len(done.strokes)
        if done.source is source and count < length <= len(strokes) and done.strokes == strokes[:length]:
            under, count = done.mask, length
    return Painted(source, strokes, painted(under, strokes[count:]))


def _kept(done: tuple[Painted, ...]) -> tuple[Painted, ...]:
    """The newest of them, as far as there is room."""
    spent, kept = 0, list[Painted]()
    for one in done:
        spent += one.mask.bits.nbytes
        if kept and spent > KEPT_PAINTED_BYTES:
            break
        kept.append(one)
    return tuple(kept)
