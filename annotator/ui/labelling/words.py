"""Finding by words in the window: the line is opened, what was asked is remembered, and the model is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal

from annotator.domain.counting import counted
from annotator.domain.errors import UserError
from annotator.domain.phrase import Phrases, clean_phrase, split_phrases
from annotator.domain.ports.concept import ConceptAsk
from annotator.domain.prompt import PointPrompt
from annotator.engine.finders import Offer, no_model_text, offers
from annotator.engine.specs import Ability
from annotator.io.settings import Settings
from annotator.ui.labelling.example_boxes import ExampleBoxes, takes_boxes
from annotator.ui.labelling.proposal_keys import ProposalKeys
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import Errand

SETTING = "words"
KEPT_ASKS = 20
CLASS_KEY = "words of class "
"""In the project: what was asked last with a class in use."""


class Words(QObject):
    """One per window.

    Args:
        look: says which models there are; asks the disk, so not on this thread. None: those of the registry.
        clicks: on the object that is being made, for models that take them along with words.
    """

    models_wanted = Signal()

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        proposals: ProposalKeys,
        settings: Settings,
        *,
        look: Callable[[], Sequence[Offer]] | None = None,
        clicks: Callable[[], tuple[PointPrompt, ...]] = tuple,
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._proposals, self._settings = window, session, proposals, settings
        self._line, self._look, self._clicks = window.area.words, look or offers, clicks
        self._boxes = ExampleBoxes(window.canvas, proposals.tool_wanted.emit)
        self._errand = Errand(self)
        self._offers: Sequence[Offer] | None = None
        """Models for words, the best first; None while that is not known."""
        self._wanted: str | None = None
        """What was asked before it was known who answers."""
        self._line.asked.connect(self.ask)
        self._line.models_wanted.connect(self._show_models)
        self._line.clear_wanted.connect(lambda: window.canvas.examples.set(()))
        self._line.closed.connect(self._on_closed)
        window.canvas.examples.changed.connect(self._on_boxes)
        session.opened.connect(self._line.close_line)

    def open(self) -> None:
        """Open the line, with what was asked last for the class in use."""
        store, category = self._session.store, self._session.category
        if store is None or self._session.image is None:
            return
        before = [text for text in self._settings.get(SETTING) if isinstance(text, str)]
        of_class = None if category is None else store.meta_get(f"{CLASS_KEY}{category.id}")
        names = [clean_phrase(one.name) for one in self._session.categories.values()]
        last = self._proposals.proposals.words
        alone = self._boxes.has_positive and last is not None and not last.ask.phrases.wanted
        self._line.open_with("" if alone else of_class or (before[0] if before else ""), before, names)
        self._line.show_state("Looking for models…", is_ready=True)
        self._offers, self._wanted = None, None
        self._errand.start(self._look, self._on_models, self._on_error)

    def ask(self, text: str) -> None:
        """Search the image that is shown for what the words name and the boxes show."""
        try:
            phrases = split_phrases(text, are_needed=not self._boxes.has_positive)
        except UserError as error:
            self._line.show_state(str(error), is_ready=True, has_boxes=bool(self._boxes.boxes))
            return
        if self._offers is None:
            self._wanted = text
            return
        offer = self._chosen()
        if offer is None:
            self._show_standing()
            return
        self._remember(phrases)
        examples = self._boxes.boxes
        self._line.close_line()
        for note in phrases.notes:
            self._window.notices.tell(note, about=Subject.CHANGE)
        clicks = self._clicks() if _takes_clicks(offer) and phrases.wanted else ()
        self._proposals.find_words(ConceptAsk(phrases, examples, clicks=clicks), offer.entry.name, self._classes())

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._errand.shut_down()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_models(self, found: Sequence[Offer]) -> None:
        self._offers = found
        if any(offer.is_ready and takes_boxes(offer) for offer in found):
            self._boxes.lend()
        self._show_standing()
        if self._wanted is not None and self._chosen() is not None:
            self.ask(self._wanted)

    def _chosen(self) -> Offer | None:
        """The best model that can answer: with boxes one that takes them."""
        ready = [offer for offer in self._offers or () if offer.is_ready]
        return next((offer for offer in ready if not self._boxes.boxes or takes_boxes(offer)), None)

    def _show_standing(self) -> None:
        """Say who will answer, or what is missing."""
        if self._offers is None:
            return
        offer, boxes = self._chosen(), self._boxes.boxes
        if offer is not None:
            hint = self._boxes.said if boxes else "drag boxes round examples" if takes_boxes(offer) else ""
            if _takes_clicks(offer) and (clicks := len(self._clicks())):
                hint = f"with {counted(clicks, 'click')}: which one is meant"
            text = " · ".join(filter(None, (offer.entry.name, hint, "Enter searches this image")))
        else:
            is_for_words = any(one.is_ready for one in self._offers)
            text = _for_boxes(self._offers) if boxes and is_for_words else " ".join(_short(self._offers))
        self._line.show_state(text, is_ready=offer is not None, has_boxes=bool(boxes))

    def _on_boxes(self) -> None:
        if self._line.is_open:
            self._show_standing()
            self._line.field.setFocus()  # so that Enter searches
        elif self._boxes.boxes:
            self.open()

    def _on_closed(self) -> None:
        self._boxes.give_back()
        self._window.canvas.setFocus()

    def _on_error(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._line.show_state(str(error), is_ready=False)

    def _remember(self, phrases: Phrases) -> None:
        text = phrases.text
        if not phrases.wanted:
            return
        before = [one for one in self._settings.get(SETTING) if isinstance(one, str) and one != text]
        try:
            self._settings.set(SETTING, [text, *before][:KEPT_ASKS])
        except UserError as error:
            self._window.notices.tell(str(error), about="settings")
        category = self._session.category
        if category is not None:
            self._session.remember(f"{CLASS_KEY}{category.id}", text)

    def _classes(self) -> dict[str, int]:
        """By phrase the class that has this name: an object found by it gets that one, all others the class in use."""
        return {clean_phrase(one.name).casefold(): one.id for one in self._session.categories.values()}

    def _show_models(self) -> None:
        self._line.close_line()
        self.models_wanted.emit()


def _takes_clicks(offer: Offer) -> bool:
    return Ability.WITH_CLICKS in offer.family.can


def _for_boxes(found: Sequence[Offer]) -> str:
    """Which model would take boxes, and what it lacks."""
    lacking = [offer for offer in found if takes_boxes(offer)]
    how = f" {lacking[0].lack} {lacking[0].advice}." if lacking else ""
    return f"Boxes are not understood by the models for words that are here.{how}"


def _short(found: Sequence[Offer]) -> tuple[str, str]:
    """What is missing, in as few words as the line has room for."""
    message, _ = no_model_text()
    here = next((offer for offer in found if offer.is_here), None)
    if here is not None:
        return here.lack, f"{here.advice}."
    first = next((offer for offer in found if offer.family.missing), None)
    if first is not None:
        return message, first.advice + "."
    return message, "Get one of: " + ", ".join(offer.entry.name for offer in found) + "."
