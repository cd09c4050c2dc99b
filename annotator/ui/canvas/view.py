"""A view on an image that zooms at the cursor, pans in every direction and fits."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QNativeGestureEvent, QPainter, QResizeEvent, QTransform, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QWidget

ZOOM_PER_NOTCH = 1.25
DEGREES_8_PER_NOTCH = 120.0
MAX_ZOOM = 64.0
MIN_FITTED_SHARE = 0.25
"""The view can be zoomed out until the image has this share of its fitted size (or 1 : 1 if that is smaller)."""
FIT_SHARE = 0.96
SHOWN_SHARE, MAX_SHOWN_ZOOM = 0.4, 8.0
"""A part that is shown takes this share of the view, but no pixel of it becomes larger than this."""
KEPT_IN_VIEW_PX = 64
"""Panning never takes the last of the image out of sight."""
_MARGINS_PX = (24, 24, -24, -24)
"""What lies in this rim of the view counts as out of sight."""


class ImageView(QGraphicsView):
    """Scene coordinates are image pixels; zoom 1.0 is one logical screen pixel per image pixel."""

    zoom_changed = Signal(float)
    view_changed = Signal()
    """The image lies elsewhere in the view, or is larger or smaller there."""
    pan_held = Signal(bool)
    """The key with which a left drag pans was pressed or let go."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._own_scene = QGraphicsScene(self)
        self.setScene(self._own_scene)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._image_width = self._image_height = 0
        self.image_size = (0, 0)
        """(width, height) in pixels; 0 x 0 without an image."""
        self.is_fitted = True
        """The whole image is shown, and stays so while the window changes its size."""
        self._kept_free_px = 0
        self._is_pan_held = False

    @property
    def zoom(self) -> float:
        return self.transform().m11()

    @property
    def has_image(self) -> bool:
        return self._image_width > 0

    def set_image_size(self, width: int, height: int) -> None:
        """Another image: it is fitted. 0 x 0 for none."""
        self._image_width, self._image_height = self.image_size = (width, height)
        self.is_fitted = True
        self.fit()

    def keep_free(self, bottom_px: int) -> None:
        """The height at the lower edge that a fitted image leaves to what floats there; at most half of it all."""
        self._kept_free_px = bottom_px
        if self.is_fitted:
            self.fit()

    def fit(self) -> None:
        """The whole image, as large as it can be; it stays fitted while the window changes its size."""
        self.is_fitted = True
        if not self.has_image:
            self._place_scene()
            return
        self._set_zoom(self._fitted_zoom())
        centre = self.image_to_view(self._image_width / 2, self._image_height / 2)
        width, height = self.viewport().width(), self.viewport().height()
        self._scroll_by(centre - QPointF(width / 2, (height - self._free_below()) / 2))

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom; the image position under ``at`` (view pixels; default: the middle) stays where it is."""
        if not self.has_image or not factor > 0:
            return
        where = QPointF(self.viewport().width() / 2, self.viewport().height() / 2) if at is None else at
        fixed = self.view_to_image(where)
        self.is_fitted = False
        lowest = min(self._fitted_zoom() * MIN_FITTED_SHARE, 1.0)
        self._set_zoom(min(max(self.zoom * factor, lowest), MAX_ZOOM))
        self._scroll_by(self.image_to_view(fixed.x(), fixed.y()) - where)

    def zoom_to(self, percent: float) -> None:
        """Zoom to a percentage about the middle: 100 is one logical screen pixel per image pixel."""
        self.zoom_by(percent / 100 / self.zoom)

    def pan_by(self, dx_px: float, dy_px: float) -> None:
        """Move the image by view pixels."""
        self.is_fitted = False
        self._scroll_by(QPointF(-dx_px, -dy_px))

    def hold_pan(self, is_held: bool) -> None:
        """Whether a left drag pans, because the key for it is down."""
        self._is_pan_held = is_held
        self.pan_held.emit(is_held)

    def bring_into_view(self, x: float, y: float) -> None:
        """Move an image position to the middle of the view if it lies outside or at its edge."""
        at, size = self.image_to_view(x, y), self.viewport().size()
        inner = QRectF(0, 0, size.width(), size.height()).adjusted(*_MARGINS_PX)
        if self.has_image and not inner.contains(at):
            self.pan_by(size.width() / 2 - at.x(), size.height() / 2 - at.y())

    def show_place(self, place: QRectF) -> None:
        """Show a part of the image so large that it can be judged, with what is round it; a large part as a whole."""
        if not self.has_image or place.isEmpty():
            return
        view = self.viewport().size()
        wanted = SHOWN_SHARE * min(view.width() / place.width(), view.height() / place.height())
        zoom = min(wanted, MAX_SHOWN_ZOOM)
        if zoom <= self._fitted_zoom():
            self.fit()
            return
        self.is_fitted = False
        self._set_zoom(zoom)
        centre = self.image_to_view(place.center().x(), place.center().y())
        self._scroll_by(centre - QPointF(view.width() / 2, view.height() / 2))

    def image_to_view(self, x: float, y: float) -> QPointF:
        return self.viewportTransform().map(QPointF(x, y))

    def view_to_image(self, position: QPointF) -> QPointF:
        """Exact, not rounded to whole view pixels."""
        inverse, _ = self.viewportTransform().inverted()
        return inverse.map(position)

    def contains_image_point(self, x: float, y: float) -> bool:
        return 0 <= x < self._image_width and 0 <= y < self._image_height

    # --- events -------------------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:
        # The angle is continuous on touchpads, so the zoom is as smooth as the fingers.
        delta = event.angleDelta().y() or event.angleDelta().x()
        if delta:
            self.zoom_by(ZOOM_PER_NOTCH ** (delta / DEGREES_8_PER_NOTCH), event.position())
        event.accept()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.NativeGesture:
            gesture = cast(QNativeGestureEvent, event)
            if gesture.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
                self.zoom_by(max(0.1, 1.0 + gesture.value()), gesture.position())
                return True
        return super().viewportEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.is_fitted:
            self.fit()
        else:
            self._place_scene()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        super().scrollContentsBy(dx, dy)
        self.view_changed.emit()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _fitted_zoom(self) -> float:
        width, height = max(1, self.viewport().width()), max(1, self.viewport().height())
        free_height = FIT_SHARE * (height - self._free_below())
        return min(MAX_ZOOM, FIT_SHARE * width / self._image_width, free_height / self._image_height)

    def _free_below(self) -> int:
        return min(self._kept_free_px, self.viewport().height() // 2)

    def _set_zoom(self, zoom: float) -> None:
        is_new = zoom != self.zoom
        if is_new:
            self.setTransform(QTransform.fromScale(zoom, zoom))
        self._place_scene()
        if is_new:
            self._zoom_has_changed(zoom)
            self.zoom_changed.emit(zoom)
            self.view_changed.emit()

    def _zoom_has_changed(self, zoom: float) -> None:
        """For subclasses: lines that are constant on the screen need other bounds."""

    def _place_scene(self) -> None:
        """Room around the image, so that it can be panned until only a strip of it is seen."""
        zoom = self.zoom
        dx = max(0.0, self.viewport().width() - KEPT_IN_VIEW_PX) / zoom
        dy = max(0.0, self.viewport().height() - KEPT_IN_VIEW_PX) / zoom
        place = QRectF(-dx, -dy, self._image_width + 2 * dx, self._image_height + 2 * dy)
        if place != self.sceneRect():
            corner = self.view_to_image(QPointF(0, 0))
            self.setSceneRect(place)
            self._scroll_by(self.image_to_view(corner.x(), corner.y()))

    def _scroll_by(self, delta_px: QPointF) -> None:
        step = QPoint(round(delta_px.x()), round(delta_px.y()))
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(across.value() + step.x())
        down.setValue(down.value() + step.y())
