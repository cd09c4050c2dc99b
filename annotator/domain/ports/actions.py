"""What another package adds to the menus: an entry point of the group ``annotator.actions``, whose name is the action's
id and whose target is an :class:`ActionSpec`.

The module of the row should import nothing heavy: its function is imported when the action is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from annotator.domain.project import Annotation, Category, ImageRecord

MENUS = ("File", "Edit", "Object", "Mask", "Track", "Image", "View", "Model", "Help")


class Needs(StrEnum):
    """What must be there for an action to be enabled; each needs those before it, too."""

    NOTHING = "nothing"
    PROJECT = "project"
    IMAGE = "image"
    SELECTION = "selection"


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What is open at the moment that an action is chosen. It does not change afterwards.

    Attributes:
        project_path: the project file; None when none is open.
        image: the image that is shown; None when there is none. image_path: its file.
        annotations: its accepted objects, oldest first; ``annotation.mask()`` has the pixels.
        selected: ids of those that are selected.
        categories: all classes of the project.
    """

    project_path: Path | None = None
    image: ImageRecord | None = None
    image_path: Path | None = None
    annotations: tuple[Annotation, ...] = ()
    selected: frozenset[int] = frozenset()
    categories: tuple[Category, ...] = ()


Run = Callable[[ActionContext], str | None]
"""What :attr:`ActionSpec.run` names: called beside the window's thread, so that it may take its time; it must not touch
Qt. Returns a line for the person, or nothing. Raises a UserError for what the person can do something about."""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """An action of another package.

    Attributes:
        id: the entry point's name.
        title: in the menu, where it stands below our own; "…" at its end promises a dialog.
        menu: one of :data:`MENUS`.
        tip: what it does, a sentence.
        run: ``module:function``; see :data:`Run`.
        keys: in Qt's portable notation ("Ctrl+Alt+M"). A key that is taken already stays where it was.
        needs: when it is enabled.
    """

    id: str
    title: str
    menu: str
    tip: str
    run: str
    keys: tuple[str, ...] = ()
    needs: Needs = Needs.IMAGE

    def problem(self) -> str:
        """Why it cannot be used, as the end of a sentence; empty when it can."""
        texts = (self.id, self.title, self.menu, self.tip, self.run, self.needs, *self.keys)
        if not isinstance(self.keys, tuple) or not all(isinstance(text, str) for text in texts):
            return "its fields are no texts"
        if self.menu not in MENUS:
            return f"there is no menu {self.menu!r}"
        if not self.title.strip() or ":" not in self.run:
            return "it has no title, or names no function"
        return "" if self.needs in set(Needs) else f"it needs {self.needs!r}"
