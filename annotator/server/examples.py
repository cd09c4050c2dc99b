"""What ``/openapi.json`` shows; each of them works on a server as it is (a test sends them)."""

from __future__ import annotations

from typing import Any

IMAGE_BASE64 = (
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAgCAIAAADbtmxLAAAATElEQVR42mPU0DFhGEyAiWGQgVEHjTpo1EG0BizEKFo1yYUqloXl"
    "7RmNslEHjTpo1EGjDhp10KiDRh002BzEONovG3XQqINGHTTAAABg+gRRWet7agAAAABJRU5ErkJggg=="
)
"""48 x 32 pixels, a light rectangle from (12, 8) to (36, 24) on a dark ground."""
IMAGE_SHA256 = "f30f8f8338d3b6fbe73922d84d95edd3ff93eff12428fb5d4a4c5a2be553f76c"
EMBEDDING = "3abc54bdd1c8679cf6958a3a4e8da584"
"""Of that image."""

OPEN: dict[str, Any] = {"image": IMAGE_BASE64}
CLICKS: dict[str, Any] = {
    "embedding": EMBEDDING,
    "points": [{"x": 24, "y": 16, "label": 1}, {"x": 3, "y": 3, "label": 0}],
}
BOX: dict[str, Any] = {"embedding": EMBEDDING, "box": [11, 7, 37, 25], "format": "base64_png"}
WORDS: dict[str, Any] = {"embedding": EMBEDDING, "text": "rectangle, not shadow"}
AUTO: dict[str, Any] = {"embedding": EMBEDDING, "points_per_side": 4}
EVERYTHING: dict[str, Any] = {"embedding": EMBEDDING, "settings": {"points_per_side": 4}}
JOB: dict[str, Any] = {"kind": "auto", "images": [EMBEDDING], "settings": {"points_per_side": 4}}
