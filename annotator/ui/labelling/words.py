"""Finding by words in the window: the line is opened, what was asked is remembered, and the model is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal

from annotator.domain.errors import UserError
from annotator.domain.phrase import Phrases, clean_phrase, split_phrases
from annotator.domain.ports.concept import ConceptAsk
from annotator.engine.finders import Offer, no_model_text, offers
from annotator.io.settings import Settings
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
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._proposals, self._settings = window, session, proposals, settings
        self._line, self._look = window.area.words, look or offers
        self._errand = Errand(self)
        self._model: str | None = None
        """The model that will answer; None: not known, or there is none."""
        self._wanted = ""
        """What was asked before it was known who answers."""
        self._line.asked.connect(self.ask)
        self._line.models_wanted.connect(self._show_models)
        self._line.closed.connect(window.canvas.setFocus)
        session.opened.connect(self._line.close_line)

    def open(self) -> None:
        """Open the line, with what was asked last for the class in use."""
        store, category = self._session.store, self._session.category
        if store is None or self._session.image is None:
            return
        before = [text for text in self._settings.get(SETTING) if isinstance(text, str)]
        of_class = None if category is None else store.meta_get(f"{CLASS_KEY}{category.id}")
        names = [clean_phrase(one.name) for one in self._session.categories.values()]
        self._line.open_with(of_class or (before[0] if before else ""), before, names)
        self._line.show_state("Looking for models…", is_ready=True)
        self._model, self._wanted = None, ""
        self._errand.start(self._look, self._on_models, self._on_error)

    def ask(self, text: str) -> None:
        """Search the image that is shown."""
        try:
            phrases = split_phrases(text)
        except UserError as error:
            self._line.show_state(str(error), is_ready=True)
            return
        if self._model is None:
            self._wanted = text
            return
        self._remember(phrases)
        self._line.close_line()
        for note in phrases.notes:
            self._window.notices.tell(note, about=Subject.CHANGE)
        self._proposals.find_words(ConceptAsk(phrases), self._model, self._classes())

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._errand.shut_down()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_models(self, found: Sequence[Offer]) -> None:
        ready = next((offer for offer in found if offer.is_ready), None)
        if ready is None:
            self._line.show_state(" ".join(_short(found)), is_ready=False)
            return
        self._model = ready.entry.name
        self._line.show_state(f"{self._model} · Enter searches this image", is_ready=True)
        if self._wanted:
            self.ask(self._wanted)

    def _on_error(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._line.show_state(str(error), is_ready=False)

    def _remember(self, phrases: Phrases) -> None:
        text = phrases.text
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


def _short(found: Sequence[Offer]) -> tuple[str, str]:
    """What is missing, in as few words as the line has room for."""
    message, _ = no_model_text()
    first = next((offer for offer in found if offer.family.missing), None)
    if first is not None:
        return message, first.advice + "."
    return message, "Get one of: " + ", ".join(offer.entry.name for offer in found) + "."
