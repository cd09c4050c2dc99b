"""A class is suggested for an object, by the objects that have names already, or where there are too few by a model for
names; or a line about it, for its note. Enter takes it, any other way leaves it.

What objects look like is remembered while the program runs, image after image; it is computed beside the GUI thread,
and only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from annotator.domain.counting import counted
from annotator.domain.errors import EncodeCancelled, UserError
from annotator.domain.likeness.describe import Vectors, describe
from annotator.domain.naming import NamedLook, guesses
from annotator.domain.objects_in_order import found_among
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.naming import Description, NameGuess
from annotator.domain.project import Annotation, Change, Edit, RowChange
from annotator.engine.namers import KEPT_S, NamerShelf
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.shell.question import Answer
from annotator.ui.threads.background import Errand
from annotator.ui.threads.loading import Picture

MOST_LOOKED_AT = 300
"""Objects of one image: 2 to 3 ms each."""
MOST_REMEMBERED = 20_000
LEAST_SCORE = 0.3
"""Of a model's guess, among all classes and what else a thing may be: below it nothing is suggested."""
TOO_LARGE = "Objects of an image as large as this one are not named by how they look."
TOO_FEW = "No class can be suggested yet: name a few objects of two classes or more"


@dataclass(frozen=True, slots=True)
class _Suggested:
    """For which objects, and what they may be: a class, or in a line."""

    ids: tuple[int, ...]
    guess: NameGuess | Description


class Naming(QObject):
    """One per window.

    Args:
        picture: what the canvas shows.
        shelf: holds the model for names; None for those of the registry.
    """

    changed = Signal()
    """A suggestion is there, or none any more."""

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        *,
        picture: Callable[[], Picture | None],
        shelf: NamerShelf | None = None,
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._picture = window, session, picture
        self._bar = window.area.naming
        self._errand = Errand(self)
        self._shelf, self._unused = shelf or NamerShelf(), QTimer(self)
        self._unused.setSingleShot(True)
        self._unused.timeout.connect(self._let_model_go)
        self._looks: dict[int, tuple[bytes, Vectors]] = {}
        """By annotation id: the runs that were looked at, and how they look."""
        self._classes: dict[int, int] = {}
        """Of objects of other images, as they were when their image was left."""
        self._suggested: _Suggested | None = None
        self._called_off: Event | None = None
        """Of a description that is being made."""
        session.opened.connect(self._forget)
        session.image_changed.connect(lambda _image: self.leave())
        session.changed.connect(self._on_change)
        window.objects.view.selectionModel().selectionChanged.connect(lambda *_: self.leave())

    @property
    def is_open(self) -> bool:
        """Whether a suggestion waits for an answer."""
        return self._suggested is not None

    def suggest(self) -> None:
        """Say what the selected objects may be, or the newest one."""
        picture, rows = self._picture(), self._session.annotations
        chosen = self._window.objects.selected_ids() or frozenset(one.id for one in rows[-1:])
        wanted = [one for one in rows if one.id in chosen]
        if picture is None or not wanted or not self._session.is_writable:
            self._tell("There is no object to name: select one.")
            return
        if picture.is_overview:
            self._tell(TOO_LARGE)
            return
        self.leave()
        fresh = [one for one in rows if self._looks.get(one.id, (b"",))[0] != one.rle]
        fresh = sorted(fresh, key=lambda one: one.id not in chosen)[:MOST_LOOKED_AT]
        image = picture.loaded.rgb
        self._errand.start(lambda: _looks_of(image, fresh), lambda found: self._on_looks(found, wanted), self._on_error)

    def describe(self) -> None:
        """Let a model say in a line what the selected object is, or the newest one."""
        picture, rows = self._picture(), self._session.annotations
        chosen = self._window.objects.selected_ids() or frozenset(one.id for one in rows[-1:])
        wanted = max((one for one in rows if one.id in chosen), key=lambda one: one.area, default=None)
        if picture is None or wanted is None or not self._session.is_writable:
            self._tell("There is no object to describe: select one.")
            return
        if picture.is_overview:
            self._tell(TOO_LARGE)
            return
        if self._errand.is_busy:
            self._tell("A model is still being asked; Esc calls it off.")
            return
        self.leave()
        called_off, rgb = Event(), picture.loaded.rgb
        self._called_off = called_off
        self._tell("A model looks at the object… Esc calls it off.")
        self._errand.start(
            lambda: self._shelf.describes(rgb, wanted.mask(), is_cancelled=called_off.is_set),
            lambda found: self._on_description(found, wanted),
            self._on_describing_error,
        )

    def take(self) -> bool:
        """Give the objects what is suggested; false when nothing is."""
        suggested = self._suggested
        if suggested is None:
            return False
        self.leave()
        if isinstance(suggested.guess, Description):
            self._take_note(suggested.ids, suggested.guess)
            return True
        category = next((one for one in self._session.categories.values() if one.name == suggested.guess.text), None)
        rows = [one for one in self._session.annotations if one.id in suggested.ids]
        if category is None or not rows:
            return True
        guess = suggested.guess
        record = {"source": guess.source, "score": round(guess.score, 4), "model": guess.model}
        changes = tuple(
            RowChange(one, replace(one, category_id=category.id, extra={**one.extra, "named": record})) for one in rows
        )
        if self._session.attempt(lambda: self._session.apply(Edit("take a suggested class", changes))):
            self._tell(f"{counted(len(rows), 'object')}: {category.name}.")
        return True

    def leave(self) -> bool:
        """Put the suggestion away, or call off the one that is being made; false when there is none."""
        if self._called_off is not None:
            self._called_off.set()
            self._called_off = None
            self._tell("Called off.")
            return True
        if self._suggested is None:
            return False
        self._suggested = None
        self._bar.withdraw()
        self.changed.emit()
        return True

    def shut_down(self) -> None:
        """Wait for what still runs."""
        if self._called_off is not None:
            self._called_off.set()
        self._errand.shut_down()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_looks(self, found: dict[int, tuple[bytes, Vectors]], wanted: Sequence[Annotation]) -> None:
        self._looks |= found
        self._classes |= {one.id: one.category_id for one in self._session.annotations}
        while len(self._looks) > MOST_REMEMBERED:
            del self._looks[next(iter(self._looks))]
        ids = tuple(one.id for one in wanted)
        named = self._named(frozenset(ids))
        names = {one.id: one.name for one in self._session.categories.values()}
        looks = [self._looks[one][1] for one in ids if one in self._looks]
        best = guesses(np.mean(looks, axis=0, dtype=np.float32), named, names) if looks else ()
        now = {names.get(one.category_id, "") for one in wanted}
        if not best:
            self._ask_model(wanted)
        elif now == {best[0].text}:
            self._tell(f"It looks like what it is: {best[0].text} ({best[0].score:.2f}).")
        else:
            self._ask(_Suggested(ids, best[0]), counted(len(named), "named object"))

    def _ask_model(self, wanted: Sequence[Annotation]) -> None:
        """Let a model for names choose among the classes, by the largest of the objects."""
        picture, image = self._picture(), self._session.image
        classes = [one.name for one in self._session.categories.values()]
        if picture is None or image is None or len(classes) < 2:
            self._tell(f"{TOO_FEW}.")
            return
        largest, rgb = max(wanted, key=lambda one: one.area), picture.loaded.rgb
        self._tell("Too few objects have names; a model for names is asked…")
        self._errand.start(
            lambda: self._shelf.names(rgb, largest.mask(), classes),
            lambda found: self._on_names(found, wanted),
            self._on_model_error,
        )

    def _on_names(self, found: Sequence[NameGuess], wanted: Sequence[Annotation]) -> None:
        self._unused.start(int(KEPT_S * 1000))
        here = {one.id: one for one in self._session.annotations}
        if not found or any(here.get(one.id) != one for one in wanted):
            return  # the person has gone on
        best = found[0]
        if best.text not in {one.name for one in self._session.categories.values()}:
            self._tell(f"It may be “{best.text}”, says {best.model} ({best.score:.2f}); there is no such class.")
        elif best.score < LEAST_SCORE:
            self._tell(f"{best.model} knows no class for it: “{best.text}” at best ({best.score:.2f}).")
        else:
            self._ask(_Suggested(tuple(one.id for one in wanted), best), best.model)

    def _on_model_error(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._tell(f"{TOO_FEW}. {error}")

    def _on_description(self, found: Description, wanted: Annotation) -> None:
        called_off, self._called_off = self._called_off, None
        self._unused.start(int(KEPT_S * 1000))
        if called_off is None or wanted not in self._session.annotations:
            return  # the person has gone on
        if not found.text:
            self._tell(f"{found.model} has nothing to say of it.")
            return
        self._suggested = _Suggested((wanted.id,), found)
        answers = (Answer("Note it", "Enter", self.take), Answer("Leave", "Esc", self.leave))
        self._bar.ask(f"“{found.text}”  {found.score:.2f}, by {found.model}", answers)
        self._tell("Enter makes it the object's note.")
        self.changed.emit()

    def _take_note(self, ids: Sequence[int], said: Description) -> None:
        """A line more in the note of the objects, with who says so."""
        record = {"source": said.source, "model": said.model, "model_sha256": said.model_sha256, "text": said.text}
        changes = tuple(
            RowChange(
                one,
                replace(
                    one,
                    note=f"{one.note}\n{said.text}" if one.note else said.text,
                    extra={**one.extra, "described": {**record, "score": round(said.score, 4)}},
                ),
            )
            for one in self._session.annotations
            if one.id in ids
        )
        if changes and self._session.attempt(lambda: self._session.apply(Edit("take a description", changes))):
            self._tell(f"Noted: {said.text}")

    def _on_describing_error(self, error: Exception) -> None:
        self._called_off = None
        if isinstance(error, EncodeCancelled):
            return
        if not isinstance(error, UserError):
            raise error
        self._tell(str(error))

    def _let_model_go(self) -> None:
        if self._errand.is_busy:
            self._unused.start()
        else:
            self._shelf.release()

    def _named(self, left_out: frozenset[int]) -> list[NamedLook]:
        """What is remembered of objects that still have a class."""
        here = {one.id: one.category_id for one in self._session.annotations}
        store, found = self._session.store, []
        for one, (_, look) in self._looks.items():
            if one in left_out or store is None:
                continue
            category_id = here.get(one) or self._classes.get(one)
            if category_id is not None:
                found.append(NamedLook(look, category_id))
        return found

    def _ask(self, suggested: _Suggested, by: str) -> None:
        self._suggested = suggested
        guess = suggested.guess
        assert isinstance(guess, NameGuess)
        what = "Is this" if len(suggested.ids) == 1 else f"Are these {len(suggested.ids)}"
        text = f"{what} “{guess.text}”?  {guess.score:.2f}, by {by}"
        self._bar.ask(text, (Answer("Take", "Enter", self.take), Answer("Leave", "Esc", self.leave)))
        self.changed.emit()

    def _on_change(self, change: Change) -> None:
        known = [one for one in change.annotation_ids if one in self._classes]
        now = {row.id: row.category_id for row in found_among(self._session.annotations, known)}
        for one in known:
            if one in now:
                self._classes[one] = now[one]
            else:
                self._looks.pop(one, None)
                self._classes.pop(one)
        if self._suggested is not None and set(change.annotation_ids) & set(self._suggested.ids):
            self.leave()

    def _forget(self) -> None:
        self.leave()
        self._looks.clear()
        self._classes.clear()

    def _on_error(self, error: Exception) -> None:
        raise error

    def _tell(self, text: str) -> None:
        self._window.notices.tell(text, about=Subject.CHANGE)


def _looks_of(image: RgbArray, rows: Sequence[Annotation]) -> dict[int, tuple[bytes, Vectors]]:
    found: dict[int, tuple[bytes, Vectors]] = {}
    for one in rows:
        try:
            mask = one.mask()
        except ValueError:  # its runs are damaged
            continue
        if not mask.is_empty and (mask.height, mask.width) == image.shape[:2]:
            found[one.id] = (one.rle, describe(image, mask))
    return found
