"""What the canvas shows: the image, the masks on it, the prompts, the cross-hair. ``canvas.py`` adds the gestures."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.outline import Outline
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.ui.canvas.brush import Brush
from annotator.ui.canvas.loupe import Loupe
from annotator.ui.canvas.mask_items import ObjectView
from annotator.ui.canvas.overlays import CanvasColours, Logits, Overlays
from annotator.ui.canvas.prepared import PreparedImage
from annotator.ui.canvas.preview import WindowPreview
from annotator.ui.canvas.view import ImageView


class CanvasDisplay(ImageView):
    """An image with its objects; everything here only changes what is painted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours = CanvasColours()
        self._hover_at: QPointF | None = None
        self._has_cross_hair = self._is_peeking = False
        self._is_aiming = True
        """Whether the cross-hair, if there is one, helps with what the hand does now."""
        self._are_masks_visible = True
        self.spacing_mm: tuple[float, float] | None = None
        """Size (x, y) of the image's pixels, where it is known."""
        self._overlays = Overlays(self.scene(), self._colours)
        self.ground = self._overlays.ground
        """The image under everything else."""
        self.objects = self._layer = self._overlays.layer
        """The accepted objects."""
        self.proposals = self._overlays.proposals
        self.brush = Brush(self.scene())
        self.preview = WindowPreview(self, self._overlays)
        self.loupe = Loupe(self, self._overlays)
        self.setAccessibleName("Image and its objects")
        for part in (self, self.viewport()):
            part.setAcceptDrops(False)  # what is dropped here is for the window
        self.set_colours(self._colours)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def set_colours(self, colours: CanvasColours) -> None:
        self._colours = colours
        self.setBackgroundBrush(QColor(colours.background))
        self._overlays.set_colours(colours)
        self._update_cross_hair()

    def set_image(self, prepared: PreparedImage | None, *, keeps_view: bool = False) -> None:
        """Another image, without objects, candidate and prompts; None for an empty canvas. It is fitted, unless the
        view of an image of the same size is kept."""
        self.preview.show_preview(None)
        self._overlays.set_image(prepared)
        size = (0, 0) if prepared is None else (prepared.width, prepared.height)
        if not keeps_view or size != self.image_size:
            self.set_image_size(*size)

    def set_objects(self, objects: Iterable[ObjectView]) -> None:
        """All accepted objects of the image. One whose mask is the very same object is not computed again."""
        self._layer.set_objects(objects)

    def put_object(self, view: ObjectView) -> None:
        """Add an object or replace the one with its id; only its box is painted again."""
        self._layer.put(view)

    def remove_object(self, annotation_id: int) -> None:
        self._layer.remove(annotation_id)

    def set_selected(self, ids: Iterable[int]) -> None:
        self._layer.set_selected(frozenset(ids))

    def set_hidden(self, ids: Iterable[int]) -> None:
        """Objects that are not painted and cannot be hit (the one that is being refined)."""
        self._layer.set_hidden(frozenset(ids))

    def set_candidate(
        self, mask: Mask | None, colour: str = "#ffffff", *, logits: Logits | None = None, outline: Outline = ()
    ) -> None:
        """The mask of the current object, stronger than the accepted ones; ``logits`` say what its edge is made of,
        ``outline`` what it was drawn with."""
        self._overlays.set_candidate(mask, colour)
        self._overlays.logits, self._overlays.outline = logits, outline

    def set_prompts(self, prompts: Prompts, *, settled: int = 0) -> None:
        """The dots and the box of the current object; so many of the first dots were made before, and are fainter."""
        self._overlays.set_prompts(prompts, settled=settled)

    def set_heat(self, image: QImage | None, box: Box | None) -> None:
        """The layer of doubt over everything but the prompts: a small picture over ``box``; None for none."""
        self._overlays.set_heat(image, box)

    def set_ghost(self, point: PointPrompt | None) -> None:
        """A proposed click, brought into view when it lies outside; None for none."""
        self._overlays.set_ghost(point)
        if point is not None:
            self.bring_into_view(point.x, point.y)

    def hide_masks(self, is_hidden: bool) -> None:
        """Whether the masks are hidden, until they are wanted again."""
        self._are_masks_visible = not is_hidden
        self._show_overlays()

    def set_peek(self, is_peeking: bool) -> None:
        """The bare image, while true."""
        self._is_peeking = is_peeking
        self._show_overlays()

    def set_opacity(self, opacity: float) -> None:
        """Of the fill of accepted objects, 0..1; the current object is a little stronger."""
        self._overlays.set_opacity(opacity)

    def set_outline_width(self, width_px: float) -> None:
        """Of all outlines, in logical screen pixels; 0 for none."""
        self._overlays.set_outline(width_px)

    def set_cross_hair(self, is_shown: bool) -> None:
        self._update_cross_hair()
        self._has_cross_hair = is_shown
        self._update_cross_hair()

    def update_place(self, place: QRectF, *, margin_px: int = 0) -> None:
        """Paint a place of the image again (image pixels), with a margin in view pixels."""
        shown = self.viewportTransform().mapRect(place).toAlignedRect()
        self.viewport().update(shown.adjusted(-margin_px, -margin_px, margin_px, margin_px))

    # --- painting -----------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        inverse, _ = self.viewportTransform().inverted()
        exposed = tuple(inverse.mapRect(QRectF(rect)) for rect in event.region())  # type: ignore[attr-defined]
        self._layer.exposed_rects = self.proposals.exposed_rects = exposed
        try:
            super().paintEvent(event)
        finally:
            self._layer.exposed_rects = self.proposals.exposed_rects = ()

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        if not (self._has_cross_hair and self._is_aiming) or self._hover_at is None or not self.has_image:
            return
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        x, y = int(self._hover_at.x()), int(self._hover_at.y())
        light = QColor(self._colours.cross_hair)
        light.setAlpha(170)
        for colour, style in ((QColor(0, 0, 0, 110), Qt.PenStyle.SolidLine), (light, Qt.PenStyle.DashLine)):
            painter.setPen(QPen(colour, 1, style))
            painter.drawLine(x, 0, x, self.viewport().height())
            painter.drawLine(0, y, self.viewport().width(), y)
        painter.restore()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _show_overlays(self) -> None:
        self._overlays.set_visible(are_masks_shown=self._are_masks_visible, is_peeking=self._is_peeking)

    def _zoom_has_changed(self, zoom: float) -> None:
        self._overlays.set_zoom(zoom)
        self.brush.set_zoom(zoom)

    @property
    def hovered_object(self) -> int:
        """The object under the pointer; 0 for none."""
        return 0 if self._hover_at is None else self.hit(self._hover_at)

    def hit(self, at: QPointF) -> int:
        where = self.view_to_image(at)
        return self._layer.hit(where.x(), where.y()) if self._layer.isVisible() else 0

    def _update_cross_hair(self) -> None:
        if self._has_cross_hair and self._hover_at is not None:
            x, y = int(self._hover_at.x()), int(self._hover_at.y())
            self.viewport().update(QRect(x - 1, 0, 3, self.viewport().height()))
            self.viewport().update(QRect(0, y - 1, self.viewport().width(), 3))
