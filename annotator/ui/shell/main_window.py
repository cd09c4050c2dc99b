"""The window: where everything is. ``workbench.py`` wires what happens; ``actions.py`` lists what can be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from PySide6.QtCore import QByteArray, QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragMoveEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QMainWindow, QMenu, QWidget

from annotator.domain.project import ImageRecord
from annotator.ui.canvas.canvas import Canvas, CanvasColours
from annotator.ui.look.icons import plain_icon
from annotator.ui.look.theme import Theme, Tokens
from annotator.ui.notices import Notices
from annotator.ui.panels.attributes import AttributePanel
from annotator.ui.panels.dock import ClassPanel, ObjectPanel, PanelDock
from annotator.ui.panels.film import FilmStrip
from annotator.ui.panels.proposals import ProposalPanel
from annotator.ui.shell.action_rows import TOOL_STRIP, ActionRow
from annotator.ui.shell.actions import ActionSet
from annotator.ui.shell.area import FLOOR_PX, CanvasArea
from annotator.ui.shell.focus_round import FocusRound
from annotator.ui.shell.job_fact import JobFact
from annotator.ui.shell.keymap import KeyGate, Keymap
from annotator.ui.shell.panel_column import PanelColumn
from annotator.ui.shell.panel_specs import PANELS, PanelParts, PanelSpec
from annotator.ui.shell.screens import first_place, in_sight
from annotator.ui.shell.status import StatusLine
from annotator.ui.shell.tool_strip import ToolStrip
from annotator.ui.threads.jobs import JobBoard

_STATE_VERSION = 2
_LEAST_PX = (640, 380)
"""A screen of 1280 x 720 at 150 % has 853 x 480, and a task bar."""
_RIGHT_WIDTH_PX = 260
_Panel = TypeVar("_Panel", bound=QWidget)


class MainWindow(QMainWindow):
    """Tool strip at the left, canvas in the middle, objects and classes at the right, images at the bottom.

    Args:
        ask_thumbnail: called for images whose thumbnail is needed.
    """

    closing = Signal()
    asked = Signal(object, bool)
    """For an action: its row, and the new state of a switch, or whether a held key is down."""
    paths_dropped = Signal(list)
    """Folders or files that were dropped anywhere on the window, as ``Path``."""

    def __init__(
        self,
        theme: Theme,
        keymap: Keymap,
        *,
        ask_thumbnail: Callable[[ImageRecord], None],
    ) -> None:
        super().__init__()
        self.may_close: Callable[[], bool] = lambda: True
        """Asked before the window closes; when it says no, whoever set it closes the window later."""
        self.theme = theme
        self.setWindowTitle("Annotator")
        self.setMinimumSize(*_LEAST_PX)
        self.setAcceptDrops(True)
        self.canvas = Canvas()
        self.area = CanvasArea(theme, self.canvas)
        self.canvas.keep_free(FLOOR_PX)
        self.jobs = JobBoard(self)
        parts = PanelParts(theme, ask_thumbnail, self.jobs)
        self.panels = {spec.id: spec.make(parts) for spec in PANELS}
        self.objects = self._panel("objects", ObjectPanel)
        self.classes = self._panel("classes", ClassPanel)
        self.film, self.attributes = self._panel("images", FilmStrip), self._panel("attributes", AttributePanel)
        self.proposals = self._panel("proposals", ProposalPanel)
        self.status = StatusLine(self)
        self.status.insertPermanentWidget(1, JobFact(self.jobs, lambda: self.show_panel("jobs", True)))
        self.notices = Notices(self.status, self.area.error_bar)
        self.setCentralWidget(self.area)
        self.setStatusBar(self.status)
        self.docks = {spec.id: self._make_dock(spec) for spec in PANELS}
        self.column = self._share_right_side()
        self.actions_by_id = ActionSet(keymap, self.asked.emit, self)
        self.menus: dict[str, QMenu] = self.actions_by_id.fill_menu_bar(self.menuBar())
        self.strip = self._place_tools()
        rows = self.actions_by_id.rows
        self.gate = KeyGate(
            self,
            is_canvas=self._is_canvas,
            on_held=lambda name, is_down: self.asked.emit(rows[name], is_down),
            claims=self.canvas.pointer.claims,
        )
        self._round = FocusRound(self, [cast(Any, panel).view for panel in self.panels.values()])
        self.area.empty.open_button.setFocus()
        self._show_keymap(keymap)
        theme.subscribe(self._retint)
        self.setGeometry(first_place(self))

    # --- panels and looks ---------------------------------------------------------------------------------------------

    def show_panel(self, name: str, is_shown: bool) -> None:
        """Show or hide the panel of this id."""
        self.docks[name].setVisible(is_shown)
        self.actions_by_id[f"panel_{name}"].setChecked(is_shown)
        if is_shown:
            self.column.bring(name)
        else:
            self.column.forget(name)
            self.canvas.setFocus()
            if name == "images":
                self.film.filter.reset()  # nobody could see that there is one

    def switch_panel(self, name: str, is_shown: bool) -> None:
        """By its key or in the menu: a panel that lies behind another one comes to the front before it goes."""
        self.show_panel(name, is_shown or self.column.is_behind(name))

    def focus_next(self, step: int) -> None:
        """Give the focus to the next part of the window (+1), or to the one before (-1)."""
        self._round.go(step)

    def hidden_panels(self) -> list[str]:
        """Ids of those that are there unless they are hidden."""
        return [spec.id for spec in PANELS if spec.is_open and self.docks[spec.id].isHidden()]

    def opened_panels(self) -> list[str]:
        """Ids of those that are there only when they are asked for."""
        return [spec.id for spec in PANELS if not spec.is_open and not self.docks[spec.id].isHidden()]

    def set_full_screen(self, is_full: bool) -> None:
        """The rest of the window's state stays: a maximised window is maximised again afterwards."""
        state, full = self.windowState(), Qt.WindowState.WindowFullScreen
        self.setWindowState(state | full if is_full else state & ~full)

    def set_keymap(self, keymap: Keymap) -> None:
        self.actions_by_id.set_keymap(keymap)
        self._show_keymap(keymap)

    def _show_keymap(self, keymap: Keymap) -> None:
        self.gate.set_held(self.actions_by_id.held_keys())
        self.canvas.pointer.set_box_keys(keymap.keys("tool_box"))
        for name in TOOL_STRIP:
            if name:
                self.strip.set_key_text(name, keymap.label(name))
        self.area.doubt.set_key(keymap.label("show_doubt"))

    def take_actions(self, rows: Iterable[ActionRow]) -> None:
        """Actions of other packages; see :meth:`ActionSet.add`."""
        self.actions_by_id.add(rows, self.menus)

    def key_of(self, action: str) -> str:
        """The key of an action as the person's system writes it; empty when there is none."""
        return self.actions_by_id.keymap.label(action)

    def layout_state(self) -> tuple[bytes, bytes]:
        """Geometry and dock sizes, to be remembered."""
        return bytes(self.saveGeometry().data()), bytes(self.saveState(_STATE_VERSION).data())

    def restore_layout(self, geometry: bytes, state: bytes, *, hidden: list[str], opened: list[str]) -> None:
        """Put everything where it was; data of another version is left alone."""
        if geometry:
            self.restoreGeometry(QByteArray(geometry))
            if not self.windowState() & (Qt.WindowState.WindowMaximized | Qt.WindowState.WindowFullScreen):
                self.setGeometry(in_sight(self))
        if state:
            self.restoreState(QByteArray(state), _STATE_VERSION)
        for spec in PANELS:
            is_there = spec.id not in hidden if spec.is_open else spec.id in opened
            self.docks[spec.id].setVisible(is_there)
            self.actions_by_id[f"panel_{spec.id}"].setChecked(is_there)

    # --- Qt ----------------------------------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange:
            # Also by the system's own keys, and where the window was left in full screen.
            self.actions_by_id["full_screen"].setChecked(self.isFullScreen())
        elif event.type() == QEvent.Type.ActivationChange and not self.isActiveWindow():
            self.canvas.hold_pan(False)  # the key is let go elsewhere

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self.may_close():
            event.ignore()
            return
        self.closing.emit()
        super().closeEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.strip.fit(event.size().height())
        self.area.slices.timeline.fit(event.size().height())
        if self.film.fit(event.size().height()):
            # No higher than it must be; how high that is, Qt knows once it has laid the strip out.
            lower = [self.docks["images"]]
            QTimer.singleShot(0, self, lambda: self.resizeDocks(lower, [1], Qt.Orientation.Vertical))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self.dragMoveEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        _take_harmlessly(event)

    def dropEvent(self, event: QDropEvent) -> None:
        if _take_harmlessly(event):
            self.paths_dropped.emit([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])

    # --- building ----------------------------------------------------------------------------------------------------

    def _panel(self, name: str, kind: type[_Panel]) -> _Panel:
        panel = self.panels[name]
        if not isinstance(panel, kind):
            raise TypeError(f"the panel {name} is no {kind.__name__}")
        return panel

    def _make_dock(self, spec: PanelSpec) -> PanelDock:
        dock = PanelDock(spec.title, f"dock_{spec.id}", self.panels[spec.id], self)
        if spec.least_width_px:
            dock.setMinimumWidth(spec.least_width_px)
        self.addDockWidget(spec.area, dock)
        return dock

    def _share_right_side(self) -> PanelColumn:
        self.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.BottomDockWidgetArea)
        specs = [spec for spec in PANELS if spec.area is Qt.DockWidgetArea.RightDockWidgetArea]
        docks = [self.docks[spec.id] for spec in specs]
        self.resizeDocks(docks, [spec.height_px for spec in specs], Qt.Orientation.Vertical)
        self.resizeDocks(docks[:1], [_RIGHT_WIDTH_PX], Qt.Orientation.Horizontal)
        return PanelColumn(self, self.docks)

    def _place_tools(self) -> ToolStrip:
        self.docks["images"].add_tool(self.film.filter)
        self.docks["objects"].add_tool(self.objects.opacity)
        self.area.doubt.set_action(self.actions_by_id["show_doubt"])
        strip = ToolStrip(TOOL_STRIP, self.actions_by_id.actions, self)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, strip)
        return strip

    def _is_canvas(self, widget: object) -> bool:
        return widget is self.canvas or (isinstance(widget, QWidget) and self.canvas.isAncestorOf(widget))

    def _retint(self, tokens: Tokens) -> None:
        self.actions_by_id.set_tokens(tokens)
        self.setWindowIcon(plain_icon("app", tokens.text))
        self.canvas.set_colours(CanvasColours(background=tokens.background))
        self.area.update()


def _take_harmlessly(event: QDropEvent) -> bool:
    """Accept files as a copy, else as a link, whatever the source proposes: after a move it would delete them."""
    actions = (Qt.DropAction.CopyAction, Qt.DropAction.LinkAction)
    allowed = [action for action in actions if event.possibleActions() & action]
    if not allowed or not any(url.isLocalFile() for url in event.mimeData().urls()):
        event.ignore()
        return False
    event.setDropAction(allowed[0])
    event.accept()
    return True
