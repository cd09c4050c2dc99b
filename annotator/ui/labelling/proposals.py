"""Proposals in the window: what the model found by itself in the image that is shown, until a person takes or drops it.

They lie in the project file beside the document. Taking some is one edit; what an object covers is not shown as long as
the object is there, so that undo brings the proposals back by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, Signal

from annotator.domain.counting import counted
from annotator.domain.errors import UserError
from annotator.domain.ports.concept import WordsQuestion
from annotator.domain.ports.likeness import LikeQuestion
from annotator.domain.project import Annotation, Category, Change, Edit, ImageRecord
from annotator.domain.proposals.gather import Finder, FoundObject, Gathering, covered_by_objects
from annotator.domain.proposals.remembered import as_text, from_text
from annotator.domain.proposals.resuming import SearchMark
from annotator.domain.proposals.review import ProposalReview
from annotator.domain.proposals.table import ProposalTable
from annotator.domain.proposals.taking import take_edit
from annotator.domain.proposals.teaching import Lessons
from annotator.io.settings import Settings
from annotator.ui.labelling.proposal_search import WORDS, ProposalSearch
from annotator.ui.labelling.seeing import Seeing
from annotator.ui.look.numbers import grouped
from annotator.ui.notices import Subject
from annotator.ui.project.proposal_book import ProposalBook
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import utc_now
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.loading import Picture
from annotator.ui.threads.proposal_work import Gathered, ProposalWork
from annotator.ui.threads.worker import EngineClient

SETTING = "proposals"
EVERYTHING, LIKE = "everything", "like"
"""Sources of proposals."""
_FEW_MASKS = 8
"""So many are decoded at once; more of them beside the GUI thread."""
_FEW_STATES = 100
"""So many that objects cover, or cover no more, are written with the step."""
_FEW_OBJECTS = 24
"""Of so many it is seen at once what they cover."""


class Proposals(QObject):
    """One per window. :meth:`show_image` and :meth:`leave_image` say what is on the screen."""

    changed = Signal()
    """There are some now, or none any more; or a search has begun or is over."""

    def __init__(self, window: MainWindow, session: ProjectSession, client: EngineClient, settings: Settings) -> None:
        super().__init__(window)
        self._window, self._session, self._settings = window, session, settings
        self._client, self._notices, self._canvas = client, window.notices, window.canvas
        self._panel = window.proposals
        self._work = ProposalWork(self)
        self.search = ProposalSearch(client, self._work, window.jobs, parent=self)
        self.book = ProposalBook(session, lambda: self.review)
        self.seeing = Seeing()
        self.source = EVERYTHING
        """Who found what the sliders are about."""
        self.words: WordsQuestion | None = None
        """What was asked in words last."""
        self._lessons = Lessons()
        self._drops: list[frozenset[int]] = []
        """What was dropped since the last change of the document, so that a step back gives it back."""
        limits, walk, self._other_score = from_text(settings.get(SETTING))
        self.review = ProposalReview(limits=limits, walk=walk)
        self._panel.set_limits(limits, walk)
        self._wire()

    def _wire(self) -> None:
        canvas, panel = self._canvas, self._panel
        self._work.gathered.connect(self._on_gathered)
        self._work.looked_at.connect(lambda looks: self.show(self._lessons.learned(looks, self.review)))
        self.search.changed.connect(self._on_search)
        self.search.cancel_wanted.connect(self.stop)
        self._client.ready.connect(lambda _info: self._go_on())
        self._session.changed.connect(self._on_change)
        self._session.class_changed.connect(self._on_class)
        self._session.opened.connect(self.leave_image)
        self._session.image_changed.connect(self._on_image)
        canvas.proposal_pointed.connect(lambda one: self.show(self.review.point(one)))
        canvas.proposal_clicked.connect(lambda one, is_dropping: self.settle({one}, is_dropping=is_dropping))
        canvas.proposals_ringed.connect(self._on_ring)
        panel.limits_changed.connect(lambda limits: self.show(self.review.limited(limits)))
        panel.walk_changed.connect(lambda walk: self.show(self.review.walked_by(walk)))
        panel.stop_wanted.connect(self.stop)
        panel.accept_wanted.connect(self.take_shown)
        panel.drop_wanted.connect(lambda: self.settle(self.review.shown, is_dropping=True))
        panel.bring_back_wanted.connect(lambda: self.show(self.review.bring_back()))

    def ask(self, question: LikeQuestion | WordsQuestion | None = None, examples: tuple[int, ...] = ()) -> None:
        """Ask the model for everything: anew, or on from where a search ended early; or with a question for all that is
        like its examples, or that its words name. What was dropped does not come again.

        Args:
            examples: their ids, as far as they are objects.
        """
        image = self._session.image
        if self.seeing.picture is None or image is None or not self._session.is_writable:
            return
        if not self._client.can_answer:
            self.tell("There is no model to ask: choose one in the Model menu.")
            return
        again = partial(self.ask, question, examples)
        seen = self.seeing.now(again)
        self.seeing.wait(again if self._work.is_busy or seen is None else None)
        if seen is not None and not self.seeing.is_waited_for:
            if isinstance(question, WordsQuestion):
                self.words = question
                self._use_source(WORDS)
            else:
                self._use_source(EVERYTHING if question is None else LIKE)
            self.search.annotations = self._session.annotations
            mark, finder = self.book.search if question is None else None, self.search.finder
            is_same = mark is not None and (mark.model_sha256, mark.adapter) == (finder.model_sha256, finder.adapter)
            done = mark.done if mark is not None and is_same else 0
            about = (seen, image.path, self.review.table, self.review.dropped)
            self.search.begin(*about, done=done, question=question, examples=examples)

    def take_in(self, found: Sequence[FoundObject], finder: Finder) -> None:
        """Show what a search of the folder has found in this image, unless it is being asked now."""
        if not self.search.is_running and not self._work.is_busy and self._session.is_writable:
            self._use_source(finder.source)
            gathering = Gathering(self.review.table, self.review.dropped, finder)
            self._work.add(gathering, found, self._session.annotations, is_last=True, done=0)

    def stop(self) -> bool:
        """The person ends the search: what was found stays, and it goes on when it is asked for. False: none runs."""
        if not self.search.stop():
            return False
        if self.book.search is not None:
            self.book.search = replace(self.book.search, is_paused=True)
            self.book.keep(self.review)
        return True

    def take_shown(self) -> None:
        """Accept all that are shown, in one step."""
        self.settle(self.review.shown, is_dropping=False)

    def settle(self, ids: Collection[int], *, is_dropping: bool) -> None:
        """Take these of what is shown with the class in use, in one step, or drop them."""
        wanted = frozenset(ids)
        chosen = [one for one in self.review.shown if one in wanted]
        if not chosen or not self._session.is_writable or self._session.large.is_busy:
            return
        if is_dropping:
            self._drops.append(frozenset(chosen))
            self.show(self.review.drop(chosen))
            self.tell(f"{counted(len(chosen), 'proposal')} dropped, {len(self.review.shown)} left.")
        else:
            self._take(chosen)

    @property
    def can_undo_drop(self) -> bool:
        """Whether nothing was done since proposals were dropped."""
        return bool(self._drops)

    def undo_drop(self) -> bool:
        """Take the last drop back; False when there is none, or something else was done since."""
        if not self._drops:
            return False
        ids = self._drops.pop()
        self.show(self.review.bring_back(ids))
        self.tell(f"{counted(len(ids), 'proposal')} back.")
        return True

    def tell_counts(self) -> None:
        """How many there are, and what can be done with them."""
        review = self.review
        if not len(review.table):
            key = self._window.key_of("tool_click")
            self.tell(f"Nothing was found here. {key} takes the click tool: click an object to get its mask.")
            return
        keys = "Click or Enter takes one, Backspace drops it, Shift+Enter takes all that are shown."
        self.tell(f"{counted(review.open_count, 'proposal')}, {len(review.shown)} shown. {keys}")

    def tell(self, text: str) -> None:
        """About the proposals of this image."""
        self._notices.tell(text, about=Subject.CHANGE)

    # --- image after image --------------------------------------------------------------------------------------------

    def show_image(self, picture: Picture | None) -> None:
        """This image is on the screen now, with its objects."""
        if picture is None or self._session.store is None:
            return
        self.seeing.picture = picture
        rows = self.book.open(picture.image_id)
        for source in (LIKE, WORDS):
            if any(row[5] == source for row in rows):
                self._use_source(source)
        self._panel.set_can_change(self._session.is_writable)
        self._on_class(self._session.category)
        if rows:
            self._work.read(rows, self._session.annotations, (picture.loaded.width, picture.loaded.height))
        else:
            self._go_on()

    def leave_image(self) -> None:
        """Another image comes, or none: what was found so far stays with this one."""
        self.search.stop()
        self._work.forget()
        self.book.keep(self.review)
        self.book.close()
        self.seeing.picture, self._lessons = None, Lessons()
        self.seeing.wait(None)
        self.words = None if self.words is None else self.words.elsewhere
        self._drops.clear()
        self._panel.set_can_change(False)
        if len(self.review.table) or self.review.dropped or self.review.covered:  # mostly there is none
            self.show(self.review.with_table(ProposalTable(), dropped=frozenset(), covered={}))

    def shut_down(self) -> None:
        """Wait for what still runs, and remember the sliders."""
        self.search.stop()
        self._work.shut_down()
        self.book.keep(self.review)
        try:
            self._use_source(EVERYTHING)
            self._settings.set(SETTING, as_text(self.review.limits, self.review.walk, self._other_score))
        except UserError:
            return  # where the sliders were is no reason to hold the end up

    def show(self, review: ProposalReview) -> None:
        """Go on with this; what is kept of it is written."""
        before, self.review = self.review, self._lessons.applied(review)
        review = self.review
        layer = self._canvas.proposals
        if review.table is not before.table:
            layer.set_table(review.table)
        if review.shown != before.shown or review.table is not before.table:
            layer.show_only(review.shown)
        layer.set_current(review.current)
        now, then = ((one.table, one.shown, one.gone) for one in (review, before))
        if now == then:
            return
        if now[0] is not then[0]:
            self.book.keep_soon()  # thousands are written beside this step
        elif now[2] != then[2]:
            is_at_once = review.dropped != before.dropped or len(now[2] ^ then[2]) <= _FEW_STATES
            if is_at_once:
                self.book.keep(review)
            else:
                self.book.keep_soon()
        self._panel.show_review(review)
        self._window.docks["proposals"].detail.setText(grouped(review.open_count) if review.open_count else "")
        self.changed.emit()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _take(self, ids: Collection[int]) -> None:
        image, category, store = self._session.image, self._session.category, self._session.store
        if image is None or category is None or store is None:
            return
        table = self.review.table
        new_ids = iter([store.new_id("annotation") for _ in ids])

        def made() -> Edit:
            return take_edit(
                [table[one] for one in ids],
                image,
                category_id=category.id,
                new_id=lambda: next(new_ids),
                author=self._session.author,
                created_at=utc_now(),
                by_phrase=None if self.words is None else self.words.by_phrase,
            )

        def say() -> None:
            what = f"{category.name}, {counted(len(ids))}" if len(ids) > 1 else category.name
            left = "" if self._work.is_busy else f" {counted(len(self.review.shown), 'proposal')} left."
            self.tell(f"Accepted: {what}.{left}")

        self._session.large.apply(f"Accept {counted(len(ids), 'proposal')}", made, len(ids), say)
        if self._session.large.is_busy:
            self.tell(f"Accepting {counted(len(ids), 'proposal')}…")

    def _on_ring(self, corners: tuple[tuple[float, float], ...], is_dropping: bool) -> None:
        inside = self.review.table.in_ring(corners, self.review.shown)
        self.settle(inside, is_dropping=is_dropping)
        if not inside:
            self.tell("No proposal lies in there by more than half.")

    def _on_image(self, record: ImageRecord | None) -> None:
        shown = self.seeing.picture
        if record is None or shown is None or record.id != shown.image_id:
            self.leave_image()

    def _on_class(self, category: Category | None) -> None:
        if category is not None:
            self._canvas.proposals.set_colour(category.colour)

    def _on_search(self) -> None:
        self._panel.show_search(self.search.is_running, self.search.share)
        self.changed.emit()

    def _on_gathered(self, found: Gathered) -> None:
        is_first, self.book.is_read = not self.book.is_read, True
        if found.done is not None:
            by = self.search.finder
            self.book.search = SearchMark(found.done, by.model_sha256, by.adapter) if found.done else None
        self.show(self.review.with_table(found.table, dropped=found.dropped, covered=found.covered))
        if found.annotations is not self._session.annotations:
            known, now = ({one.id: one for one in rows} for rows in (found.annotations, self._session.annotations))
            touched = {one for one in known.keys() | now.keys() if _runs(known.get(one)) != _runs(now.get(one))}
            self._cover(touched, now)
        if self.seeing.is_waited_for:
            self.seeing.go_on()
        elif is_first and self._go_on():
            return
        elif found.is_last and not self.search.is_running:
            self.tell_counts()
            seen = self.seeing.at_once()
            if seen is not None and any(one.source == LIKE for one in found.table.items):
                self._work.look_at(seen, found.table)

    def _go_on(self) -> bool:
        """With a search that was not finished when the image was left, by the model that had begun it."""
        mark, by = self.book.search, self.search.finder
        is_due = mark is not None and not mark.is_paused and self.book.is_read and not self.search.is_running
        if not is_due or mark is None or (mark.model_sha256, mark.adapter) != (by.model_sha256, by.adapter):
            return False
        self.ask()
        return self.search.is_running

    def _use_source(self, source: str) -> None:
        """Objects found by examples or words are rated in another way: their least score is remembered apart."""
        is_other = (source == EVERYTHING) != (self.source == EVERYTHING)
        self.source = source
        if is_other:
            limits = replace(self.review.limits, least_score=self._other_score)
            self._other_score = self.review.limits.least_score
            self._panel.set_limits(limits, self.review.walk)
            self.show(self.review.limited(limits))

    def _on_change(self, change: Change) -> None:
        if not change.annotation_ids:
            return
        self._drops.clear()
        self.search.annotations = self._session.annotations
        if len(self.review.table):
            self._cover(set(change.annotation_ids), {one.id: one for one in self._session.annotations})

    def _cover(self, touched: set[int], now: dict[int, Annotation]) -> None:
        """Objects came, went, or look different."""
        if not touched or self._work.is_busy:
            return  # what is under way looks again when it is there
        table = self.review.table
        here = [now[one] for one in touched if one in now]
        if len(touched) > _FEW_OBJECTS or sum(not table.has_runs(one.rle) for one in here) > _FEW_MASKS:
            self._work.cover(table, self._session.annotations)
            return
        self.show(self.review.cover(covered_by_objects(table, here), uncovered=touched))


def _runs(annotation: Annotation | None) -> bytes:
    return b"" if annotation is None else annotation.rle
