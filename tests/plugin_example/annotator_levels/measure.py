"""The action: one line about the objects of the image, or of those that are selected."""

from annotator.domain.errors import UserError
from annotator.domain.ports.actions import ActionContext


def run(context: ActionContext) -> str:
    """Called beside the window's thread with what was open; the line is shown."""
    chosen = [a for a in context.annotations if not context.selected or a.id in context.selected]
    if not chosen:
        raise UserError("There is nothing to measure.", "Accept an object first.")
    whole = chosen[0].image_width * chosen[0].image_height
    area_px = sum(a.area for a in chosen)
    return f"{len(chosen)} objects cover {area_px} pixels, {100 * area_px / whole:.1f} % of the image."
