"""Options that several formats have."""

from __future__ import annotations

from annotator.domain.ports.formats import FormatOption

TOLERANCE_PX = FormatOption(
    name="tolerance_px",
    title="Tolerance (px)",
    default=0.75,
    help="how far a polygon may leave out vertices, in pixels; 0 keeps the pixel edges",
    minimum=0,
    maximum=10,
)
