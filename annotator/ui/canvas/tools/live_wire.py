"""The live-wire tool: between two clicks the outline follows the edge, of the image or of the model's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotator.domain.brush import Point
from annotator.domain.livewire import EdgeMap, EdgeSource
from annotator.ui.canvas.edge_finder import EdgeFinder
from annotator.ui.canvas.tools.polygon import PolygonTool
from annotator.ui.canvas.tools.tool import Pointer, ToolContext

REACH_PX = 320
"""How far the way to the pointer may lead, in view pixels; further on it is straight."""
_LEAST_REACH_PX = 96
"""In image pixels."""


@dataclass(slots=True, eq=False)
class _Link:
    """From the end of a press to the corner after it: the map it is found in, and whether it is still to be found."""

    ticket: int
    map: EdgeMap | None = None
    is_late: bool = False


class LiveWireTool(PolygonTool):
    """A polygon whose lines follow edges. A press never waits: a line that is not found yet is straight until it is."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._links: list[_Link] = []
        self._is_closing = False
        self._finder = EdgeFinder(self._on_map, context.view)

    # --- a gesture ----------------------------------------------------------------------------------------------------

    def press(self, pointer: Pointer) -> bool:
        if self._is_closing:
            self.finish()
        if self._links:
            self._links[-1].is_late = self._links[-1].map is None
        return super().press(pointer)

    def release(self, pointer: Pointer) -> None:
        super().release(pointer)
        self._look_around()

    def key_press(self, pointer: Pointer) -> bool:
        super().key_press(pointer)
        self._look_around()
        return False

    def step_back(self) -> None:
        self._is_closing = False
        super().step_back()
        del self._links[len(self.parts) :]
        for link in self._links[-1:]:
            link.is_late = False

    def close(self) -> None:
        """The last way, back to the first corner, may still have to be found."""
        self._is_closing = len(self.corners) >= 3 and any(link.map is None for link in self._links)
        if not self._is_closing:
            super().close()

    def cancel(self) -> None:
        self._links, self._is_closing = [], False
        self._finder.forget()
        super().cancel()

    # --- ways ---------------------------------------------------------------------------------------------------------

    def way_to(self, where: Point) -> Sequence[Point]:
        found = self._links[-1].map if self._links else None
        return () if found is None else found.way_to(where)

    def _look_around(self) -> None:
        """Ask for the ways that lead on from the last corner."""
        image = self.context.overlays.image
        if image is None or len(self._links) >= len(self.parts):
            return
        logits = self.context.overlays.logits or (None, None)
        whole_wh = (image.width, image.height)
        source = EdgeSource(image.pixels[0], logits[0], logits[1], image.read, whole_wh)
        reach_px = max(_LEAST_REACH_PX, REACH_PX / self.context.view.zoom)
        self._links.append(_Link(self._finder.ask(source, self.corners[-1], reach_px=reach_px)))

    def _on_map(self, ticket: int, found: EdgeMap) -> None:
        at = next((number for number, link in enumerate(self._links) if link.ticket == ticket), None)
        if at is None:
            return
        link = self._links[at]
        link.map = found
        if link.is_late:
            link.is_late = False
            part = self.parts[at + 1]
            part.way = tuple(found.way_to(part.points[0]))
        if self._is_closing:
            self.close()
        self.repaint()
