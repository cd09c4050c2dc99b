"""Several images in one call of the model: the answers are those of one image after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sam2.build_sam import build_sam2

from annotator.domain.answering.asking import ask_steps, proposals_of, steps_of
from annotator.domain.answering.everything import EverythingSettings
from annotator.domain.errors import DeviceMemoryError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidates, Embedding, RgbArray
from annotator.domain.ports.together import Asked, TakesSeveral
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.at_once import MOST_AT_ONCE, AtOnce, at_once
from annotator.engine.sam2.adapted_decoder import Adapter
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from tests.small_base import BASE, SMALL
from tests.strict_card import strict_card
from tests.unit.engine.test_prompt_adapter import info_for, trained

ATOL = 2e-4
"""Of logits: products are summed in another order."""
DIFFERENT_SHARE = 1e-3
"""Of a mask's pixels: where the logit is zero to rounding, its sign is an accident."""


def nano(**more: Any) -> Sam2Segmenter:
    torch.manual_seed(0)
    return Sam2Segmenter(build_nano(SMALL).eval(), BASE, dense_prompt="stamps-2", **more)


def official() -> Sam2Segmenter:
    """SAM 2.1 tiny, whole, with random weights and a smaller picture."""
    torch.manual_seed(0)
    small = ["++model.image_size=256"]
    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", None, "cpu", "eval", small, apply_postprocessing=False)
    return Sam2Segmenter(model, replace(BASE, name="tiny", image_size=256))


def adapted() -> Sam2Segmenter:
    engine = nano()
    network = trained(PromptAdapter.on(engine.model, AdapterConfig(SMALL.channels)))
    engine.set_adapter(Adapter(network, info_for(network, BASE)))
    return engine


def zooming() -> ZoomSegmenter:
    return ZoomSegmenter(nano(), margin=1.6, tidies=True)


@pytest.fixture(scope="module", params=["nano", "tiny", "adapted", "official decoder", "zooming"])
def engine(request: pytest.FixtureRequest) -> Any:
    kinds: dict[str, Callable[[], Any]] = {
        "nano": nano,
        "tiny": official,
        "adapted": adapted,
        "official decoder": partial(nano, use_fast_decoder=False),
        "zooming": zooming,
    }
    return kinds[request.param]()


def picture(number: int) -> RgbArray:
    """Each of a size of its own."""
    image = np.random.default_rng(number).integers(0, 80, (75 + number, 110 - 9 * number, 3), dtype=np.uint8)
    image[20:50, 30:60] += 120
    return image


PICTURES = [(picture(number), f"p{number}") for number in range(3)]


def asked_of(embeddings: Sequence[Embedding]) -> list[Asked]:
    """Boxes, clicks, a box and clicks after it, masks; several of an image, in no order."""
    first, second, third = embeddings
    click, other = PointPrompt(40, 30), PointPrompt(10, 60, is_positive=False)

    def mask(of: Embedding, left: int) -> Mask:
        bits = np.zeros((of.height, of.width), bool)
        bits[25:45, left : left + 20] = True
        return Mask.from_full(bits)

    return [
        Asked(first, steps_of((), Box(28, 18, 62, 52))),
        Asked(second, steps_of((click,), None)),
        Asked(third, steps_of((click, other), None)),
        Asked(second, steps_of((), Box(5, 5, 20, 18))),
        Asked(first, steps_of((), Box(60, 40, 100, 70))),
        Asked(second, steps_of((click,), Box(28, 18, 62, 52))),
        Asked(second, (Prompts(base_mask=mask(second, 30)),)),
        Asked(first, (Prompts(base_mask=mask(first, 60)),)),
        Asked(third, steps_of((), Box(28, 18, 62, 52))),
        Asked(third, steps_of((click,), Box(28, 18, 62, 52))),
    ]


def assert_same(found: Candidates, alone: Candidates) -> None:
    assert [c.label for c in found.items] == [c.label for c in alone.items]
    assert found.looked_closer == alone.looked_closer
    assert (found.chosen.uncertainty is None) == (alone.chosen.uncertainty is None)
    for one, other in zip(found.items, alone.items, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=ATOL)
        assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=ATOL)
        assert one.logits_box == other.logits_box
        size = one.mask.width * one.mask.height
        assert int((one.mask.full() != other.mask.full()).sum()) <= size * DIFFERENT_SHARE


def test_questions_about_several_images_are_answered_as_one_by_one(engine: Any) -> None:
    assert isinstance(engine, TakesSeveral)
    together = engine.together.decode(asked_of(engine.together.encode(PICTURES)), most=3)
    alone = asked_of([engine.encode(image, key) for image, key in PICTURES])
    for found, one in zip(together, alone, strict=True):
        assert_same(found, ask_steps(engine, one.embedding, one.steps))


def test_everything_of_several_images_is_what_each_has_alone() -> None:
    loose = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "points_per_side": 4}
    zoomed = replace(zooming().everything_settings, crop_n_layers=1, **loose)  # type: ignore[arg-type]
    for engine, settings in ((nano(), EverythingSettings(**loose)), (zooming(), zoomed)):  # type: ignore[arg-type]
        embeddings = engine.together.encode(PICTURES)
        work = [(e, image) for e, (image, _) in zip(embeddings, PICTURES, strict=True)]
        together = engine.together.everything(work, settings, most=2)
        alone = [proposals_of(engine.everything(engine.encode(i, key), i, settings)) for i, key in PICTURES]
        assert [len(found) for found in together] == [len(found) for found in alone]
        assert sum(map(len, alone)) >= len(PICTURES)
        for one, other in zip(sum(together, ()), sum(alone, ()), strict=True):
            assert one.point_xy == other.point_xy
            assert one.mask.iou(other.mask) > 0.99


def counting(engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass of the encoder had."""
    passes: list[int] = []
    real = engine.model.forward_image

    def forward(images: torch.Tensor) -> Any:
        passes.append(len(images))
        return real(images)

    monkeypatch.setattr(engine.model, "forward_image", forward)
    return passes


def test_pieces_of_all_images_go_through_the_encoder_together(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = zooming()
    passes = counting(engine.base, monkeypatch)
    embeddings = engine.together.encode(PICTURES)
    small = [Asked(e, steps_of((), Box(5 + n, 5, 20 + n, 18))) for e in embeddings for n in range(3)]
    engine.together.decode(small, most=4)
    crops = sum(len(e.crops) for e in embeddings)  # type: ignore[attr-defined]
    assert 0 < crops < len(small) + 1
    assert passes[0] == 3
    assert sum(passes[1:]) == crops
    assert len(passes) - 1 == -(-crops // 4), "no pass has fewer than it could"


def test_what_asks_nothing_is_refused(engine: Any) -> None:
    (embedding,) = engine.together.encode(PICTURES[:1])
    with pytest.raises(PromptError):
        engine.together.decode([Asked(embedding, (Prompts(),))], most=4)
    assert engine.together.encode([]) == []
    assert engine.together.decode([], most=4) == []


class SomeMemory:
    """Of which an image takes 100 bytes."""

    def __init__(self, free: int, taken: int = 100) -> None:
        self._free, self._taken, self.given_back = free, taken, 0

    def start(self) -> None: ...
    def taken_bytes(self) -> int:
        return self._taken

    def free_bytes(self) -> int:
        return self._free

    def give_back(self) -> None:
        self.given_back += 1


@pytest.mark.parametrize(("free", "size"), [(1000, 7), (50, 1), (10**9, MOST_AT_ONCE)])
def test_memory_says_how_many(free: int, size: int) -> None:
    said: list[str] = []
    on_card = nano()
    on_card._info = replace(BASE, device="cuda")
    number = AtOnce(on_card, None, SomeMemory(free), said.append)
    assert (number.size, number.is_known) == (1, False)
    assert number.measured(lambda: "answer") == "answer"
    assert (number.size, number.is_known) == (size, True)
    assert len(said) == (size > 1)
    on_card._info = BASE  # it has left the card since
    assert number.size == 1


def test_an_image_that_took_nothing_says_nothing() -> None:
    number = AtOnce(nano(), None, SomeMemory(1000, taken=0), print)
    number.measured(lambda: None)
    assert not number.is_known


def test_no_room_halves_what_was_asked() -> None:
    said: list[str] = []
    memory = SomeMemory(1000)
    number = AtOnce(nano(), 16, memory, said.append)

    def refuse() -> str:
        raise DeviceMemoryError("There is not enough memory for this.", "")

    assert number.together(refuse, 6) is None  # the last ones of a folder were fewer than could be
    assert (number.size, memory.given_back) == (3, 1)
    assert "6 images at once need more memory than there is; 3 from here on" in said[0].replace("\u202f", " ")
    assert number.together(lambda: "answer", 3) == "answer"
    assert number.size == 3


def test_one_after_the_other_where_nothing_is_gained() -> None:
    assert at_once(nano(), None, print) is None  # a processor
    assert at_once(nano(), 1, print) is None
    wanted = at_once(nano(), 5, print)
    assert wanted is not None
    assert wanted.size == 5


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    with strict_card(monkeypatch) as device:
        yield device


def test_a_full_card_is_kept_for_fewer_images(card: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    engine = Sam2Segmenter(build_nano(SMALL).eval().to(card), replace(BASE, device="cuda"), dense_prompt="stamps-2")
    real = engine.model.forward_image

    def forward(images: torch.Tensor) -> Any:
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        return real(images)

    monkeypatch.setattr(engine.model, "forward_image", forward)
    emptied: list[int] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    number = at_once(engine, 2, print)
    assert number is not None
    assert number.together(lambda: engine.together.encode(PICTURES[:2]), 2) is None
    assert (engine.info.device, number.size, len(emptied)) == ("cuda", 1, 1)
    (embedding,) = engine.together.encode(PICTURES[:1])
    box = Box(28, 18, 62, 52)
    (found,) = engine.together.decode([Asked(embedding, steps_of((), box))], most=1)
    here = nano()
    assert_same(found, here.decode(here.encode(*PICTURES[0]), Prompts(box=box)))


def test_the_memory_of_a_card_is_counted_with_what_torch_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from annotator.engine.devices import DeviceMemory

    allocated = iter([1000, 1200])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: next(allocated))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: 5000)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 6000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (70_000, 80_000))
    memory = DeviceMemory(torch.device("cuda"))
    memory.start()
    assert memory.taken_bytes() == 4000
    assert memory.free_bytes() == 70_000 + 6000 - 1200
    nothing = DeviceMemory(torch.device("cpu"))
    nothing.start()
    assert (nothing.taken_bytes(), nothing.free_bytes()) == (0, 0)
