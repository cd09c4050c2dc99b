"""One line, once: a larger model can be downloaded, or brought along where there is no network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.engine.offer import ModelOffer
from annotator.io.settings import Settings
from annotator.ui.notices import Action, Notices
from annotator.ui.project.model_menu import ModelMenu
from annotator.ui.threads.worker import EngineClient

_log = logging.getLogger(__name__)
TOPIC = "offer"
SETTING = "offer_model"


class OfferedModel(QObject):
    """Looks for an offer when the first model is there, beside the GUI thread.

    Args:
        find: what there is to offer, or None; asks disk and network.
        menu: downloads or imports what the person wants.
    """

    _found = Signal(object)

    def __init__(
        self,
        settings: Settings,
        client: EngineClient,
        notices: Notices,
        *,
        find: Callable[[], ModelOffer | None],
        menu: ModelMenu,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._settings, self._notices, self._find, self._menu = settings, notices, find, menu
        self._has_looked = self._is_over = False
        self._found.connect(self._on_found)
        client.ready.connect(lambda _info: self._look())
        menu.wanted.connect(lambda _name: notices.withdraw(TOPIC))

    def shut_down(self) -> None:
        """The window closes. Nobody waits: a name that no server answers for takes longer than a person does."""
        self._is_over = True

    def _look(self) -> None:
        if self._has_looked or not self._settings.get(SETTING):
            return
        self._has_looked = True
        threading.Thread(target=self._search, name="offer", daemon=True).start()

    def _search(self) -> None:
        try:
            offer = self._find()
        except (UserError, OSError) as error:
            _log.warning("no model can be offered: %s", error)
            return
        if offer is not None and not self._is_over:
            self._found.emit(offer)

    @Slot(object)
    def _on_found(self, offer: ModelOffer) -> None:
        if self._is_over or self._notices.is_bar_shown:
            return  # it can wait for the next start; what went wrong can not
        size = f"{offer.size_bytes / 1e6:.0f} MB, {offer.licence}"
        if offer.is_reachable:
            text = f"A larger model than the one that ships can be downloaded: {brief(offer.name)}, {size}."
            action: Action = ("Download", lambda: self._menu.download(offer.name))
        else:
            text = f"There is a larger model, {offer.name}, {size}, but no network: a copy of its file can be imported."
            action = ("Import…", self._menu.ask_file)
        self._notices.offer(text, about=TOPIC, action=action, on_close=self._forget)

    def _forget(self) -> None:
        """The person does not want it: never again."""
        try:
            self._settings.set(SETTING, False)
        except UserError as error:
            self._notices.tell(str(error), about="settings")
