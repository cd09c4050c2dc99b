"""The window's panels, a row each: docks, menu entries, keys and what is remembered are made from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from annotator.domain.project import ImageRecord
from annotator.plugins import load_target
from annotator.ui.look.theme import Theme
from annotator.ui.panels.attributes import AttributePanel
from annotator.ui.panels.checks import CheckPanel
from annotator.ui.panels.dock import ClassPanel, ObjectPanel
from annotator.ui.panels.film import FilmStrip
from annotator.ui.panels.job_list import JobPanel
from annotator.ui.panels.planes import PlanesPanel
from annotator.ui.panels.proposals import ProposalPanel
from annotator.ui.panels.similar import SimilarPanel
from annotator.ui.panels.statistics import StatisticsPanel
from annotator.ui.panels.window_panel import WindowPanel
from annotator.ui.threads.jobs import JobBoard

_RIGHT, _BOTTOM = Qt.DockWidgetArea.RightDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea


@dataclass(frozen=True, slots=True)
class PanelParts:
    """What panels are made of."""

    theme: Theme
    ask_thumbnail: Callable[[ImageRecord], None]
    jobs: JobBoard


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """One panel.

    Attributes:
        keys: show or hide it, in the default preset.
        height_px: its share of the column at the right, beside the others there.
        is_open: whether it is there before the person has shown or hidden it.
        make: its content; a widget with a ``view``, which takes the focus for it.
        control: ``module:name`` of what joins it with the project, made from ``ControlParts`` of
            ``annotator/ui/labelling/panel_controls.py``; empty: others do.
    """

    id: str
    title: str
    keys: tuple[str, ...]
    area: Qt.DockWidgetArea
    make: Callable[[PanelParts], QWidget]
    least_width_px: int = 0
    height_px: int = 0
    is_open: bool = True
    control: str = ""


_CONTROLS = "annotator.ui.labelling"
PANELS = (
    PanelSpec(
        id="objects",
        title="Objects",
        keys=("O",),
        area=_RIGHT,
        make=lambda parts: ObjectPanel(parts.theme),
        least_width_px=220,
        height_px=420,
    ),
    PanelSpec(
        id="classes",
        title="Classes",
        keys=("L",),
        area=_RIGHT,
        make=lambda parts: ClassPanel(parts.theme),
        least_width_px=220,
        height_px=260,
    ),
    PanelSpec(
        id="attributes",
        title="Attributes",
        keys=("Shift+T",),
        area=_RIGHT,
        make=lambda parts: AttributePanel(),
        least_width_px=220,
        height_px=240,
        is_open=False,
    ),
    PanelSpec(
        id="proposals",
        title="Proposals",
        keys=("Shift+J",),
        area=_RIGHT,
        make=lambda parts: ProposalPanel(),
        least_width_px=220,
        height_px=300,
        is_open=False,
    ),
    PanelSpec(
        id="similar",
        title="Similar",
        keys=("Alt+Shift+L",),
        area=_RIGHT,
        make=lambda parts: SimilarPanel(),
        least_width_px=220,
        height_px=360,
        is_open=False,
        control=f"{_CONTROLS}.similar:Similar",
    ),
    PanelSpec(
        id="window",
        title="Window",
        keys=("Shift+W",),
        area=_RIGHT,
        make=lambda parts: WindowPanel(parts.theme),
        least_width_px=220,
        height_px=360,
        is_open=False,
    ),
    PanelSpec(
        id="planes",
        title="Planes",
        keys=("Ctrl+Alt+P",),
        area=_RIGHT,
        make=lambda parts: PlanesPanel(parts.theme),
        least_width_px=220,
        height_px=640,
        is_open=False,
        control=f"{_CONTROLS}.planes:Planes",
    ),
    PanelSpec(
        id="checks",
        title="Checks",
        keys=("Ctrl+K",),
        area=_RIGHT,
        make=lambda parts: CheckPanel(parts.theme),
        least_width_px=220,
        height_px=360,
        is_open=False,
        control=f"{_CONTROLS}.checks:Checks",
    ),
    PanelSpec(
        id="statistics",
        title="Statistics",
        keys=("Ctrl+Shift+J",),
        area=_RIGHT,
        make=lambda parts: StatisticsPanel(parts.theme),
        least_width_px=220,
        height_px=360,
        is_open=False,
        control=f"{_CONTROLS}.statistics:Statistics",
    ),
    PanelSpec(
        id="facts",
        title="Image facts",
        keys=("Alt+Shift+I",),
        area=_RIGHT,
        make=lambda parts: cast(Any, load_target(f"{_CONTROLS}.image_facts:ImageFactsPanel"))(),
        least_width_px=220,
        height_px=240,
        is_open=False,
        control=f"{_CONTROLS}.image_facts:ImageFacts",
    ),
    PanelSpec(
        id="images",
        title="Images",
        keys=("M",),
        area=_BOTTOM,
        make=lambda parts: FilmStrip(parts.theme, parts.ask_thumbnail),
    ),
    PanelSpec(
        id="jobs",
        title="Jobs",
        keys=("Ctrl+J",),
        area=_BOTTOM,
        make=lambda parts: JobPanel(parts.jobs),
        least_width_px=320,
        is_open=False,
    ),
)
