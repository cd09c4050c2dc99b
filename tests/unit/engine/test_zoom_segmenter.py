"""Zoom-in: where it looks, that answers come back in image pixels, and that corrections go on where they began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.answering.tidy import tidied
from annotator.domain.errors import PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, LogitsArray, ModelInfo, RgbArray
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.cache import TieredCache
from annotator.engine.sam2.files import build_config
from annotator.engine.sam2.nano import NanoConfig, build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.piecewise import CROPS_KEPT, Piecewise, ZoomEmbedding
from annotator.engine.zoom.segmenter import ZoomSegmenter

CPU = torch.device("cpu")
INFO = ModelInfo("ideal", "0" * 64, "cpu", "float32", 128)


@dataclass(frozen=True, eq=False)
class Pixels:
    """The 'embedding' of the ideal segmenter: the image itself."""

    key: str
    image: RgbArray
    encode_ms: float = 1.0

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    @property
    def nbytes(self) -> int:
        return int(self.image.nbytes)


@dataclass
class IdealSegmenter:
    """Answers with the bright pixels, as coarse as a model of 32 x 32 cells is; remembers what it was asked.

    It knows when it sees only a part, as a model has to that was trained for zoom-in.
    """

    encoded: list[tuple[int, int]] = field(default_factory=list)
    asked: list[tuple[Prompts, LogitsArray | None]] = field(default_factory=list)
    info: ModelInfo = INFO
    device: torch.device = CPU

    def embedding_key(self, image_key: str) -> str:
        return image_key

    def encode(self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None) -> Pixels:
        self.encoded.append((image.shape[1], image.shape[0]))
        return Pixels(image_key, image)

    def decode_from(
        self, logits: LogitsArray | None, embedding: Embedding, prompts: Prompts, *, tidies: bool = False
    ) -> Candidates:
        assert isinstance(embedding, Pixels)
        self.asked.append((prompts, logits))
        rows = (np.arange(32) + 0.5) * embedding.height / 32
        columns = (np.arange(32) + 0.5) * embedding.width / 32
        bright = embedding.image[rows.astype(int)][:, columns.astype(int), 0] > 100
        seen = np.where(bright, 4.0, -4.0).astype(np.float32)
        size = {"width": embedding.width, "height": embedding.height}
        mask = mask_from_logits(tidied(seen, prompts.points, **size) if tidies else seen, **size)
        is_cut = bool(bright[0].any() or bright[-1].any() or bright[:, 0].any() or bright[:, -1].any())
        return Candidates((Candidate(seen, 0.3 if is_cut else 0.9, 0.9, mask),), 0, 1.0, 1.0)

    def decode_each(self, requests: Sequence[tuple[Embedding, Prompts]], *, tidies: bool = False) -> list[Candidates]:
        return [self.decode_from(None, embedding, prompts, tidies=tidies) for embedding, prompts in requests]


def picture(x: int, y: int, w: int, h: int) -> tuple[RgbArray, Mask]:
    """640 x 480, dark, with one bright rectangle."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[y : y + h, x : x + w] = 255
    return image, Mask.from_full(image[..., 0])


def test_a_small_object_is_found_exactly_from_one_click() -> None:
    image, truth = picture(300, 200, 40, 30)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    prompts = Prompts((PointPrompt(315, 215),))
    found = zoom.decode(embedding, prompts).chosen.mask
    coarse = ideal.decode_from(None, embedding.base, prompts).chosen.mask
    assert (found.width, found.height) == (640, 480)
    assert found.iou(truth) > 0.85 > coarse.iou(truth) + 0.1


def test_a_box_says_where_to_look_at_once_and_the_piece_is_encoded_once() -> None:
    image, truth = picture(300, 200, 40, 30)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    for _ in range(3):
        assert zoom.decode(embedding, Prompts(box=Box(300, 200, 340, 230))).chosen.mask.iou(truth) > 0.9
    assert ideal.encoded == [(640, 480), (64, 64)]
    asked = ideal.asked[0][0].box
    assert asked is not None
    assert (asked.width, asked.height) == (40, 30)


def test_a_large_object_stays_with_the_whole_image() -> None:
    image, truth = picture(60, 40, 500, 400)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    assert zoom.decode(embedding, Prompts(box=Box(60, 40, 560, 440))).chosen.mask.iou(truth) > 0.9
    assert ideal.encoded == [(640, 480)]
    assert zoom.decode(embedding, Prompts((PointPrompt(300, 200),))).chosen.mask.iou(truth) > 0.9


def test_a_correction_goes_on_in_the_same_piece_with_its_logits() -> None:
    image, _ = picture(300, 200, 40, 30)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    box = Box(300, 200, 340, 230)
    first = zoom.decode(embedding, Prompts(box=box)).chosen
    pieces = len(ideal.encoded)
    zoom.decode(embedding, Prompts((PointPrompt(338, 232, False),), box), continue_from=first)
    assert len(ideal.encoded) == pieces
    assert ideal.asked[-1][1] is first.logits


def test_a_click_is_asked_in_pieces_of_several_sizes_that_hold_it() -> None:
    image, _ = picture(300, 200, 40, 30)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    zoom.decode(zoom.encode(image, "k"), Prompts((PointPrompt(315, 215),)))
    sizes = [width for width, _ in ideal.encoded]
    assert sizes[:4] == [640, 231, 84, 31]
    for (width, height), (prompts, _) in zip(ideal.encoded, ideal.asked, strict=True):
        assert 0 <= prompts.points[0].x <= width
        assert 0 <= prompts.points[0].y <= height


def test_pieces_that_were_warmed_are_not_encoded_again() -> None:
    image, truth = picture(300, 200, 40, 30)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    warmed = 0
    while zoom.warm(embedding, 315, 215, is_cancelled=lambda: False):
        warmed += 1
    assert warmed == 3
    before = list(ideal.encoded)
    found = zoom.decode(embedding, Prompts((PointPrompt(315.5, 215.5),))).chosen.mask
    assert found.iou(truth) > 0.8
    assert len(ideal.encoded) - len(before) <= 1  # the closer look alone
    assert not zoom.warm(ideal.encode(image, "other"), 5, 5, is_cancelled=lambda: False)


@dataclass
class PartOrWhole(IdealSegmenter):
    """In the whole image the first click means the whole bright object, in pieces only its very bright part."""

    def decode_from(
        self, logits: LogitsArray | None, embedding: Embedding, prompts: Prompts, *, tidies: bool = False
    ) -> Candidates:
        found = super().decode_from(logits, embedding, prompts, tidies=tidies)
        if embedding.width == 640 or logits is not None:
            return found
        assert isinstance(embedding, Pixels)
        part = embedding.image.copy()
        part[part < 250] = 0
        return super().decode_from(None, Pixels(embedding.key, part), prompts)


def test_a_click_that_the_answer_contradicts_turns_to_another_answer() -> None:
    image, whole = picture(150, 100, 300, 250)
    image[image > 0] = 200
    image[150:250, 200:300] = 255
    part = Mask.from_full(image[..., 0] == 255)
    zoom = ZoomSegmenter(PartOrWhole(), margin=1.6)
    embedding = zoom.encode(image, "k")
    first = PointPrompt(250, 200)
    answer = zoom.decode(embedding, Prompts((first,))).chosen
    assert answer.mask.iou(part) > 0.8
    more = Prompts((first, PointPrompt(400, 320)))
    assert zoom.decode(embedding, more, continue_from=answer).chosen.mask.iou(whole) > 0.9


def test_clicks_without_an_answer_start_a_search_that_holds_all_positive_ones() -> None:
    image, truth = picture(100, 100, 60, 300)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    prompts = Prompts((PointPrompt(130, 110), PointPrompt(130, 390), PointPrompt(300, 300, False)))
    found = zoom.decode(embedding, prompts)
    assert len(found.items) == 1
    assert found.chosen.mask.iou(truth) > 0.8
    assert all(height >= 280 for _, height in ideal.encoded)


def test_a_click_beyond_the_piece_widens_it_and_carries_the_logits_along() -> None:
    image, truth = picture(300, 200, 40, 30)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    first = zoom.decode(embedding, Prompts(box=Box(300, 200, 340, 230))).chosen
    more = Prompts((PointPrompt(420, 215),), Box(300, 200, 340, 230))
    zoom.decode(embedding, more, continue_from=first)
    assert max(ideal.encoded[-1]) >= 120 * 1.6
    prompts, carried = ideal.asked[-1]
    assert carried is not None
    region_px = ideal.encoded[-1]
    mask = mask_from_logits(carried, width=region_px[0], height=region_px[1])
    assert mask.area == pytest.approx(truth.area, rel=0.3)
    assert all(0 <= p.x <= region_px[0] and 0 <= p.y <= region_px[1] for p in prompts.points)


def test_an_object_that_runs_out_of_its_piece_gets_a_wider_one() -> None:
    image, truth = picture(200, 200, 300, 40)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.2)
    embedding = zoom.encode(image, "k")
    boxed = zoom.decode(embedding, Prompts(box=Box(300, 200, 340, 240))).chosen  # a box too small on purpose
    assert boxed.mask.area < truth.area / 2
    more = Prompts((PointPrompt(320, 220),), Box(300, 200, 340, 240))
    again = zoom.decode(embedding, more, continue_from=boxed).chosen
    assert again.mask.area > boxed.mask.area


def test_a_forgotten_candidate_is_continued_where_it_was_found() -> None:
    image, _ = picture(300, 200, 40, 30)
    ideal = IdealSegmenter()
    box = Box(300, 200, 340, 230)
    first = ZoomSegmenter(ideal, margin=1.6).decode(
        ZoomSegmenter(ideal, margin=1.6).encode(image, "k"), Prompts(box=box)
    )
    fresh = ZoomSegmenter(ideal, margin=1.6)  # has never seen that answer
    embedding = fresh.encode(image, "k")
    before = len(ideal.asked)
    found = fresh.decode(embedding, Prompts((PointPrompt(338, 228, False),), box), continue_from=first.chosen)
    assert [given is first.chosen.logits for _, given in ideal.asked[before:]] == [True]
    assert found.chosen.logits_box == first.chosen.logits_box
    assert found.chosen.token != first.chosen.token


def test_few_pieces_are_kept() -> None:
    image, _ = picture(0, 0, 640, 480)
    ideal = IdealSegmenter()
    zoom = ZoomSegmenter(ideal, margin=1.6)
    embedding = zoom.encode(image, "k")
    for x in range(0, 600, 20):
        zoom.decode(embedding, Prompts(box=Box(x, 10, x + 30, 40)))
    assert len(embedding.crops) == CROPS_KEPT
    assert embedding.nbytes > image.nbytes


@pytest.mark.parametrize("tidies", [True, False])
def test_masks_can_be_tidied_and_logits_stay_the_models_own(tidies: bool) -> None:
    image, truth = picture(200, 150, 160, 160)
    image[20:40, 600:620] = 255  # an island for the model, which takes all that is bright
    zoom = ZoomSegmenter(IdealSegmenter(), margin=4.0, tidies=tidies)
    embedding = zoom.encode(image, "k")
    found = zoom.decode(embedding, Prompts(box=Box(200, 150, 360, 310))).chosen
    assert (found.logits[:3, 28:] > 0).any()
    assert found.mask.contains(610, 30) is not tidies
    assert found.mask.iou(truth) > 0.8


@pytest.fixture(scope="module")
def real() -> ZoomSegmenter:
    torch.manual_seed(0)
    config = NanoConfig(
        image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
    )
    info = ModelInfo("nano", "0" * 64, "cpu", "float32", 128)
    base = Sam2Segmenter(build_nano(config).eval(), info, dense_prompt=config.dense_prompt)
    return ZoomSegmenter(base, margin=1.6)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (300, 1), (97, 211), (640, 480)])
def test_the_real_engine_answers_in_image_pixels_whatever_the_size(
    real: ZoomSegmenter, width: int, height: int
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    embedding = real.encode(image, f"{width}x{height}")
    middle = PointPrompt(width / 2, height / 2)
    cases = [
        Prompts((middle,)),
        Prompts((PointPrompt(-50, 1e6), PointPrompt(width / 2, height / 2, False))),
        Prompts(box=Box(width * 0.4, height * 0.4, width * 0.6 + 1, height * 0.6 + 1)),
        Prompts((middle,), Box(-10, -10, width * 0.5 + 1, height * 0.5 + 1)),
        Prompts((PointPrompt(0, 0, False),)),
        Prompts((middle,), base_mask=Mask.from_full(image[..., 0] > 120)),
    ]
    for prompts in cases:
        answer = real.decode(embedding, prompts)
        assert all((c.mask.width, c.mask.height) == (width, height) for c in answer.items)
        assert len(answer.items) == (3 if prompts.is_ambiguous else 1)
        more = prompts.with_point(PointPrompt(width * 0.9, height * 0.1))
        real.decode(embedding, more, continue_from=answer.chosen)


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(),
        Prompts((PointPrompt(float("nan"), 1),)),
        Prompts(box=Box(float("inf"), 0, 5, 5)),
        Prompts(box=Box(900, 900, 950, 950)),
    ],
)
def test_nonsense_is_refused(real: ZoomSegmenter, prompts: Prompts) -> None:
    embedding = real.encode(np.zeros((40, 40, 3), np.uint8), "black")
    with pytest.raises(PromptError):
        real.decode(embedding, prompts)


def test_the_disk_gives_them_back_with_the_images_pixels(real: ZoomSegmenter, tmp_path: Path) -> None:
    def cache() -> TieredCache:
        return TieredCache(ram_bytes=1 << 20, disk_dir=tmp_path, disk_bytes=1 << 20, codec=real)

    image, _ = picture(300, 200, 40, 30)
    embedding = real.encode(image, "k")
    cache().put(embedding)
    again = cache().get(embedding.key, image)
    assert isinstance(again, ZoomEmbedding)
    prompts = Prompts(box=Box(300, 200, 340, 230))
    answers = [real.decode(one, prompts).chosen for one in (embedding, again)]
    np.testing.assert_array_equal(answers[0].logits, answers[1].logits)
    assert answers[0].logits_box == answers[1].logits_box
    assert again.encode_ms == pytest.approx(embedding.encode_ms, abs=1e-3)


def test_pixels_of_another_size_get_no_embedding_from_the_disk(real: ZoomSegmenter, tmp_path: Path) -> None:
    image, _ = picture(300, 200, 40, 30)
    embedding = real.encode(image, "k")
    TieredCache(ram_bytes=1, disk_dir=tmp_path, disk_bytes=1 << 20, codec=real).put(embedding)
    later = TieredCache(ram_bytes=1, disk_dir=tmp_path, disk_bytes=1 << 20, codec=real)
    assert later.get(embedding.key, image[:-1]) is None


@pytest.mark.slow
def test_official_models_look_closer_too_where_that_is_asked_for() -> None:
    """SAM 2.1 tiny with random weights: the piece round a small box is encoded once; masks come back in the image."""
    torch.manual_seed(0)
    model = build_config("configs/sam2.1/sam2.1_hiera_t.yaml")
    encodes: list[int] = []
    model.image_encoder.register_forward_hook(lambda *_: encodes.append(1))
    official = Sam2Segmenter(model, ModelInfo("tiny", "0" * 64, "cpu", "float32", 1024))
    zoom = ZoomSegmenter(official, margin=1.6)
    embedding = zoom.encode(np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8), "picture")
    prompts = Prompts(box=Box(300, 200, 360, 260))
    for _ in range(2):
        found = zoom.decode(embedding, prompts)
        assert found.looked_closer
        assert (found.chosen.mask.width, found.chosen.mask.height) == (800, 600)
        x, y, w, h = found.chosen.mask.bbox_xywh
        assert 270 <= x <= x + w <= 390
        assert 170 <= y <= y + h <= 290
    assert len(encodes) == 2, "the image and the piece"
    assert not official.decode(embedding.base, prompts).looked_closer


def test_an_answer_that_stops_short_of_its_box_is_cut_lower_and_corrections_go_on_from_that(
    real: ZoomSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same alone, and together with other questions."""
    image = np.random.default_rng(3).integers(0, 255, (96, 128, 3), np.uint8)
    embedding, box = real.encode(image, "k"), Box(30, 20, 90, 80)
    region = real.named_region(embedding, Prompts(box=box))

    def half_sure(*_: object, **__: object) -> Candidates:
        side = real.info.image_size // 4
        scale = side / region.width
        x0, y0, x1, y1 = (
            round((a - b) * scale) for a, b in zip(box.as_xyxy(), (region.x0, region.y0) * 2, strict=True)
        )
        logits = np.full((side, side), -6.0, np.float32)
        logits[y0:y1, x0:x1] = -0.8
        logits[y0:y1, x0 : (x0 + x1) // 2] = 4.0
        mask = mask_from_logits(logits, width=region.width, height=region.height)
        return Candidates((Candidate(logits, 0.5, 0.5, mask),), 0, 1.0, 1.0)

    pieces = Piecewise(real.base, tidies=True)
    monkeypatch.setattr(real.base, "decode_from", half_sure)
    alone = pieces.decode(embedding, region, Prompts(box=box), None).chosen
    assert alone.mask.bbox_xywh[2] > 50
    assert (alone.logits > 0).sum() > (half_sure().chosen.logits > 0).sum() * 1.5
    monkeypatch.setattr(real.base.together, "decode", lambda *_, **__: [half_sure()])
    (together,) = pieces.decode_together([(embedding, region, Prompts(box=box))], most=4)
    assert together.chosen.mask.rle() == alone.mask.rle()
    clicked = pieces.decode(embedding, region, Prompts((PointPrompt(40, 40),), box), None).chosen
    assert clicked.mask.bbox_xywh[2] < 40, "a click says more than the box: nothing is added"
    untidied = Piecewise(real.base, tidies=False).decode(embedding, region, Prompts(box=box), None).chosen
    assert untidied.mask.bbox_xywh[2] < 40
