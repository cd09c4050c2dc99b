"""The engine against the official predictor: same random weights, same prompts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.geometry import Box
from annotator.domain.logits import mask_from_logits
from annotator.domain.ports import Candidates, ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.load import build_config
from annotator.engine.sam2_backend import Sam2Segmenter

CONFIGS = [
    "configs/sam2.1/sam2.1_hiera_t.yaml",
    pytest.param("configs/sam2.1/sam2.1_hiera_s.yaml", marks=pytest.mark.slow),
    pytest.param("configs/sam2.1/sam2.1_hiera_b+.yaml", marks=pytest.mark.slow),
    pytest.param("configs/sam2.1/sam2.1_hiera_l.yaml", marks=pytest.mark.slow),
]
SIZES = [(97, 211), (480, 640), (60, 1)]


def info() -> ModelInfo:
    return ModelInfo("random", "0" * 64, "cpu", "float32", 1024)


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(1)
    return build_config(request.param)


def official_predictor(model: Any, image: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's and torch.jit's own deprecations
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        predictor = SAM2ImagePredictor(model, disable_torch_jit=True)
        predictor.set_image(image)
        return predictor


def prompt_cases(width: int, height: int) -> list[tuple[Prompts, dict[str, Any]]]:
    a, b = (width * 0.3, height * 0.4), (width * 0.8, height * 0.7)
    box = (width * 0.1, height * 0.2, width * 0.9, height * 0.8)
    one = {"point_coords": np.array([a]), "point_labels": np.array([1])}
    two = {"point_coords": np.array([a, b]), "point_labels": np.array([1, 0])}
    first, second = PointPrompt(*a, True), PointPrompt(*b, False)
    return [
        (Prompts((first,)), {**one, "multimask_output": True}),
        (Prompts((first, second)), {**two, "multimask_output": False}),
        (Prompts(box=Box(*box)), {"box": np.array(box), "multimask_output": False}),
        (Prompts((first, second), Box(*box)), {**two, "box": np.array(box), "multimask_output": False}),
    ]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_logits_and_masks_are_the_official_ones(model: torch.nn.Module, height: int, width: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    predictor = official_predictor(model, image)
    fast = Sam2Segmenter(model, info())
    embedding = fast.encode(image, "image")
    assert (embedding.width, embedding.height) == (width, height)
    for engine in (fast, Sam2Segmenter(model, info(), use_fast_decoder=False)):
        for prompts, arguments in prompt_cases(width, height):
            check_case(engine.decode(embedding, prompts), predictor.predict(**arguments), width, height)


def check_case(ours: Candidates, official: tuple[np.ndarray, np.ndarray, np.ndarray], width: int, height: int) -> None:
    masks, iou, low = official
    assert len(ours.items) == len(low)
    for logits, mask, score in zip(low, masks, iou, strict=True):
        match = min(ours.items, key=lambda c: float(np.abs(c.logits - logits).max()))
        assert float(np.abs(match.logits - logits).max()) <= 1e-4
        assert match.predicted_iou == pytest.approx(float(score), abs=1e-4)
        # A logit of zero to rounding has a sign by chance, so the thresholding is compared on the official logits.
        same = mask_from_logits(logits, width=width, height=height).full()
        assert int(np.count_nonzero(same != mask.astype(bool))) <= 1
        assert float(np.mean(match.mask.full() != mask.astype(bool))) <= 1e-3


def test_mask_prompt_and_previous_logits_match(model: torch.nn.Module) -> None:
    image = np.random.default_rng(3).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    engine = Sam2Segmenter(model, info())
    embedding = engine.encode(image, "image")
    previous = np.random.default_rng(4).normal(0, 4, (256, 256)).astype(np.float32)
    first, second = PointPrompt(30.0, 40.0), PointPrompt(60.0, 80.0, False)
    ours = engine.decode(embedding, Prompts((first, second)), previous_logits=previous)
    _, _, low = official_predictor(model, image).predict(
        point_coords=np.array([[30.0, 40.0], [60.0, 80.0]]),
        point_labels=np.array([1, 0]),
        mask_input=previous[None],
        multimask_output=False,
    )
    assert float(np.abs(ours.chosen.logits - low[0]).max()) <= 1e-4
