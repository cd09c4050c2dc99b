"""Images that are too large to be held: tiles on the canvas, clicks on the part in view, masks in the whole image."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import ImageError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import EverythingStep
from annotator.io.formats.coco.export import export_coco
from annotator.ui.labelling import sight_control
from annotator.ui.threads import loading
from tests.fakes import FakeFinder
from tests.large_files import DARK, GREY, write_pyramid

K, CTRL = Qt.Key, Qt.KeyboardModifier.ControlModifier
SIDE = 12_288
DISC = (5_632.5, 7_680.5)
"""The middle of one of the dark discs of 40 pixels that lie in fields of 1,024."""
pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    return write_pyramid(tmp_path_factory.mktemp("large") / "slide.tif", SIDE, levels=4)


@pytest.fixture
def slide(desk, pyramid):
    """A window with the pyramid open; ``seen`` has the pixel under the newest click and the model's picture of it."""
    desk.seen = []
    desk.engine.segmenter.radius_px = 60.0
    answer = desk.engine.segmenter.decode

    def decode(embedding, prompts, **options):
        point = prompts.points[-1]
        desk.seen.append((int(embedding.image[int(point.y), int(point.x)].max()), embedding.image.shape, prompts))
        return answer(embedding, prompts, **options)

    desk.engine.segmenter.decode = decode
    folder = desk.root / "slides"
    folder.mkdir()
    (folder / "slide.tif").symlink_to(pyramid)
    desk.open(folder=folder)
    return desk


def look_at(desk, x, y, zoom):
    """With the wheel's zoom, and without waiting for what is read then."""
    canvas = desk.window.canvas
    canvas.zoom_by(zoom / canvas.zoom)
    middle = canvas.view_to_image(QPointF(canvas.viewport().rect().center()))
    canvas.pan_by((middle.x() - x) * canvas.zoom, (middle.y() - y) * canvas.zoom)


def grey_at(desk, x, y):
    at = desk.window.canvas.image_to_view(x, y).toPoint()
    return desk.window.canvas.viewport().grab().toImage().pixelColor(at).green()


def settle(desk):
    desk.until(lambda: desk.window.canvas.ground.tiles.is_settled)


def test_a_large_image_is_seen_tile_by_tile(slide):
    canvas = slide.window.canvas
    assert canvas.image_size == (SIDE, SIDE)
    settle(slide)
    look_at(slide, *DISC, 0.25)
    settle(slide)
    assert [grey_at(slide, *DISC), grey_at(slide, DISC[0] + 60, DISC[1])] == [DARK, GREY]
    look_at(slide, *DISC, 8.0)
    slide.until(lambda: grey_at(slide, *DISC) == DARK)  # paints, which asks for tiles
    settle(slide)
    # At the edge of the disc each pixel is a square: where it ends was not to be seen in any smaller level.
    row = [grey_at(slide, DISC[0] + offset, DISC[1]) for offset in (39, 40, 41, 42)]
    assert row == [DARK, DARK, GREY, GREY]
    assert 0 < canvas.ground.tiles.nbytes < 60 << 20
    # A film strip's picture of it comes from the file's smallest level.
    assert slide.program.bench.picture.loaded.rgb.shape[0] <= 3072


def test_a_click_is_answered_in_whole_pixels_and_kept_in_the_whole_image(slide, tmp_path):
    look_at(slide, *DISC, 1.0)
    slide.click(*DISC)  # before anything of this place was read
    slide.wait_mask(*DISC)
    dark, shape, _prompts = slide.seen[-1]
    assert dark == DARK
    assert max(shape[:2]) <= 2048
    mask = slide.refine.state.mask
    assert (mask.width, mask.height) == (SIDE, SIDE)
    assert mask.bits.size < 4_000_000
    slide.key(K.Key_Return)
    (kept,) = slide.session.annotations
    assert (kept.image_width, kept.image_height) == (SIDE, SIDE)
    assert abs(kept.x + kept.w / 2 - DISC[0]) < 4
    assert abs(kept.y + kept.h / 2 - DISC[1]) < 4
    slide.key(K.Key_Z, CTRL)
    assert not slide.session.annotations
    slide.key(K.Key_Y, CTRL)
    (again,) = slide.session.annotations
    assert again.mask().same_pixels(mask)
    export_coco(slide.session.store, tmp_path / "out.json", include_unfinished=True)
    (exported,) = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert exported["bbox"] == [kept.x, kept.y, kept.w, kept.h]
    assert exported["area"] == kept.area


def test_an_object_is_gone_on_with_at_another_zoom(slide):
    look_at(slide, *DISC, 0.25)
    slide.click(*DISC)
    slide.wait_mask(*DISC)
    coarse, keys = slide.refine.state.mask, len(slide.engine.segmenter.encodes)
    look_at(slide, DISC[0] + 60, DISC[1], 2.0)
    beside = (coarse.x + coarse.bits.shape[1] + 3.5, DISC[1])
    slide.click(*beside)
    slide.wait_mask(*beside)
    _, _, prompts = slide.seen[-1]
    assert prompts.base_mask is not None, "the model is to correct what is there"
    assert len(slide.engine.segmenter.encodes) > keys
    fine = slide.refine.state.mask
    assert fine.intersection_area(coarse) == coarse.area, "what a click does not mean stays"
    slide.key(K.Key_Z, CTRL)
    assert slide.refine.state.mask.same_pixels(coarse), "one step back is one click"
    slide.key(K.Key_Return)
    assert len(slide.session.annotations) == 1


def test_a_small_pan_goes_on_in_the_same_part(slide):
    look_at(slide, *DISC, 1.0)
    slide.click(*DISC)
    slide.wait_mask(*DISC)
    look_at(slide, DISC[0] + 90, DISC[1] + 70, 1.0)
    slide.click(DISC[0] + 15, DISC[1])
    slide.wait_mask(DISC[0] + 15, DISC[1])
    _, _, prompts = slide.seen[-1]
    assert prompts.base_mask is None
    assert len(prompts.points) == 2


class DiscFinder(FakeFinder):
    """Finds the dark discs of the pixels that it is given."""

    def everything(self, embedding, image, settings, *, has_to_yield=None, begun=None):
        self.begun += 1
        _, labels, stats, middles = cv2.connectedComponentsWithStats((image[..., 0] < 100).astype(np.uint8))
        size = (image.shape[1], image.shape[0])
        found = [
            Proposal(
                Mask(labels[y : y + h, x : x + w] == at, x, y, *size),
                0.9,
                0.95,
                tuple(middles[at]),
                Region(0, 0, *size),
            )
            for at, (x, y, w, h, _area) in enumerate(stats)
            if at > 0
        ]
        yield EverythingStep(1, 1, tuple(found), is_last=True)


@pytest.fixture
def searched(desk, request):
    desk.engine.segmenter = desk.finder = DiscFinder([], radius_px=60.0)
    return request.getfixturevalue("slide")


def found(desk):
    return desk.program.proposals.proposals.review.table.items


def search(desk, key):
    begun = desk.finder.begun
    desk.key(key, Qt.KeyboardModifier.ShiftModifier)
    settle_search(desk, begun)


def settle_search(desk, begun):
    own = desk.program.proposals.proposals
    desk.until(lambda: desk.finder.begun > begun and not own.search.is_running and not own._work.is_busy)


def is_a_disc(mask):
    x, y, w, h = mask.bbox_xywh
    is_in_its_field = abs((x + w / 2) % 1024 - 512) < 3 and abs((y + h / 2) % 1024 - 512) < 3
    return is_in_its_field and (mask.width, mask.height) == (SIDE, SIDE) and abs(mask.area / (np.pi * 40**2) - 1) < 0.1


def test_everything_is_found_in_the_part_in_view_and_stays_when_another_is_searched(searched):
    look_at(searched, *DISC, 0.3)
    search(searched, K.Key_E)
    here = {one.id for one in found(searched)}
    assert len(here) >= 2
    assert all(is_a_disc(one.mask) for one in found(searched))
    assert "the part in view" in searched.window.jobs.jobs[0].title
    searched.key(K.Key_E, Qt.KeyboardModifier.ShiftModifier)
    assert searched.finder.begun == 1, "they wait for a decision"
    searched.window.proposals.ask_wanted.emit()
    settle_search(searched, 1)
    again = {one.id for one in found(searched)}
    assert len(again) == len(here), "what is in view is found anew, not twice"
    look_at(searched, 1_536.5, 1_536.5, 0.3)
    search(searched, K.Key_E)
    assert again < {one.id for one in found(searched)}
    assert all(is_a_disc(one.mask) for one in found(searched))
    count = len(found(searched))
    searched.key(K.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    searched.until(lambda: len(searched.session.annotations) == count)
    assert all(one.image_width == SIDE for one in searched.session.annotations)


def test_all_that_is_like_an_object_is_found_in_the_part_in_view(searched):
    look_at(searched, *DISC, 0.3)
    searched.accept_at(*DISC)
    search(searched, K.Key_L)
    _key, question, known = searched.finder.questions[-1]
    (examples,) = question.examples
    assert [(mask.height, mask.width) for mask in (*examples.masks, *known)] == [examples.image.shape[:2]] * 2
    assert examples.image[examples.masks[0].y + 20, examples.masks[0].x + 20].max() < 255
    assert found(searched)
    assert all(is_a_disc(one.mask) for one in found(searched))
    look_at(searched, 1_536.5, 1_536.5, 0.3)
    search(searched, K.Key_L)
    assert searched.finder.questions[-1][1] is question, "what was learned is used elsewhere, too"
    assert searched.finder.questions[-1][2] == ()


def test_an_example_out_of_view_is_asked_for(searched):
    look_at(searched, *DISC, 0.3)
    searched.accept_at(*DISC)
    look_at(searched, 1_536.5, 1_536.5, 1.0)
    searched.key(K.Key_L, Qt.KeyboardModifier.ShiftModifier)
    searched.until(lambda: "None of the examples is in view" in searched.window.status.message.text())
    assert not searched.finder.begun


def test_a_part_that_cannot_be_read_leaves_the_overview_and_answers(slide, monkeypatch):
    def unreadable(*_args, **_options):
        raise ImageError("slide.tif is damaged and cannot be read.")

    monkeypatch.setattr(loading, "load_region", unreadable)
    look_at(slide, *DISC, 1.0)
    slide.click(*DISC)
    slide.wait_mask(*DISC)
    assert "You and the model see it coarsely there." in slide.window.area.error_bar.text
    assert slide.refine.state.mask.width == SIDE


def test_the_view_is_looked_at_once_it_rests(slide, monkeypatch):
    look_at(slide, *DISC, 1.0)
    work = slide.refine._loop
    slide.until(lambda: work.work.opened.sight.step == 1 and work.work.opened.is_here)
    slide.until(lambda: not work.work.is_encoding)
    assert sight_control.REST_MS < 500
    assert np.asarray(work.work.opened.rgb).shape[1::-1] == work.work.opened.sight.size_wh
