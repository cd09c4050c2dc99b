"""Weights files of SAM 2's layout, official and our own, and the segmenters that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from annotator.domain.answering.calibration_text import CALIBRATION_KEY, read_calibration
from annotator.domain.answering.hypotheses import USUAL, Calibration
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo, Segmenter
from annotator.engine import weights
from annotator.engine.devices import pick_device
from annotator.engine.precision import in_best_precision
from annotator.engine.registry import ModelSource
from annotator.engine.sam2.nano import load_nano
from annotator.engine.sam2.rating_tensors import read_rating_network
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.torch_files import read_object
from annotator.engine.weight_claims import check_checkpoint
from annotator.engine.zoom.segmenter import ZoomSegmenter

ZOOM_MARGIN = 1.6
"""For models that were not trained with one of their own."""


def load_embedded(source: ModelSource) -> Segmenter:
    """A model of our own small architecture, which describes itself.

    Raises:
        ModelError: a damaged file, no such device.
    """
    path = _path(source)
    model, config, metadata = load_nano(path)
    try:
        calibration = read_calibration(metadata.get(CALIBRATION_KEY, ""))
    except ValueError as error:
        raise ModelError(
            f"{brief(path.name)} does not hold the model it names.", "Copy it again from its source."
        ) from error
    calibration = replace(calibration, network=read_rating_network(path, metadata))
    return _segmenter(source, _ReadModel(model, config.dense_prompt, config.zoom_margin, calibration))


def load_official(source: ModelSource) -> Segmenter:
    """A checkpoint of SAM 2's authors.

    Raises:
        ModelError: no configuration named, a damaged or unsafe file, or no such device.
    """
    entry = source.entry
    model = load_sam2(_path(source), config=source.config or (entry.config if entry else ""))
    return _segmenter(source, _ReadModel(model, entry.dense_prompt if entry else "", 0.0))


def load_sam2(path: Path, *, config: str) -> nn.Module:
    """An official-layout checkpoint, ``{"model": state_dict}``, in a sam2 configuration; never runs pickled code.

    Raises:
        ModelError: no configuration named, unknown configuration, damaged or unsafe file, or they do not fit.
    """
    if not config:
        raise ModelError(
            f"{brief(path.name)} is not in the registry, so its shape is unknown.",
            "Name it: --config configs/sam2.1/sam2.1_hiera_t.yaml (or _s, _b+, _l).",
        )
    check_checkpoint(path)
    data = read_object(path)
    state: Any = data.get("model", data) if isinstance(data, dict) else None
    model = build_config(config)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{brief(path.name)} does not fit the configuration {config}.", "Name the right one."
        ) from error
    return model


def build_config(config: str) -> nn.Module:
    """A sam2 configuration with random weights, eval mode, on the CPU.

    Raises:
        ModelError: sam2 has no such configuration.
    """
    from hydra.errors import HydraException
    from sam2.build_sam import build_sam2

    try:
        model: nn.Module = build_sam2(config, ckpt_path=None, device="cpu", mode="eval")
    except HydraException as error:
        raise ModelError(
            f"sam2 has no configuration {config!r}.", "Use e.g. configs/sam2.1/sam2.1_hiera_t.yaml."
        ) from error
    return model


@dataclass(frozen=True, slots=True, eq=False)
class _ReadModel:
    """A model on the CPU, how its prompts are drawn ("" for not at all), the margin it was trained with (or 0), and how
    its answers are rated."""

    model: nn.Module
    dense_prompt: str
    zoom_margin: float
    calibration: Calibration = USUAL


def _path(source: ModelSource) -> Path:
    if source.path is None:
        raise ModelError(f"The model {brief(source.name)} is not on this computer.")
    return source.path


def _segmenter(source: ModelSource, found: _ReadModel) -> Segmenter:
    path, entry = _path(source), source.entry
    chosen = pick_device(source.device)
    try:
        digest = weights.sha256_of(path)
    except OSError as error:
        raise ModelError(f"{brief(path)} cannot be read: {error.strerror}.", "Check its permissions.") from error
    model = _to_device(found.model, chosen)
    note = "" if source.is_verified else f"{brief(path.name)} is not verified"
    if next(model.parameters()).device.type != chosen.type:
        chosen, note = torch.device("cpu"), "The graphics card has too little memory; the processor is used."

    def build(kind: torch.dtype) -> Sam2Segmenter:
        info = ModelInfo(
            name=source.name,
            sha256=digest,
            device=chosen.type,
            dtype=str(kind).removeprefix("torch."),
            image_size=int(model.image_size),  # type: ignore[arg-type]
            is_verified=source.is_verified,
            note=note,
            path="" if entry else str(path.absolute()),
            config="" if entry else source.config,
        )
        return Sam2Segmenter(model, info, dtype=kind, dense_prompt=found.dense_prompt)

    segmenter = in_best_precision(build, chosen, source.dtype, weights_sha256=digest, say=source.say)
    margin = found.zoom_margin
    if not (margin > 0 if source.zoom is None else source.zoom):
        return segmenter
    return ZoomSegmenter(
        segmenter, margin=margin or ZOOM_MARGIN, tidies=bool(found.dense_prompt), calibration=found.calibration
    )


def _to_device(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        return model.to(device)
    except torch.OutOfMemoryError:
        return model.to("cpu")
