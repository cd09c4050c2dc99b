"""What must not happen before the last accepted mask is stored waits for it: quietly, and never for ever. So it does
for a change that waits for another program's lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QObject, QTimer, SignalInstance

from annotator.ui.notices import Notices
from annotator.ui.refine.controller import RefineController

WAITING = "Finishing the last mask…"
LOCKED = "Waiting for the program that holds the project file…"
GRACE_MS = 3000
"""A mask that takes longer may never come: from then on there is a way out."""
_TOPIC = "patience"


@dataclass(slots=True, eq=False)
class _Wish:
    """What is to be done, once. ``then`` says what happens by itself, ``way_out`` names doing it at once."""

    do: Callable[[], None]
    give_up: Callable[[], None] | None
    then: str
    way_out: str
    is_over: bool = False


class HeldWork(Protocol):
    """Changes that are not written yet because another program holds the project file."""

    settled: SignalInstance

    @property
    def is_waiting(self) -> bool: ...

    def try_now(self) -> bool: ...


class Patience(QObject):
    """Lets closing, exporting, importing and changing the project wait for accepts whose mask is still computed."""

    def __init__(self, notices: Notices, refine: RefineController, held: HeldWork, parent: QObject) -> None:
        super().__init__(parent)
        self._notices, self._refine, self._held = notices, refine, held
        held.settled.connect(self._on_written)
        self._wishes: list[_Wish] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.offer_way_out)

    def wait(
        self, do: Callable[[], None], *, then: str, way_out: str, give_up: Callable[[], None] | None = None
    ) -> None:
        """Do it once no accept waits for its mask: at once, later, or when the person does not want to wait.

        Whoever leaves the project without the mask keeps its prompts: they are in the project file as a draft.

        Args:
            then: what happens when the mask is there, e.g. "The window closes by itself".
            way_out: the button that does not wait, e.g. "Close without it".
            give_up: called instead of ``do`` when the mask did not come or was taken back; the person sees to that.
        """
        wish = _Wish(do, give_up, then, way_out)
        if self.must_wait():
            self._wishes.append(wish)
            self._tell_waiting()
        self._refine.when_idle(lambda: self._on_idle(wish), otherwise=lambda: self._drop(wish))

    def must_wait(self) -> bool:
        """Whether an accept still waits for its mask, or a change for the project file; the file is asked once more."""
        return not self._refine.can_leave() or not self._held.try_now()

    def _tell_waiting(self) -> None:
        self._notices.tell(LOCKED if self._refine.can_leave() else WAITING, about=_TOPIC, stays=True)
        self._timer.start(GRACE_MS)

    def _on_idle(self, wish: _Wish) -> None:
        if not self._held.is_waiting:
            self._fulfil(wish)
        elif not wish.is_over:
            self._tell_waiting()

    def _on_written(self) -> None:
        for wish in tuple(self._wishes):
            if self._refine.can_leave() and not self._held.is_waiting:
                self._fulfil(wish)

    def offer_way_out(self) -> None:
        """Show now how the newest wish can go on without the mask."""
        if not self._wishes:
            return
        wish = self._wishes[-1]
        self._timer.stop()
        what = "The last accepted mask is not there yet."
        if self._refine.can_leave():
            what = "The last change is not in the project file yet: another program holds that."
        self._notices.warn(
            f"{what} {wish.then} as soon as it is stored.",
            about=_TOPIC,
            is_error=False,
            action=(wish.way_out, lambda: self._fulfil(wish)),
        )

    def _fulfil(self, wish: _Wish) -> None:
        if not wish.is_over:
            self._end(wish)
            wish.do()

    def _drop(self, wish: _Wish) -> None:
        if not wish.is_over:
            self._end(wish)
            if wish.give_up is not None:
                wish.give_up()

    def forget_all(self) -> None:
        """The window closes: nothing else happens any more."""
        self._timer.stop()
        for wish in self._wishes:
            wish.is_over = True
        self._wishes.clear()

    def _end(self, wish: _Wish) -> None:
        wish.is_over = True
        if wish not in self._wishes:
            return
        self._wishes.remove(wish)
        self._notices.withdraw(_TOPIC)
        if self._wishes:
            self._tell_waiting()
            return
        self._timer.stop()
