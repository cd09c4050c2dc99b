"""Proposals in the scene: dashed outlines without a fill, so that nobody takes them for objects."""

from __future__ import annotations

from collections.abc import Collection

from annotator.domain.proposals.table import ProposalTable
from annotator.ui.canvas.mask_items import ObjectLayer, ObjectView
from annotator.ui.canvas.mask_picture import MaskLook
from annotator.ui.canvas.tints import Box, TintBook

CURRENT_OPACITY = 0.4
_LINE_PX = 1.5


class _OneTint(TintBook):
    """Proposals have no fills that could be distinguished."""

    def tint(self, object_id: int, box_xyxy: Box) -> int:
        return 0


class ProposalLayer(ObjectLayer):
    """The current one is filled and has a white rim; ids are those of the proposals."""

    def __init__(self) -> None:
        super().__init__()
        self._tints = _OneTint(1)
        self._colour = "#ffffff"
        self._table = ProposalTable()
        self.set_outline(_LINE_PX)

    def set_table(self, table: ProposalTable) -> None:
        """Other proposals; what is painted of those that stay is not computed again."""
        if table is not self._table:
            self._table = table
            self.set_objects(self._views_of(table))

    def set_colour(self, colour: str) -> None:
        """``#rrggbb`` of the class that they would get."""
        if colour != self._colour:
            self._colour = colour
            self.set_objects(self._views_of(self._table))

    def show_only(self, ids: Collection[int]) -> None:
        self.set_hidden(frozenset(self._table.index) - frozenset(ids))

    def set_current(self, proposal_id: int) -> None:
        """0 for none."""
        self.set_selected(frozenset({proposal_id} - {0}))

    def _views_of(self, table: ProposalTable) -> list[ObjectView]:
        known, colour = self._views, self._colour
        views = []
        for item in table.items:
            view = known.get(item.id)
            is_same = view is not None and view.mask is item.mask and view.colour == colour
            views.append(view if view is not None and is_same else ObjectView(item.id, item.mask, colour))
        return views

    def _look(self, colour: str, tint: int, *, is_hovered: bool, is_selected: bool) -> MaskLook:
        opacity = CURRENT_OPACITY if is_selected else 0.0
        is_dashed = not is_selected
        return MaskLook(colour, opacity, is_selected=is_selected, outline_px=self._outline_px, is_dashed=is_dashed)
