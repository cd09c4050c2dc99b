"""Encode, clicks and boxes against the official ``SAM2ImagePredictor`` on the same weights, in turns.

Both do the same work, from RGB bytes to three candidates (or one) with masks at image resolution, in float32 and in
bfloat16 (the official one under autocast, as its authors run it). Only agreement is asserted; times are printed,
because they belong to the machine.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidates, ModelInfo, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine import weights
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.files import build_config
from annotator.engine.sam2.nano import load_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from tests.bench.interleaved import Stopwatch

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

ROUNDS = max(2, int(os.environ.get("BENCH_ROUNDS", "5")))
CLICKS_PER_ROUND = 4
WIDTH, HEIGHT = 1920, 1080
SPOTS = ((700, 500, 1), (760, 560, 1), (1500, 200, 0), (640, 420, 1), (300, 900, 0))
BOX_XYXY = (520.0, 330.0, 900.0, 690.0)


def photograph() -> np.ndarray:
    """A bright, textured ellipse of about 5 % of a darker, noisy ground: 1080 x 1920 x 3."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH, 3))
    inside = ((x - 710) / 180) ** 2 + ((y - 510) / 170) ** 2 < 1
    return np.where(inside[..., None], (200, 160, 60), (60, 80, 90)).astype(np.uint8) + noise.astype(np.uint8)


def official_predictor(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's and torch.jit's own deprecations
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        predictor = SAM2ImagePredictor(model, disable_torch_jit=True)
    side = int(model.image_size)
    predictor._bb_feat_sizes = [(side // level,) * 2 for level in (4, 8, 16)]  # it knows 1024 pixels only
    return predictor


def official_arguments(count: int) -> dict[str, Any]:
    return {
        "point_coords": np.array([spot[:2] for spot in SPOTS[:count]], np.float32),
        "point_labels": np.array([spot[2] for spot in SPOTS[:count]]),
    }


def prompts_of(count: int) -> Prompts:
    return Prompts(tuple(PointPrompt(x, y, bool(sign)) for x, y, sign in SPOTS[:count]))


@dataclass(frozen=True, slots=True)
class Side:
    """One party: ``official`` or ``ours``, in one arithmetic."""

    name: str
    predictor: Any = None
    segmenter: Segmenter | None = None
    is_half: bool = False

    def steps(self, image: np.ndarray) -> Iterator[tuple[str, Callable[[], object]]]:
        """What is timed, in order; each is done before the next is asked for."""
        return self._our_steps(self.segmenter, image) if self.segmenter is not None else self._official_steps(image)

    def _our_steps(self, segmenter: Segmenter, image: np.ndarray) -> Iterator[tuple[str, Callable[[], object]]]:
        embedding = kept(lambda: segmenter.encode(image, "picture"))
        yield "encode", embedding
        first = kept(lambda: segmenter.decode(embedding.value, prompts_of(1)))
        yield "first click", first
        chosen = first.value.chosen
        for _ in range(CLICKS_PER_ROUND):
            yield "same click again", lambda: segmenter.decode(embedding.value, prompts_of(1))
            yield "fifth click", lambda: segmenter.decode(embedding.value, prompts_of(5), continue_from=chosen)
            yield "box", lambda: segmenter.decode(embedding.value, Prompts(box=Box(*BOX_XYXY)))

    def _official_steps(self, image: np.ndarray) -> Iterator[tuple[str, Callable[[], object]]]:
        predict, once = self._half(self.predictor.predict), official_arguments(1)
        yield "encode", lambda: self._half(self.predictor.set_image)(image)
        first = kept(lambda: predict(**once, multimask_output=True))
        yield "first click", first
        low = first.value[2][:1]
        later, box = official_arguments(5), np.array(BOX_XYXY)
        for _ in range(CLICKS_PER_ROUND):
            yield "same click again", lambda: predict(**once, multimask_output=True)
            yield "fifth click", lambda: predict(**later, mask_input=low, multimask_output=False)
            yield "box", lambda: predict(box=box, multimask_output=False)

    def _half(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """As its authors run it: under autocast where bfloat16 is wanted."""

        def run(*words: Any, **options: Any) -> Any:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.is_half):
                return work(*words, **options)

        return run


class kept:  # noqa: N801 - reads as a verb: a call that keeps what came of it
    """A call that can be timed and asked for its value afterwards."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work, self.value = work, None

    def __call__(self) -> None:
        self.value: Any = self._work()


def compare(sides: Sequence[Side]) -> Stopwatch:
    """``ROUNDS`` rounds of encode, first click, later clicks (with the logits of before) and boxes, in turns."""
    image, watch = photograph(), Stopwatch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(ROUNDS + 1):
            into = Stopwatch() if number == 0 else watch  # the first round also makes what is made once
            for step in zip(*(side.steps(image) for side in sides), strict=True):
                for side, (name, work) in zip(sides, step, strict=True):
                    into.time(name, side.name, work)
    return watch


class Drawn:
    """A fast decoder that does its work and then answers with drawn logits."""

    def __init__(self, fast: Any) -> None:
        self._fast, self.prepare = fast, fast.prepare

    def decode(self, *words: Any, **options: Any) -> Any:
        output = self._fast.decode(*words, **options)

        def masks(first: int, last: int) -> torch.Tensor:
            output.masks(first, last)
            return drawn_logits()[:, first:last]

        return replace(output, masks=masks)


@cache
def drawn_logits() -> torch.Tensor:
    """1 x 4 x 256 x 256: the object as a trained model would answer, for the four mask tokens."""
    y, x = np.mgrid[:256, :256] + 0.5
    distance = np.hypot((x * WIDTH / 256 - 710) / 180, (y * HEIGHT / 256 - 510) / 170)
    sizes = np.array([1.0, 0.5, 1.0, 1.8])[:, None, None]
    return torch.from_numpy(((sizes - distance) * 20).astype(np.float32).clip(-20, 20))[None]


def draw(model: Any, segmenters: Sequence[Any]) -> None:
    """Random weights answer with noise, whose outline is everywhere, so that cutting masks would be all that is timed.
    From here on everybody's logits are replaced by an object's after they were computed."""
    for segmenter in segmenters:
        segmenter.decoder.fast = Drawn(segmenter.decoder.fast)

    def answer(_module: Any, _inputs: Any, output: Any) -> Any:
        logits = drawn_logits()
        return (logits[:, 1:] if output[0].shape[1] == 3 else logits[:, :1], *output[1:])

    model.sam_mask_decoder.register_forward_hook(answer)


def ours(model: Any, kind: torch.dtype, *, dense_prompt: str = "") -> Segmenter:
    info = ModelInfo("bench", "0" * 64, "cpu", str(kind).removeprefix("torch."), int(model.image_size))
    return Sam2Segmenter(model, info, dtype=kind, dense_prompt=dense_prompt)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_sam2_against_the_official_predictor(size: str) -> None:
    """SAM 2.1's configurations at 1024 pixels; random weights take as long as trained ones."""
    torch.manual_seed(1)
    model = build_config(f"configs/sam2.1/sam2.1_hiera_{size[0]}.yaml")
    single, half = ours(model, torch.float32), ours(model, torch.bfloat16)
    predictor = official_predictor(model)
    predictor.set_image(photograph())
    masks, _, _ = predictor.predict(**official_arguments(1), multimask_output=True)
    found = single.decode(single.encode(photograph(), "picture"), prompts_of(1))
    assert best_overlap(found, masks) > 0.999
    draw(model, (single, half))
    watch = compare(
        [
            Side("official fp32", predictor=predictor),
            Side("fp32", segmenter=single),
            Side("official bf16", predictor=official_predictor(model), is_half=True),
            Side("bf16", segmenter=half),
        ]
    )
    title = f"SAM 2.1 {size}, {WIDTH} x {HEIGHT}, threads: {torch.get_num_threads()}"
    pairs = (("official fp32", "fp32"), ("official bf16", "bf16"), ("official fp32", "bf16"))
    print(watch.table(title, pairs))


def test_nano_against_the_official_predictor() -> None:
    """The embedded model as the program runs it (its own precision, zoom and drawn clicks), and plain in float32."""
    status = weights.status_of(weights.registry()["nano"])
    assert status.path is not None
    model, config, _ = load_nano(status.path)
    as_run = load_segmenter("nano", device="cpu")
    name = f"as run ({as_run.info.dtype})"
    watch = compare(
        [
            Side("official fp32", predictor=official_predictor(model)),
            Side("fp32, no zoom", segmenter=ours(model, torch.float32, dense_prompt=config.dense_prompt)),
            Side(name, segmenter=as_run),
        ]
    )
    assert len(as_run.decode(as_run.encode(photograph(), "picture"), prompts_of(1)).items) == 3
    pairs = (("official fp32", "fp32, no zoom"), ("official fp32", name))
    print(watch.table(f"{status.path.stem}, {WIDTH} x {HEIGHT}, threads: {torch.get_num_threads()}", pairs))


def best_overlap(found: Candidates, masks: np.ndarray) -> float:
    """The worst of the official masks' best IoU with ours."""
    return min(max(c.mask.iou(Mask.from_full(mask > 0)) for c in found.items) for mask in masks)


@pytest.mark.parametrize("share", [0.05, 0.25])
def test_mask_upsampling_at_4000_x_3000(share: float) -> None:
    """One chosen mask from its logits: the official whole-image way against the outline's cells only."""
    width, height, side = 4000, 3000, 256
    y, x = np.mgrid[:side, :side].astype(np.float32)
    radius = side * np.sqrt(share / np.pi)
    logits = ((radius - np.hypot(x - 120, y - 130)) * 0.8).astype(np.float32).clip(-32, 32)
    tensor, watch = torch.from_numpy(logits)[None, None], Stopwatch()

    def whole(count: int) -> np.ndarray:
        big = torch.nn.functional.interpolate(
            tensor.expand(1, count, -1, -1), (height, width), mode="bilinear", align_corners=False
        )
        result: np.ndarray = (big > 0)[0].numpy()
        return result

    def three_outlines() -> list[Mask]:
        return [mask_from_logits(logits, width=width, height=height) for _ in range(3)]

    assert np.array_equal(mask_from_logits(logits, width=width, height=height).full(), whole(1)[0])
    for _ in range(ROUNDS * 3):
        watch.time("one mask", "official", lambda: whole(1))
        watch.time("one mask", "ours", lambda: mask_from_logits(logits, width=width, height=height))
        watch.time("three candidates", "official", lambda: whole(3))
        watch.time("three candidates", "ours", three_outlines)
    print(watch.table(f"Logits to mask at {width} x {height}, object of {share:.0%}"))
