"""The questions of a batch, put to the model: everything, or object by object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from annotator.commands.batch.pipeline import Answer, Found
from annotator.commands.batch.prompts import Question
from annotator.commands.batch.work_list import WorkItem
from annotator.domain.answering.asking import ask_stepwise, check_prompts
from annotator.domain.answering.everything import EverythingSettings, Proposal
from annotator.domain.errors import PromptError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import AnswersEverything, Embedding, Segmenter
from annotator.domain.prompt import Prompts
from annotator.io.images.reader import LoadedImage


class AskEverything:
    """Asks for every object of an image.

    Args:
        segmenter: has to answer everything, too.
    """

    def __init__(self, segmenter: Segmenter, settings: EverythingSettings) -> None:
        self._segmenter, self._settings = segmenter, settings

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
            proposals: tuple[Proposal, ...] = ()
            for step in segmenter.everything(embedding, image.rgb, self._settings):
                proposals = proposals if step.proposals is None else step.proposals
            return Answer(tuple(_of_proposal(proposal) for proposal in proposals))

        return answer


class AskQuestions:
    """Asks for the objects that a file names; an image without any is looked at, and not encoded.

    Args:
        questions: by :attr:`WorkItem.key`.
    """

    def __init__(self, segmenter: Segmenter, questions: Mapping[str, Sequence[Question]]) -> None:
        self._segmenter, self._questions = segmenter, questions

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
        found: list[Found] = []
        left_out: list[str] = []
        for number, question in enumerate(questions, start=1):
            try:
                found.append(self._ask(embedding, question))
            except PromptError as error:
                left_out.append(f"prompt {number}: {error.message}")
        return Answer(tuple(found), tuple(left_out))

    def _ask(self, embedding: Embedding, question: Question) -> Found:
        """Raises:
        PromptError: the prompt is outside the image, or nothing is there.
        """
        if question.rle:
            return self._refine(embedding, question)
        # A detector's boxes reach over the edge at times; what is left of one may be nothing.
        box = None if question.box is None else question.box.clipped(embedding.width, embedding.height)
        check_prompts(question.points, box, width=embedding.width, height=embedding.height)
        chosen = ask_stepwise(self._segmenter, embedding, question.points, box).chosen
        if chosen.mask.is_empty:
            raise PromptError("The model found nothing there.")
        extra: dict[str, Any] = {}
        if question.box is not None:
            extra["box_prompt"] = [round(value, 2) for value in question.box.as_xywh()]
        if question.points:
            extra["point_coords"] = [[round(point.x, 2), round(point.y, 2)] for point in question.points]
            extra["point_labels"] = [int(point.is_positive) for point in question.points]
        if question.score is not None:
            extra["prompt_score"] = question.score
        return Found(chosen.mask, chosen.predicted_iou, question.category_id, extra)

    def _refine(self, embedding: Embedding, question: Question) -> Found:
        """Raises:
        PromptError: the mask is of an image of another size, or nothing is left of it.
        """
        size = (embedding.width, embedding.height)
        if question.size_wh != size:
            raise PromptError("The mask is of an image of {} x {} pixels.".format(*question.size_wh))
        mask = Mask.from_rle(question.rle, *size)
        chosen = self._segmenter.decode(embedding, Prompts(base_mask=mask)).chosen
        if chosen.mask.is_empty:
            raise PromptError("The model found nothing there.")
        return Found(
            chosen.mask, chosen.predicted_iou, question.category_id, {"refined_iou": round(chosen.mask.iou(mask), 4)}
        )


def _of_proposal(proposal: Proposal) -> Found:
    extra = {
        "stability_score": round(proposal.stability_score, 4),
        "point_coords": [[round(value, 2) for value in proposal.point_xy]],
    }
    return Found(proposal.mask, proposal.predicted_iou, extra=extra)
