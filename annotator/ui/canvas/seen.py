"""What a view shows of its image, to be shown again when the image was taken away and comes back."""

from __future__ import annotations

from dataclasses import dataclass

from annotator.ui.canvas.view import ImageView


@dataclass(frozen=True, slots=True)
class Seen:
    """The position in the middle of the view, in image pixels, and how large the image is shown."""

    x: float
    y: float
    zoom: float
    image_size: tuple[int, int]


def seen_by(view: ImageView) -> Seen | None:
    """None without an image, and where it is fitted."""
    if not view.has_image or view.is_fitted:
        return None
    middle = view.view_to_image(view.viewport().rect().toRectF().center())
    return Seen(middle.x(), middle.y(), view.zoom, view.image_size)


def show_again(view: ImageView, seen: Seen) -> None:
    """The same part as before, of an image of the same size; one of another size stays as it is."""
    if seen.image_size == view.image_size:
        view.zoom_by(seen.zoom / view.zoom)
        way = view.viewport().rect().toRectF().center() - view.image_to_view(seen.x, seen.y)
        view.pan_by(way.x(), way.y())
