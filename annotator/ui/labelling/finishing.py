"""How an image is finished: done or empty. Neither leaves a current object behind without a word."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.ui.labelling.painting import Painting
from annotator.ui.labelling.unaccepted import Unaccepted
from annotator.ui.labelling.views import Views
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.refine.patience import Patience
from annotator.ui.shell.question import QuestionBar


class Finishing(QObject):
    """Serves the keys that mark an image.

    Args:
        bar: where it is asked about a current object. key_of: see :class:`Unaccepted`.
        ask_of_image: asks for what is needed of an image that is to be done and calls its argument after the last
            answer; False when there is nothing to ask.
    """

    def __init__(
        self,
        session: ProjectSession,
        refine: RefineController,
        notices: Notices,
        *,
        views: Views,
        patience: Patience,
        painting: Painting,
        bar: QuestionBar,
        key_of: Callable[[str], str],
        ask_of_image: Callable[[Callable[[], None]], bool],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._refine, self._notices = session, refine, notices
        self._views, self._patience, self._painting = views, patience, painting
        self._ask_of_image = ask_of_image
        self._emptying_id = 0
        """The image that is marked empty as soon as no accept waits."""
        self.unaccepted = Unaccepted(
            bar,
            session,
            refine,
            key_of=key_of,
            accept=self._accept_and_go,
            drop=lambda: self._go_on(is_dropping=True),
            parent=self,
        )

    def mark_empty(self) -> None:
        """Neither objects nor drafts: an accept that still waits is stored first, and undo brings all of it back."""
        image = self._session.image
        if image is None or image.id == self._emptying_id:
            return  # it waits already: a second press must not take the mark away again
        if not (self._views.has_failed and not self._session.annotations) and not self.can_see():
            return
        self._emptying_id = image.id

        def over() -> None:
            self._emptying_id = 0

        def empty() -> None:
            self._session.mark_empty(lambda: self._refine.drop_image(image.id))

        self._on_this_image(empty, over, then="The image is marked empty", way_out="Mark it without it")

    def done_and_next(self) -> None:
        """Done means that no draft is left: the person is asked about it, and an accept that still waits for its
        mask comes first."""
        if not self._views.has_failed and not self.can_see():
            return
        self._painting.finish()
        if self.unaccepted.is_wanted:
            self.unaccepted.ask()
        else:
            self._go_on()

    def _accept_and_go(self) -> None:
        self._refine.accept()
        if not self.unaccepted.is_wanted:  # else it was refused, and it was said why
            self._go_on()

    def _go_on(self, *, is_dropping: bool = False) -> None:
        if not self._ask_of_image(lambda: self._finish(is_dropping=is_dropping)):
            self._finish(is_dropping=is_dropping)

    def _finish(self, *, is_dropping: bool) -> None:
        image = self._session.image

        def done() -> None:
            # Without waiting for a mask nothing is dropped: that object may not be the one that was asked about.
            self._session.done_and_next(is_dropping=is_dropping and self._refine.can_leave())
            left = self._session.drafts.counts.get(image.id, 0) if image is not None else 0
            if image is not None and left:
                text = f"{brief(image.name)} is done, but has {counted(left, 'unaccepted object')}."
                self._notices.tell(text, about=Subject.PROJECT)

        self._on_this_image(done, lambda: None, then="The next image comes", way_out="Continue without it")

    def _on_this_image(self, do: Callable[[], None], over: Callable[[], None], *, then: str, way_out: str) -> None:
        """Once no accept waits; not when the person is on another image by then. ``over`` in any case."""
        shown = self._session.image

        def finish() -> None:
            over()
            now = self._session.image
            if shown is not None and now is not None and now.id == shown.id:
                do()

        self._patience.wait(finish, then=then, way_out=way_out, give_up=over)

    def can_see(self) -> bool:
        """Whether the image is on the screen: nobody marks or deletes what was never shown."""
        if self._session.image is not None and not self._views.has_picture:
            self._notices.tell("Not before the image is on the screen.", about=Subject.READING)
        return self._views.has_picture
