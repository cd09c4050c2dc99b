"""Find all like this: which objects are the examples, in this image and in the rest of the folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.domain.errors import PromptError, UserError
from annotator.domain.likeness.choosing import MOST_EXAMPLES, choose_examples
from annotator.domain.mask import Mask
from annotator.domain.ports.likeness import Examples, LikeQuestion
from annotator.domain.project import Annotation
from annotator.domain.seen import Seen
from annotator.ui.labelling.proposal_keys import ProposalKeys
from annotator.ui.labelling.proposal_search import WORDS
from annotator.ui.labelling.proposals import LIKE
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.loading import Picture
from annotator.ui.threads.worker import EngineClient

NO_EXAMPLE = "Select one or a few objects, or accept one: all that is like them is looked for then."


@dataclass(frozen=True, slots=True, eq=False)
class LikeAsk:
    """What is looked for: the question, the ids of its examples (as far as they are accepted), and their class."""

    question: LikeQuestion
    ids: tuple[int, ...]
    category_id: int
    image_id: int


class FindLike(QObject):
    """One per window. The question stays for the next image, where there is no example yet."""

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        client: EngineClient,
        refine: RefineController,
        keys: ProposalKeys,
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._client, self._refine = window, session, client, refine
        self._keys, self._proposals = keys, keys.proposals
        self._last: LikeAsk | None = None
        self._seen: frozenset[int] = frozenset()
        """Ids of the objects that were there when the image was opened, or searched last."""
        window.proposals.ask_wanted.connect(self.ask_again)
        session.image_changed.connect(self._on_image)
        session.opened.connect(self._forget)

    def find(self) -> None:
        """Look for all that is like the selected objects, or those accepted last, in this image."""
        if self._proposals.search.is_running:
            self._proposals.tell("The model is still searching; Esc stops it.")
            return
        ask = self.ask_of_now(self.find)
        if ask is None:
            return
        self._seen = frozenset(one.id for one in self._session.annotations)
        if ask.category_id in self._session.categories:
            self._session.classes.pick(ask.category_id)
        self._keys.take_tool()
        self._proposals.ask(ask.question, ask.ids)

    def ask_again(self) -> None:
        """The question that the proposals of the image are answers to; else for everything."""
        if self._proposals.source == WORDS and self._proposals.words is not None:
            self._proposals.ask(self._proposals.words)
            return
        is_like = self._proposals.source == LIKE and self._proposals.review.open_count > 0
        (self.find if is_like else self._proposals.ask)()

    def ask_of_now(self, again: Callable[[], None]) -> LikeAsk | None:
        """What would be looked for now; None, and said why, when there is nothing. None without a word: what is in view
        of a very large image is still being read, and ``again`` is called when it is there.
        """
        picture = self._proposals.seeing.picture
        if picture is None or not self._session.is_writable:
            return None
        if not self._client.can_answer:
            self._proposals.tell("There is no model to ask: choose one in the Model menu.")
            return None
        seen = self._proposals.seeing.now(again)
        if seen is None:
            return None
        try:
            ask = self._made(picture, seen)
        except UserError as error:
            self._proposals.tell(str(error))
            return None
        if ask is None:
            self._proposals.tell(NO_EXAMPLE)
        else:
            self._last = ask
        return ask

    # --- inside -------------------------------------------------------------------------------------------------------

    def _made(self, picture: Picture, seen: Seen) -> LikeAsk | None:
        """Raises:
        PromptError: an example has no pixels, or none is in view.
        """
        session, last = self._session, self._last
        rows = session.annotations
        drawn = self._drawn()
        fresh = {one.id for one in rows} - self._seen
        before = last.ids if last is not None and last.image_id == picture.image_id else ()
        selected = self._window.objects.selected_ids()
        chosen = choose_examples(rows, selected=selected, before=before, fresh=fresh)
        if drawn is not None and not selected and not before and not fresh:
            chosen = ()  # what is being drawn is meant, not something from before
        if not chosen and drawn is None:
            return last
        masks = [mask for one in chosen if (mask := _mask_of(one)) is not None]
        if drawn is not None:
            masks.append(drawn)
        ids, inside = tuple(one.id for one in chosen), seen.inside(masks)
        if masks and not inside and seen.sight is not None:
            if last is not None and last.ids == ids:
                return last  # learned in another part of the same image
            raise PromptError("None of the examples is in view as a whole.", "Zoom or pan until one is.")
        unlike = seen.inside(self._unlike()) if before else ()
        examples = Examples(seen.rgb, seen.key, inside, unlike=unlike)
        category = session.category
        kind = chosen[-1].category_id if chosen else 0 if category is None else category.id
        return LikeAsk(LikeQuestion((examples,)), ids, kind, picture.image_id)

    def _drawn(self) -> Mask | None:
        """The current object, when there is one that was not accepted before."""
        state = self._refine.state
        mask = state.mask if state.is_active and state.origin_id is None else None
        return None if mask is None or mask.is_empty else mask

    def _unlike(self) -> tuple[Mask, ...]:
        """What was found by examples and is not wanted, the newest."""
        review = self._proposals.review
        dropped = [one for one in review.table.items if one.id in review.dropped and one.source == "like"]
        return tuple(one.mask for one in dropped[-MOST_EXAMPLES:])

    def _on_image(self, _record: object) -> None:
        self._seen = frozenset(one.id for one in self._session.annotations)

    def _forget(self) -> None:
        self._last = None


def _mask_of(one: Annotation) -> Mask | None:
    """None where its runs are damaged, or it has no pixels."""
    try:
        mask = one.mask()
    except ValueError:
        return None
    return None if mask.is_empty else mask


def title_of(count: int) -> str:
    """For the list of jobs."""
    return f"Find all like {counted(count, 'example')}"
