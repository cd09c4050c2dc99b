"""The answer says whether it was found in an enlarged piece of the image."""

from __future__ import annotations

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.zoom.segmenter import ZoomSegmenter
from tests.unit.engine.test_zoom_segmenter import IdealSegmenter, picture


def test_a_small_object_was_looked_at_more_closely() -> None:
    image, _ = picture(300, 200, 40, 30)
    zoom = ZoomSegmenter(IdealSegmenter(), margin=1.6)
    embedding = zoom.encode(image, "k")
    first = zoom.decode(embedding, Prompts((PointPrompt(315, 215),)))
    assert first.looked_closer
    more = Prompts((PointPrompt(315, 215), PointPrompt(320, 220)))
    assert zoom.decode(embedding, more, continue_from=first.chosen).looked_closer
    assert zoom.decode(embedding, Prompts(box=Box(300, 200, 340, 230))).looked_closer


def test_a_large_object_was_not() -> None:
    image, _ = picture(60, 40, 500, 400)
    zoom = ZoomSegmenter(IdealSegmenter(), margin=1.6)
    embedding = zoom.encode(image, "k")
    assert not zoom.decode(embedding, Prompts(box=Box(60, 40, 560, 440))).looked_closer
