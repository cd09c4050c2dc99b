"""One thing that the window can do, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from annotator.ui.shell import window_state as when
from annotator.ui.shell.window_state import WindowState


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action.

    Attributes:
        tip: what it does, for tooltips and documents.
        run: what is called, as a path from the program's root ("commands.accept"), with ``args``. A switch adds its
            new state, a held key whether it is down.
        enabled: whether it can be done now.
        keys: in the default preset, in Qt's portable notation.
        group: names an exclusive choice; ``is_switch`` is on or off.
        is_held: acts while its key is down.
        repeats: served again and again while the key stays down; the others once a press.
        strip: (section, place) in the tool strip; empty for what is not there.
        together: what the sheet of keys calls it with its neighbours of the same name, in one line.
    """

    id: str
    title: str
    menu: str
    tip: str
    run: str
    args: tuple[object, ...] = ()
    enabled: Callable[[WindowState], bool] = when.always
    keys: tuple[str, ...] = ()
    icon: str = ""
    group: str = ""
    is_switch: bool = False
    is_held: bool = False
    repeats: bool = False
    strip: tuple[int, int] | tuple[()] = ()
    starts_section: bool = False
    together: str = ""

    @property
    def is_checkable(self) -> bool:
        return self.is_switch or bool(self.group)

    @property
    def name(self) -> str:
        """The title without the dots that promise a dialog."""
        return self.title.rstrip("…")
