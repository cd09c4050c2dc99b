"""Validation of a model in training: the same objects and prompts every time, with the engine that people use."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from annotator.domain.ports.engine import ModelInfo
from annotator.engine.sam2.nano import NanoConfig
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from annotator.evaluate.objects import EvaluationSet, read_evaluation_set
from annotator.evaluate.run import evaluate_set
from annotator.train.data.windows import images_dir

CLICKS = 3


class Validation:
    """Calls with a model give mean IoU over the sets: from the box, after one and three clicks, and their mean.

    Args:
        roots: sets, ``ROOT/annotations.json`` + images.
        per_set: objects of each, always the same.
    """

    def __init__(self, roots: list[Path], *, per_set: int, seed: int = 0) -> None:
        self._roots, self._per_set, self._seed = roots, per_set, seed
        self._sets: dict[Path, EvaluationSet] = {}

    def check(self) -> None:
        """See that the sets can be read, before a training has lasted for minutes.

        Raises:
            ImportFormatError: one cannot.
        """
        for root in self._roots:
            self._set(root)

    def __call__(self, model: nn.Module, config: NanoConfig) -> Mapping[str, float]:
        """Figures in 0..1 by name: "box", "click_1", "click_3", "mean" and the box IoU of every set.

        Raises:
            ImportFormatError: a set cannot be used. ImageError: an image cannot be read.
        """
        device = next(model.parameters()).device
        info = ModelInfo("nano in training", "0" * 64, device.type, "float32", config.image_size)
        # A copy: the engine hooks the encoder's blocks, and the averaged weights go on changing.
        base = Sam2Segmenter(copy.deepcopy(model).eval(), info, dense_prompt=config.dense_prompt)
        segmenter = ZoomSegmenter(base, margin=config.zoom_margin, tidies=True) if config.zoom_margin else base
        box, first, third = {}, [], []
        with torch.inference_mode():
            for root in self._roots:
                whole = self._set(root)
                result = evaluate_set(segmenter, whole, clicks=CLICKS, max_objects=self._per_set, seed=self._seed)
                box[root.name] = result.box_miou
                first.append(result.miou["1"])
                third.append(result.miou["3"])
        means = {
            "box": sum(box.values()) / len(box),
            "click_1": sum(first) / len(first),
            "click_3": sum(third) / len(third),
        }
        return {"mean": sum(means.values()) / 3, **means, **{f"box_{name}": value for name, value in box.items()}}

    def _set(self, root: Path) -> EvaluationSet:
        """Read once: every object of a set is looked at, and a training validates many times."""
        if root not in self._sets:
            self._sets[root] = read_evaluation_set(root / "annotations.json", images_dir(root))
        return self._sets[root]
