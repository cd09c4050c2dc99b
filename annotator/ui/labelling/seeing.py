"""What the model sees of the image on the screen, for searches of it, which may have to wait for that."""

from __future__ import annotations

from collections.abc import Callable

from annotator.domain.proposals.review import ProposalReview
from annotator.domain.seen import Seen, lies_in
from annotator.ui.threads.loading import Picture


class Seeing:
    """Whole images are seen as they are; of a very large one the part in view, which has to be read first."""

    def __init__(self) -> None:
        self.picture: Picture | None = None
        """What is on the screen."""
        self.look: Callable[[], Seen | None] = lambda: None
        """The part in view of a very large image; None while it is read."""
        self._waiting: Callable[[], None] | None = None

    @property
    def is_waited_for(self) -> bool:
        """Whether :meth:`go_on` has something to call."""
        return self._waiting is not None

    def now(self, again: Callable[[], None]) -> Seen | None:
        """What the model sees. None: it is still being read, and ``again`` is called when it is there."""
        if self.picture is None or not self.picture.is_overview:
            return self.at_once()
        found = self.look()
        if found is None:
            self._waiting = again
        return found

    def at_once(self) -> Seen | None:
        """What the model sees, if it is there."""
        if self.picture is None or self.picture.is_overview:
            return None if self.picture is None else self.look()
        return Seen(self.picture.loaded.rgb, self.picture.loaded.image_key)

    def wait(self, again: Callable[[], None] | None) -> None:
        """Call this with the next :meth:`go_on`, and nothing else; None: nothing."""
        self._waiting = again

    def go_on(self) -> None:
        """What was waited for is there."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()

    def has_open(self, review: ProposalReview) -> bool:
        """Whether proposals wait for a decision in what the model sees."""
        if self.picture is None or not self.picture.is_overview or not review.open_count:
            return review.open_count > 0
        seen = self.at_once()
        are_open = (one for one in review.table.items if one.id not in review.gone)
        return seen is not None and seen.sight is not None and any(lies_in(one.mask, seen.sight) for one in are_open)
