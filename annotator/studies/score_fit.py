"""Teaches the object score to say no: only its head is trained, masks and predicted IoU stay to the bit.

Training knows prompts on objects alone. Here half of the prompts are boxes and clicks where nothing is annotated:

    python -m annotator.studies.score_fit --model nano-2.safetensors --out nano-2s.safetensors \\
        --check DEV... -- TRAIN...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from annotator.engine.sam2.nano import NanoConfig, load_nano, save_nano
from annotator.train.base import MEAN, STD
from annotator.train.data.windows import Window, WindowSampler, read_coco_sets
from annotator.train.steps.decoding import decode_prompts, encode_windows
from annotator.train.steps.precision import mixed_precision
from annotator.train.steps.prompts import NOTHING, Point, click_inside, noisy_box

CELL_PX = 2.0
MANY_OBJECTS = 64
"""All of a window's objects are needed to know where none is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt (two points: a box, or a click and nothing) and whether an object is there."""

    prompt: tuple[Point, Point]
    is_object: bool


def prompts_of(window: Window, rng: np.random.Generator) -> list[Asked]:
    """Up to two prompts on objects and two beside all of them."""
    half = window.targets[:, 1::2, 1::2].astype(bool)
    anything = np.asarray(half.any(axis=0))
    found = []
    for index in rng.permutation(len(half))[:2]:
        if half[index].any():
            if rng.random() < 0.5:
                found.append(Asked(noisy_box(half[index], rng, cell_px=CELL_PX), True))
            else:
                found.append(Asked((click_inside(half[index], 1, rng, cell_px=CELL_PX), NOTHING), True))
    for _ in range(2):
        prompt = _empty_box(anything, rng) if rng.random() < 0.5 else _empty_click(anything, rng)
        if prompt is not None:
            found.append(Asked(prompt, False))
    return found


def _empty_box(anything: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[Point, Point] | None:
    side = anything.shape[0]
    for _ in range(10):
        w, h = (int(max(4, side * np.exp(rng.uniform(np.log(0.08), np.log(0.6))))) for _ in range(2))
        x, y = int(rng.integers(0, max(1, side - w))), int(rng.integers(0, max(1, side - h)))
        if not anything[y : y + h, x : x + w].any():
            corners = np.array([x, y, x + w, y + h]) * CELL_PX
            return (float(corners[0]), float(corners[1]), 2), (float(corners[2]), float(corners[3]), 3)
    return None


def _empty_click(anything: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[Point, Point] | None:
    far = ~cv2.dilate(anything.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    choices = np.flatnonzero(far)
    if choices.size == 0:
        return None
    row, column = divmod(int(choices[rng.integers(choices.size)]), far.shape[1])
    return ((column + 0.5) * CELL_PX, (row + 0.5) * CELL_PX, 1), NOTHING


def scores_of(model: Any, config: NanoConfig, windows: Sequence[Window], asked: Sequence[Sequence[Asked]]) -> Tensor:
    """The object score's logit for every prompt of every window, in order."""
    image = torch.from_numpy(np.stack([w.image for w in windows])).permute(0, 3, 1, 2)
    owner = torch.tensor([i for i, prompts in enumerate(asked) for _ in prompts])
    normal = (image - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with mixed_precision(torch.device("cpu")):
        features = encode_windows(model, normal)
        points = [list(a.prompt) for prompts in asked for a in prompts]
        thumbnail = F.avg_pool2d(image, 4)[owner]
        _, _, score = decode_prompts(model, config, [f[owner] for f in features], points, thumbnail, None)
    return score[:, 0]


def fit_score(
    model: Any, config: NanoConfig, sampler: WindowSampler, *, steps: int, batch: int, learning_rate: float, seed: int
) -> None:
    """Train the head in place; everything else is frozen."""
    model.requires_grad_(False)
    head = model.sam_mask_decoder.pred_obj_score_head
    head.requires_grad_(True)
    optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate)
    weights, rng = sampler.set_weights({}), np.random.default_rng(seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        windows, asked = _draw(sampler, weights, rng, batch)
        truth = torch.tensor([float(a.is_object) for prompts in asked for a in prompts])
        loss = F.binary_cross_entropy_with_logits(scores_of(model, config, windows, asked), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    model.requires_grad_(True)


def judge(
    model: Any, config: NanoConfig, sampler: WindowSampler, *, windows: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Scores (logits) and truths of prompts on and beside objects."""
    weights, rng = sampler.set_weights({}), np.random.default_rng(seed)
    scores: list[float] = []
    truths: list[bool] = []
    with torch.inference_mode():
        for _ in range(0, windows, 8):
            drawn, asked = _draw(sampler, weights, rng, 8)
            scores += scores_of(model, config, drawn, asked).tolist()
            truths += [a.is_object for prompts in asked for a in prompts]
    return np.array(scores), np.array(truths)


def area_under_curve(scores: npt.NDArray[np.float64], truths: npt.NDArray[np.bool_]) -> float:
    """The chance that a prompt on an object scores higher than one beside all (ties count half)."""
    yes, no = scores[truths], scores[~truths]
    if yes.size == 0 or no.size == 0:
        raise ValueError("both kinds of prompts are needed")
    return float(((yes[:, None] > no[None]) + 0.5 * (yes[:, None] == no[None])).mean())


def _draw(
    sampler: WindowSampler, weights: npt.NDArray[np.float64], rng: np.random.Generator, count: int
) -> tuple[list[Window], list[list[Asked]]]:
    pairs: list[tuple[Window, list[Asked]]] = []
    while len(pairs) < count:
        window = sampler.draw(rng, weights)
        if asked := prompts_of(window, rng):
            pairs.append((window, asked))
    return [w for w, _ in pairs], [a for _, a in pairs]


def main(argv: Sequence[str] | None = None) -> int:
    """Train the head on sets, say what it is worth on others, write the weights."""
    parser = argparse.ArgumentParser(description="teach the object score to say no")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--check", nargs="+", type=Path, required=True, help="sets to judge on")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    model, config, metadata = load_nano(args.model)
    samplers = [
        WindowSampler(read_coco_sets(roots), window_px=config.image_size, objects=MANY_OBJECTS)
        for roots in (args.sets, args.check)
    ]
    for stage in ("before", "after"):
        scores, truths = judge(model, config, samplers[1], windows=160, seed=args.seed + 1)
        print(
            f"{stage}: area under the curve {area_under_curve(scores, truths):.3f}; at 0 it says yes to "
            f"{(scores[truths] > 0).mean():.0%} of {truths.sum()} objects and {(scores[~truths] > 0).mean():.0%} of "
            f"{(~truths).sum()} empty places"
        )
        if stage == "before":
            fit_score(model, config, samplers[0], steps=args.steps, batch=8, learning_rate=3e-3, seed=args.seed)
    save_nano(model, args.out, config=config, metadata={**metadata, "score_steps": str(args.steps)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
