"""The questions of a batch, put to the model: everything, or object by object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from annotator.commands.batch.pipeline import Answer, Found
from annotator.commands.batch.prompts import Question
from annotator.commands.batch.work_list import WorkItem
from annotator.domain.answering.asking import ask_steps, check_prompts, proposals_of, steps_of
from annotator.domain.answering.everything import EverythingSettings, Proposal
from annotator.domain.errors import PromptError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import AnswersEverything, Candidates, Embedding, Segmenter
from annotator.domain.ports.together import AnswersTogether, Asked
from annotator.domain.prompt import Prompts
from annotator.io.images.reader import LoadedImage

if TYPE_CHECKING:
    from annotator.engine.at_once import AtOnce


class AskEverything:
    """Asks for every object of an image.

    Args:
        segmenter: has to answer everything, too.
        at_once: where several images may be asked together.
    """

    def __init__(self, segmenter: Segmenter, settings: EverythingSettings, *, at_once: AtOnce | None = None) -> None:
        self._segmenter, self._settings, self.at_once = segmenter, settings, at_once

    @property
    def may_overlap(self) -> bool:
        """See :class:`annotator.commands.batch.pipeline.BeginsAhead`."""
        from annotator.engine.beside import encodes_beside

        return encodes_beside(self._segmenter)

    def __call__(self, item: WorkItem, image: LoadedImage) -> Answer:
        """Raises:
        UserError: the model has no room for the image.
        """
        return self.begin(item, image)()

    def begin(self, _item: WorkItem, image: LoadedImage) -> Callable[[], Answer]:
        """See :class:`annotator.commands.batch.pipeline.BeginsAhead`."""
        segmenter = self._segmenter
        assert isinstance(segmenter, AnswersEverything)
        embedding = segmenter.encode(image.rgb, image.image_key)

        def answer() -> Answer:
            return _of_proposals(proposals_of(segmenter.everything(embedding, image.rgb, self._settings)))

        return answer

    def together(self, model: AnswersTogether, work: Sequence[tuple[WorkItem, LoadedImage]]) -> list[Answer]:
        """See :class:`annotator.commands.batch.together.AsksTogether`."""
        embeddings = model.encode([(image.rgb, image.image_key) for _, image in work])
        asked = [(embedding, image.rgb) for embedding, (_, image) in zip(embeddings, work, strict=True)]
        found = model.everything(asked, self._settings, most=len(work))
        return [_of_proposals(proposals) for proposals in found]


class AskQuestions:
    """Asks for the objects that a file names; an image without any is looked at, and not encoded.

    Args:
        questions: by :attr:`WorkItem.key`.
        at_once: where several images may be asked together.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        questions: Mapping[str, Sequence[Question]],
        *,
        at_once: AtOnce | None = None,
    ) -> None:
        self._segmenter, self._questions, self.at_once = segmenter, questions, at_once

    @property
    def may_overlap(self) -> bool:
        """See :class:`annotator.commands.batch.pipeline.BeginsAhead`."""
        from annotator.engine.beside import encodes_beside

        return encodes_beside(self._segmenter)

    def __call__(self, item: WorkItem, image: LoadedImage) -> Answer:
        """Raises:
        UserError: the model has no room for the image.
        """
        return self.begin(item, image)()

    def begin(self, item: WorkItem, image: LoadedImage) -> Callable[[], Answer]:
        """See :class:`annotator.commands.batch.pipeline.BeginsAhead`."""
        questions = self._questions.get(item.key, ())
        if not questions:
            return Answer
        return partial(self._answer, self._segmenter.encode(image.rgb, image.image_key), questions)

    def _answer(self, embedding: Embedding, questions: Sequence[Question]) -> Answer:
        outcomes = _Outcomes()
        for question in questions:
            with outcomes.of_next():
                found = ask_steps(self._segmenter, embedding, _steps(question, embedding))
                outcomes.add(_found(question, found))
        return outcomes.answer()

    def together(self, model: AnswersTogether, work: Sequence[tuple[WorkItem, LoadedImage]]) -> list[Answer]:
        """See :class:`annotator.commands.batch.together.AsksTogether`."""
        questions = [self._questions.get(item.key, ()) for item, _ in work]
        asked_of = [at for at, own in enumerate(questions) if own]
        images = [work[at][1] for at in asked_of]
        encoded = model.encode([(image.rgb, image.image_key) for image in images])
        embeddings = dict(zip(asked_of, encoded, strict=True))
        asked: list[Asked] = []
        refused: dict[tuple[int, int], PromptError] = {}
        for at in asked_of:
            for number, question in enumerate(questions[at]):
                try:
                    asked.append(Asked(embeddings[at], _steps(question, embeddings[at])))
                except PromptError as error:
                    refused[at, number] = error
        found = iter(model.decode(asked, most=len(work)))
        answers = []
        for at, own in enumerate(questions):
            outcomes = _Outcomes()
            for number, question in enumerate(own):
                with outcomes.of_next():
                    if (at, number) in refused:
                        raise refused[at, number]
                    outcomes.add(_found(question, next(found)))
            answers.append(outcomes.answer())
        return answers


class _Outcomes:
    """Of the questions about an image, in their order."""

    def __init__(self) -> None:
        self._found: list[Found] = []
        self._left_out: list[str] = []
        self._number = 0

    @contextmanager
    def of_next(self) -> Iterator[None]:
        """One question; a PromptError is its outcome."""
        self._number += 1
        try:
            yield
        except PromptError as error:
            self._left_out.append(f"prompt {self._number}: {error.message}")

    def add(self, found: Found) -> None:
        self._found.append(found)

    def answer(self) -> Answer:
        return Answer(tuple(self._found), tuple(self._left_out))


def _steps(question: Question, embedding: Embedding) -> tuple[Prompts, ...]:
    """What is asked, step by step.

    Raises:
        PromptError: the prompt is outside the image, or the mask is of an image of another size.
    """
    size = (embedding.width, embedding.height)
    if question.rle:
        if question.size_wh != size:
            raise PromptError("The mask is of an image of {} x {} pixels.".format(*question.size_wh))
        return (Prompts(base_mask=Mask.from_rle(question.rle, *size)),)
    # A detector's boxes reach over the edge at times; what is left of one may be nothing.
    box = None if question.box is None else question.box.clipped(*size)
    check_prompts(question.points, box, width=embedding.width, height=embedding.height)
    return steps_of(question.points, box)


def _found(question: Question, candidates: Candidates) -> Found:
    """Raises:
    PromptError: nothing is there.
    """
    chosen = candidates.chosen
    if chosen.mask.is_empty:
        raise PromptError("The model found nothing there.")
    extra: dict[str, Any] = {}
    if question.rle:
        extra["refined_iou"] = round(chosen.mask.iou(Mask.from_rle(question.rle, *question.size_wh)), 4)
    if question.box is not None:
        extra["box_prompt"] = [round(value, 2) for value in question.box.as_xywh()]
    if question.points:
        extra["point_coords"] = [[round(point.x, 2), round(point.y, 2)] for point in question.points]
        extra["point_labels"] = [int(point.is_positive) for point in question.points]
    if question.score is not None:
        extra["prompt_score"] = question.score
    return Found(chosen.mask, chosen.predicted_iou, question.category_id, extra)


def _of_proposals(proposals: Iterable[Proposal]) -> Answer:
    return Answer(tuple(_of_proposal(proposal) for proposal in proposals))


def _of_proposal(proposal: Proposal) -> Found:
    extra = {
        "stability_score": round(proposal.stability_score, 4),
        "point_coords": [[round(value, 2) for value in proposal.point_xy]],
    }
    return Found(proposal.mask, proposal.predicted_iou, extra=extra)
