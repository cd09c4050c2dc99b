"""What panels follow: a panel's row names the class of its control, which is made from these parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol, cast

from annotator.plugins import load_target
from annotator.ui.shell.panel_specs import PANELS

if TYPE_CHECKING:
    from annotator.io.settings import Settings
    from annotator.ui.labelling.loop import LoopCommands
    from annotator.ui.labelling.window_level import WindowLevel
    from annotator.ui.labelling.workbench import Workbench
    from annotator.ui.project.session import ProjectSession
    from annotator.ui.refine.controller import RefineController
    from annotator.ui.shell.main_window import MainWindow
    from annotator.ui.threads.loading import ImageLoader


@dataclass(frozen=True, slots=True)
class ControlParts:
    """All that the controls of panels may listen to and ask."""

    window: MainWindow
    session: ProjectSession
    refine: RefineController
    loader: ImageLoader
    bench: Workbench
    commands: LoopCommands
    greys: WindowLevel
    settings: Settings


class PanelControl(Protocol):
    """Joins a panel with the project. One per window; the window owns it."""

    def shut_down(self) -> None:
        """The window closes: wait for what still runs."""


def make_controls(parts: ControlParts) -> SimpleNamespace:
    """The control of each panel that has one, by the panel's id. Whoever asks ends them.

    Raises:
        AttributeError, ImportError: a row names something that is not there.
    """
    made = {}
    for spec in PANELS:
        if spec.control:
            make = cast(Callable[[ControlParts], PanelControl], load_target(spec.control))
            made[spec.id] = make(parts)
    return SimpleNamespace(**made)
