"""The items of the canvas's scene and their order: image, accepted objects, the current object, its prompts."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QGraphicsScene

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.outline import Outline
from annotator.domain.ports.engine import LogitsArray
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.domain.proposals.table import ProposalTable
from annotator.ui.canvas.cue_items import CueItem, show_dots
from annotator.ui.canvas.heat_items import GhostItem, HeatItem
from annotator.ui.canvas.items import BoxItem, ImageItem, PointItem
from annotator.ui.canvas.mask_items import MaskItem, ObjectLayer
from annotator.ui.canvas.mask_picture import OUTLINE_PX, MaskLook
from annotator.ui.canvas.prepared import PreparedImage
from annotator.ui.canvas.proposal_layer import ProposalLayer

CANDIDATE_EXTRA_OPACITY = 0.1
"""How much stronger the fill of the current object is than that of accepted ones."""
Logits = tuple[LogitsArray, Box | None]
"""Of the candidate that is shown, and the part of the image that they are of (None: the whole)."""
SETTLED_OPACITY = 0.55
"""Of clicks that are in the mask of a refined object already."""
_POINT_DEPTH = 10
_PROPOSAL_DEPTH = 1.2
"""Above the accepted masks."""
_HEAT_DEPTH = 1.5
"""Above the accepted masks, below the outline of the current object."""


@dataclass(frozen=True, slots=True)
class CanvasColours:
    """``#rrggbb`` each."""

    background: str = "#111315"
    positive: str = "#1f9d62"
    negative: str = "#d93d42"
    box: str = "#ffffff"
    cross_hair: str = "#ffffff"


class Overlays:
    """Adds its items to a scene and changes only those that have to."""

    def __init__(self, scene: QGraphicsScene, colours: CanvasColours) -> None:
        self._scene = scene
        self._colours = colours
        self._points: list[PointItem] = []
        self._provisional: PointItem | None = None
        self._is_peeking = False
        self._prompt_box: Box | None = None
        self._opacity = 0.4
        self._outline_px = OUTLINE_PX
        self._candidate_colour = "#ffffff"
        self.logits: Logits | None = None
        self.outline: Outline = ()
        """What the candidate should be enclosed by, if it was drawn."""
        self.ground, self.layer, self._candidate = ImageItem(), ObjectLayer(), MaskItem()
        self._box = BoxItem(QColor(colours.box), has_handles=True)
        self._band = BoxItem(QColor(colours.box), has_handles=False)
        for depth, item in enumerate((self.ground, self.layer, self._candidate, self._box, self._band)):
            item.setZValue(depth)
            scene.addItem(item)
        self._box.hide()
        self._band.hide()
        self._heat, self._ghost, self.proposals = HeatItem(), GhostItem(), ProposalLayer()
        self._cues = CueItem()
        self._cues.setZValue(_POINT_DEPTH - 1)
        self._cues.set_colours(QColor(colours.positive), QColor(colours.negative))
        self.proposals.setZValue(_PROPOSAL_DEPTH)
        self._heat.setZValue(_HEAT_DEPTH)
        self._ghost.setZValue(_POINT_DEPTH + 1)
        for layer in (self._heat, self._ghost, self.proposals, self._cues):
            scene.addItem(layer)

    @property
    def image(self) -> PreparedImage | None:
        """What lies under all of it."""
        return self.ground.image

    @property
    def mask(self) -> Mask | None:
        """Of the current object, None while it has none, or an empty one."""
        return self._candidate.mask

    @property
    def prompt_box(self) -> Box | None:
        """The box of the current object, while it can be seen."""
        return None if self._is_peeking else self._prompt_box

    @property
    def candidate_colour(self) -> str:
        """``#rrggbb`` of the current object, or of the next one."""
        return self._candidate_colour

    def prompt_colour(self, *, is_positive: bool) -> str:
        """``#rrggbb`` of what adds, or of what takes away."""
        return self._colours.positive if is_positive else self._colours.negative

    @property
    def is_band_shown(self) -> bool:
        return self._band.isVisible()

    def set_colours(self, colours: CanvasColours) -> None:
        self._colours = colours
        for box in (self._box, self._band):
            box.set_colour(QColor(colours.box))
        for item in self._points:
            item.set_colour(self._colour_of(item.point))
        self._ghost.set_colours(colours.positive, colours.negative)
        self._cues.set_colours(QColor(colours.positive), QColor(colours.negative))

    def set_image(self, prepared: PreparedImage | None) -> None:
        """Another image; everything that belongs to the one before goes."""
        self.ground.set_image(prepared)
        self.proposals.set_table(ProposalTable())
        for layer in (self.layer, self.proposals):
            layer.set_image_size(*((0, 0) if prepared is None else (prepared.width, prepared.height)))
            layer.set_objects(())
            layer.set_selected(frozenset())
            layer.set_hidden(frozenset())
        self.set_candidate(None, self._candidate_colour)
        self.set_prompts(Prompts())
        self.set_heat(None, None)
        self.set_ghost(None)

    def set_pixels(self, prepared: PreparedImage) -> None:
        """The same image in other greys; what lies on it stays."""
        self.ground.set_image(prepared)

    def set_zoom(self, zoom: float) -> None:
        for item in (self.layer, self.proposals, self._candidate, self._box, self._band, self._cues):
            item.set_zoom(zoom)

    def set_opacity(self, opacity: float) -> None:
        self._opacity = min(max(opacity, 0.0), 1.0)
        self.layer.set_opacity(self._opacity)
        self.set_candidate(self._candidate.mask, self._candidate_colour)

    def set_outline(self, width_px: float) -> None:
        """Width of all outlines in logical screen pixels; 0 for none."""
        self._outline_px = max(0.0, width_px)
        self.layer.set_outline(self._outline_px)
        self.set_candidate(self._candidate.mask, self._candidate_colour)

    def set_visible(self, *, are_masks_shown: bool, is_peeking: bool) -> None:
        self._is_peeking = is_peeking
        for layer in (self.layer, self.proposals):
            layer.setVisible(are_masks_shown and not is_peeking)
        self._candidate.setVisible(are_masks_shown and not is_peeking)
        self._box.setVisible(self._prompt_box is not None and not is_peeking)
        for item in (self._heat, self._ghost, self._cues):
            item.setVisible(not is_peeking)
        show_dots(self._points, self._cues.cues, is_peeking=self._is_peeking)

    def set_candidate(self, mask: Mask | None, colour: str) -> None:
        if mask is None:
            self.logits = None
        self._candidate_colour = colour
        # Doubt takes the place of the fill: two layers of colour would hide the image.
        is_warm = not self._heat.place.isEmpty()
        opacity = 0.0 if is_warm else min(1.0, self._opacity + CANDIDATE_EXTRA_OPACITY)
        self._candidate.set_mask(mask, MaskLook(colour, opacity, is_strong=True, outline_px=self._outline_px))

    def set_prompts(self, prompts: Prompts, *, settled: int = 0) -> None:
        """Dots that stay are not made again."""
        kept = 0
        for item, point in zip(self._points, prompts.points, strict=False):
            if item.point != point:
                break
            kept += 1
        for item in self._points[kept:]:
            self._scene.removeItem(item)
        del self._points[kept:]
        self._points += [self._added(point) for point in prompts.points[kept:]]
        for at, item in enumerate(self._points):
            item.setOpacity(SETTLED_OPACITY if at < settled else 1.0)
        self._cues.set_cues(prompts.cues, settled=settled)
        show_dots(self._points, self._cues.cues, is_peeking=self._is_peeking)
        if prompts.box != self._prompt_box:
            self._prompt_box = prompts.box
            self.show_box(prompts.box)

    def set_heat(self, image: QImage | None, box: Box | None) -> None:
        """A small picture of the doubt, stretched over ``box`` (image pixels); None for none."""
        was_cold = self._heat.place.isEmpty()
        self._heat.set_heat(image, box)
        if was_cold != self._heat.place.isEmpty():
            self.set_candidate(self._candidate.mask, self._candidate_colour)

    def set_ghost(self, point: PointPrompt | None) -> None:
        """A click that is proposed and not made; None for none."""
        self._ghost.set_point(point)

    def show_box(self, box: Box | None) -> None:
        """Show the prompt box elsewhere, while it is being dragged; the prompt itself stays."""
        if box is not None:
            self._box.set_box(box)
        self._box.setVisible(box is not None and not self._is_peeking)

    def show_provisional(self, point: PointPrompt) -> None:
        """The dot under the finger, before it is a prompt."""
        self.drop_provisional()
        self._provisional = self._added(point)

    def drop_provisional(self) -> None:
        if self._provisional is not None:
            self._scene.removeItem(self._provisional)
            self._provisional = None

    def show_band(self, box: Box) -> None:
        """The box that is being dragged."""
        self._band.set_box(box)
        self._band.show()

    def drop_band(self) -> None:
        self._band.hide()

    def _added(self, point: PointPrompt) -> PointItem:
        item = PointItem(point, self._colour_of(point))
        item.setZValue(_POINT_DEPTH)
        item.setVisible(not self._is_peeking)
        self._scene.addItem(item)
        return item

    def _colour_of(self, point: PointPrompt) -> QColor:
        return QColor(self.prompt_colour(is_positive=point.is_positive))
