"""The work on the images of a project as one value: the line of drafts, the image that is open, what the file knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from annotator.domain.drafts.draft import Draft, OpenImage
from annotator.domain.drafts.keeping import Keeping
from annotator.domain.drafts.line import Line, draft_in_work
from annotator.domain.project import ImageRecord


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Changed by the moves of :mod:`annotator.domain.drafts.moves` and :mod:`annotator.domain.drafts.answers`.

    Attributes:
        line: accepted drafts that wait for their mask, and at its end the current one. Only its head is known to the
            engine.
        opened: the image on the screen.
        keeping: what the project file knows.
        category_id: the class of the next accept.
        epoch: the newest that was given out, to an image or a draft.
        is_encoding: the engine has not seen the image that is open yet.
    """

    line: Line = ()
    opened: OpenImage | None = None
    keeping: Keeping = field(default_factory=Keeping)
    category_id: int | None = None
    epoch: int = 0
    is_encoding: bool = False

    @property
    def draft(self) -> Draft | None:
        """The current draft: the last one, of the image that is open."""
        return draft_in_work(self.line, self.opened)

    @property
    def is_idle(self) -> bool:
        """No accept waits for its mask."""
        return all(draft.ticket is None for draft in self.line)

    @property
    def head_epoch(self) -> int:
        """Answers to drafts before this one are wanted no more."""
        return self.line[0].epoch if self.line else self.epoch

    def is_open(self, image_id: int) -> bool:
        return self.opened is not None and self.opened.record.id == image_id

    def fresh(self, image: OpenImage) -> tuple[Work, Draft]:
        """An empty draft, which is not in the line yet, with an epoch of its own."""
        epoch = self.epoch + 1
        return replace(self, epoch=epoch), Draft(epoch, image)

    def with_line(self, line: Sequence[Draft]) -> Work:
        return replace(self, line=tuple(line))

    def with_draft(self, draft: Draft) -> Work:
        """Another value of the last draft."""
        return self.with_line((*self.line[:-1], draft))

    def with_work_at_end(self) -> Work:
        """While an image is open, the last draft takes prompts."""
        if self.opened is None or (self.line and self.line[-1].ticket is None):
            return self
        work, draft = self.fresh(self.opened)
        return work.with_line((*self.line, draft))

    def with_record(self, record: ImageRecord) -> Work:
        """The image's record was changed elsewhere (status, facts)."""
        opened = self.opened
        if opened is not None and opened.record.id == record.id:
            opened = replace(opened, record=record)
        line = tuple(
            replace(d, image=replace(d.image, record=record)) if d.image.record.id == record.id else d
            for d in self.line
        )
        return replace(self, opened=opened, line=line)
