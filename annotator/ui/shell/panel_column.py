"""The column of panels at the right: those that are asked for share one place as tabs, with the room that they need."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabBar, QTabWidget, QWidget

from annotator.ui.shell.panel_specs import PANELS

_SHARE = 0.56
"""Of the column's height, at most, for a panel that was asked for."""
_TABS = "panelTabs"
_LEAST_PX = 96
"""A title line, a row and the buttons of a list that makes room."""


class PanelColumn(QObject):
    """Qt lays the docks out; this says which of them lie behind each other, which is in front, and how high."""

    def __init__(self, window: QMainWindow, docks: Mapping[str, QDockWidget]) -> None:
        super().__init__(window)
        self._window, self._docks = window, docks
        here = [spec for spec in PANELS if spec.area is Qt.DockWidgetArea.RightDockWidgetArea]
        self._stays = tuple(spec for spec in here if spec.is_open)
        self._asked = {spec.id: spec for spec in here if not spec.is_open}
        window.setTabPosition(Qt.DockWidgetArea.RightDockWidgetArea, QTabWidget.TabPosition.North)
        for one, other in pairwise(self._asked):
            window.tabifyDockWidget(docks[one], docks[other])
        self._later = QTimer(self)  # once Qt has laid out what has come
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._share)
        self._wanted = ""
        window.installEventFilter(self)

    def is_behind(self, name: str) -> bool:
        """Whether a panel is open and another one covers it."""
        dock = self._docks[name]
        return dock.isVisible() and dock.visibleRegion().isEmpty() and bool(self._window.tabifiedDockWidgets(dock))

    def bring(self, name: str) -> None:
        """Put an open panel in front, and give it room when it has just come."""
        self._docks[name].raise_()
        if name in self._asked and self._wanted != name:
            self._wanted = name
            self._later.start(0)

    def bring_holder(self, widget: QWidget) -> None:
        """Put the panel in front that a widget lies in, if any."""
        for name in self._asked:
            if self._docks[name].isAncestorOf(widget):
                self.bring(name)

    def forget(self, name: str) -> None:
        """It is hidden: when it comes again it gets its room again."""
        if self._wanted == name:
            self._wanted = ""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ChildAdded:
            QTimer.singleShot(0, self, self._name_tabs)
        return False

    def _name_tabs(self) -> None:
        for bar in self._window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            if bar.objectName() == _TABS:
                continue
            bar.setObjectName(_TABS)
            bar.style().polish(bar)  # the style sheet goes by the name, and Qt has made the bar without one
            bar.setAccessibleName("Open panels")
            bar.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            bar.setElideMode(Qt.TextElideMode.ElideNone)

    def _share(self) -> None:
        """Lists that stay keep a row each; the rest is for what was asked for, up to its share of the column."""
        spec = self._asked.get(self._wanted)
        if spec is None or self._docks[spec.id].isHidden():
            return
        stays = [self._docks[one.id] for one in self._stays if not self._docks[one.id].isHidden()]
        if not stays:
            return
        own = self._docks[spec.id]
        column_px = sum(dock.height() for dock in (*stays, own))
        own_px = max(min(spec.height_px, round(_SHARE * column_px)), own.minimumSizeHint().height())
        left_px = column_px - own_px
        weights = [one.height_px for one in self._stays if self._docks[one.id] in stays]
        heights = [max(_LEAST_PX, left_px * weight // sum(weights)) for weight in weights]
        heights[0] = max(0, left_px - sum(heights[1:]))
        self._window.resizeDocks([*stays, own], [*heights, own_px], Qt.Orientation.Vertical)
