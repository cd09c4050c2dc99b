"""One search of the model at a time: asked, shown as a job, stopped, and its answers put together."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from annotator.domain.brevity import brief
from annotator.domain.ports.concept import ConceptRequest, WordsQuestion
from annotator.domain.ports.likeness import LikeQuestion, LikeRequest
from annotator.domain.ports.requests import SEARCH_EPOCH, EngineFailure, EverythingRequest, EverythingResult
from annotator.domain.project import Annotation
from annotator.domain.proposals.gather import Finder, Gathering
from annotator.domain.proposals.resuming import begun_from
from annotator.domain.proposals.table import ProposalTable
from annotator.domain.seen import Seen
from annotator.jobs.job import Job
from annotator.ui.threads.jobs import JobBoard
from annotator.ui.threads.proposal_work import ProposalWork
from annotator.ui.threads.worker import EngineClient

WORDS = "words"
"""The source of proposals that words have found."""


class ProposalSearch(QObject):
    """Everything that the model finds in one image. What it has found when it ends early stays."""

    changed = Signal()
    """It has begun, is further than before, or is over."""
    cancel_wanted = Signal()
    """In the list of jobs."""

    def __init__(self, client: EngineClient, work: ProposalWork, board: JobBoard, *, parent: QObject) -> None:
        super().__init__(parent)
        self._client, self._work, self._board = client, work, board
        self._generation = 0
        self._job: Job | None = None
        self._gathering: Gathering | None = None
        self._goes_on = False
        """Whether a later search can go on where this one ends."""
        self.annotations: tuple[Annotation, ...] = ()
        """Objects of the image, kept up to date by the owner: what they cover is reported with every answer."""
        client.everything.connect(self._on_step)
        client.failed.connect(self._on_failed)

    @property
    def is_running(self) -> bool:
        return self._job is not None

    @property
    def share(self) -> float | None:
        """How far it is, 0..1; None: not known."""
        return None if self._job is None else self._job.standing.share

    @property
    def finder(self) -> Finder:
        """Who would be asked now."""
        info, adapter = self._client.info, self._client.adapter
        made_by = ("", "") if info is None else (info.name, info.sha256)
        return Finder("everything", *made_by, "" if adapter is None else adapter.record)

    def begin(
        self,
        seen: Seen,
        name: str,
        table: ProposalTable,
        dropped: frozenset[int],
        *,
        done: int = 0,
        question: LikeQuestion | WordsQuestion | None = None,
        examples: tuple[int, ...] = (),
    ) -> None:
        """Ask the model for everything that it sees, or with a question for all that is like its examples, or that its
        words name.

        Args:
            name: of the image, for the person.
            table, dropped: the proposals that are there; see :class:`Gathering`.
            done: clicks of an earlier search for everything whose answers are all in the table, to go on from there.
            examples: ids of the objects that are the question's examples, as far as they are objects.
        """
        self.stop()
        self._generation += 1
        known = begun_from(table, done) if done and seen.sight is None else None
        begun, kept = (None, {}) if known is None else known
        pairs = [] if begun is None else [(one, kept[id(one)]) for one in begun.proposals]
        is_like = question is not None
        self._goes_on = question is None and seen.sight is None
        finder = replace(self.finder, source="like", examples=examples) if is_like else self.finder
        if isinstance(question, WordsQuestion):
            finder = Finder(WORDS, question.finder)
        self._gathering = Gathering(table, dropped, finder, begun=pairs, sight=seen.sight)
        what = "all like this" if is_like else "everything"
        what = question.ask.phrases.text or "what boxes show" if isinstance(question, WordsQuestion) else what
        where = brief(name) if seen.sight is None else f"{brief(name)}, the part in view"
        job = self._job = Job(f"Find {what} in {where}", on_cancel=self.cancel_wanted.emit)
        self._board.add(job)
        job.begin()
        about = (SEARCH_EPOCH, self._generation, seen.key, seen.rgb)
        if question is None:
            self._client.submit_everything(EverythingRequest(*about, begun=begun, sight=seen.sight))
        elif isinstance(question, WordsQuestion):
            self._client.submit_everything(ConceptRequest(*about, question.ask, question.finder, seen.sight))
        else:
            self._client.submit_like(LikeRequest(*about, question, self.annotations, sight=seen.sight))
        self.changed.emit()

    def stop(self) -> bool:
        """End it; False when none was running."""
        job, self._job = self._job, None
        if job is None:
            return False
        self._client.drop_everything()
        job.stopped()
        self.changed.emit()
        return True

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_step(self, result: EverythingResult) -> None:
        job, step = self._job, result.step
        if job is None or (result.epoch, result.generation) != (SEARCH_EPOCH, self._generation):
            return
        job.show_progress(step.done, step.total)
        if step.proposals is not None and self._gathering is not None:
            if result.finder is not None:
                self._gathering.found_by(Finder(WORDS, result.finder.name, result.finder.sha256))
            done = step.done if self._goes_on and not step.is_last else 0
            self._work.add(self._gathering, step.proposals, self.annotations, is_last=step.is_last, done=done)
        if step.is_last:
            self._job = None
            job.succeed(None)
        self.changed.emit()

    def _on_failed(self, failure: EngineFailure) -> None:
        job = self._job
        if job is not None and (failure.epoch, failure.generation) == (SEARCH_EPOCH, self._generation):
            self._job = None
            job.fail(failure.message)
            self.changed.emit()
