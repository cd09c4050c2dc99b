"""The only door into the engine: from a model's name or file to a ``Segmenter``."""

from __future__ import annotations

import os

# Before torch starts its threads: waiting threads must not burn the cores that a labeler's other programs need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import nn

from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import Engine, ModelInfo
from annotator.engine import weights
from annotator.engine.cache import TieredCache
from annotator.engine.sam2.nano import load_nano
from annotator.engine.sam2.precision import in_best_precision
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter

DISK_BYTES = 20 << 30
ZOOM_MARGIN = 1.6
"""For models that were not trained with one of their own."""
TORCH_LOAD_ERRORS = (
    *(OSError, RuntimeError, EOFError, pickle.UnpicklingError, struct.error),
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, OverflowError),
)
"""What ``torch.load`` raises on bytes that are no weights, because it takes any bytes for a program to run."""


def load_segmenter(
    name_or_path: str | None = None,
    *,
    device: str | None = None,
    config: str | None = None,
    dtype: torch.dtype | None = None,
    progress: Callable[[str], None] | None = None,
    zoom: bool | None = None,
) -> Sam2Segmenter | ZoomSegmenter:
    """A ready model.

    Args:
        name_or_path: registry name, or a weights file; None for the best verified model present.
        device: "cpu", "cuda", "mps"; None picks the best there is.
        config: sam2 configuration name, needed for a ``.pt`` file that the registry does not know.
        dtype: None picks bfloat16 where the device has it and its masks agree with float32.
        progress: told in a line what is going on.
        zoom: whether small objects are looked at more closely; None for models that were trained for it.

    Raises:
        ModelError: unknown name, missing or damaged file, no such device.
    """
    say = progress or (lambda _line: None)
    chosen = pick_device(device)
    status, path = _resolve(name_or_path)
    entry = status.entry if status else None
    say(f"Loading {entry.name if entry else path.name} …")
    try:
        digest = weights.sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    found = _read_model(path, config=config, entry=entry)
    model = _to_device(found.model, chosen)
    note = "" if status and status.is_verified else f"{path.name} is not verified"
    if next(model.parameters()).device.type != chosen.type:
        chosen, note = torch.device("cpu"), "The graphics card has too little memory; the processor is used."

    def build(kind: torch.dtype) -> Sam2Segmenter:
        info = ModelInfo(
            name=entry.name if entry else path.stem,
            sha256=digest,
            device=chosen.type,
            dtype=str(kind).removeprefix("torch."),
            image_size=int(model.image_size),  # type: ignore[arg-type]
            is_verified=bool(status and status.is_verified),
            note=note,
            path="" if entry else str(path.absolute()),
            config="" if entry else config or "",
        )
        return Sam2Segmenter(model, info, dtype=kind, dense_prompt=found.dense_prompt)

    segmenter = in_best_precision(build, chosen, dtype, weights_sha256=digest, say=say)
    margin = found.zoom_margin
    if not (margin > 0 if zoom is None else zoom):
        return segmenter
    return ZoomSegmenter(segmenter, margin=margin or ZOOM_MARGIN, tidies=bool(found.dense_prompt))


@dataclass(frozen=True, slots=True, eq=False)
class _ReadModel:
    """A model on the CPU, how its prompts are drawn ("" for not at all), and the margin it was trained with (or 0)."""

    model: nn.Module
    dense_prompt: str
    zoom_margin: float


def _read_model(path: Path, *, config: str | None, entry: weights.ModelEntry | None) -> _ReadModel:
    if path.suffix == ".safetensors":
        model, of_nano, _ = load_nano(path)
        return _ReadModel(model, of_nano.dense_prompt, of_nano.zoom_margin)
    model = load_sam2(path, config=config or (entry.config if entry else ""))
    return _ReadModel(model, entry.dense_prompt if entry else "", 0.0)


def make_engine(
    *,
    model: str | None = None,
    device: str | None = None,
    config: str | None = None,
    progress: Callable[[str], None] | None = None,
    ram_bytes: int = 1 << 30,
    disk_bytes: int | None = DISK_BYTES,
    disk_dir: Path | None = None,
) -> Engine:
    """Segmenter and embedding cache, as the engine thread owns them. ``disk_bytes`` None or 0: no disk tier."""
    segmenter = load_segmenter(model, device=device, config=config, progress=progress)
    folder = None
    if disk_bytes:
        folder = disk_dir or platformdirs.user_cache_path("annotator") / "embeddings"
    cache = TieredCache(ram_bytes=ram_bytes, disk_dir=folder, disk_bytes=disk_bytes or 0, codec=segmenter)
    return Engine(segmenter, cache)


def pick_device(name: str | None) -> torch.device:
    """The named device, or the best of CUDA, MPS and the CPU.

    Raises:
        ModelError: the named device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name is None or name in ("", "auto"):
        return torch.device(next(kind for kind, is_there in available.items() if is_there))
    if not available.get(name, False):
        raise ModelError(f"There is no device {name!r} on this computer.", "Leave --device out, or use cpu.")
    return torch.device(name)


def load_sam2(path: Path, *, config: str) -> nn.Module:
    """An official-layout checkpoint, ``{"model": state_dict}``, in a sam2 configuration; never runs pickled code.

    Raises:
        ModelError: no configuration named, unknown configuration, damaged or unsafe file, or they do not fit.
    """
    if not config:
        raise ModelError(
            f"{path.name} is not in the registry, so its shape is unknown.",
            "Name it: --config configs/sam2.1/sam2.1_hiera_t.yaml (or _s, _b+, _l).",
        )
    try:
        data: Any = torch.load(path, map_location="cpu", weights_only=True)
    except TORCH_LOAD_ERRORS as error:
        raise ModelError(
            f"{path.name} is damaged or not a plain weights file.", "Copy it again from its source."
        ) from error
    state: Any = data.get("model", data) if isinstance(data, dict) else None
    model = build_config(config)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(f"{path.name} does not fit the configuration {config}.", "Name the right one.") from error
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


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A model's file and its sam2 configuration (empty for embedded models, which hold their own)."""

    path: Path
    config: str


def weights_file(name_or_path: str | None, *, config: str | None = None) -> WeightsFile:
    """The file that :func:`load_segmenter` would load.

    Raises:
        ModelError: unknown name, or the file is missing.
    """
    status, path = _resolve(name_or_path)
    return WeightsFile(path, config or (status.entry.config if status else ""))


def _resolve(name_or_path: str | None) -> tuple[weights.ModelStatus | None, Path]:
    if not name_or_path:
        status = weights.default_model()
    elif name_or_path in weights.registry():
        status = weights.status_of(weights.registry()[name_or_path])
        if status.path is None:
            raise ModelError(
                f"The model {name_or_path} is not on this computer.", f"Run: annotator models download {name_or_path}"
            )
        if not status.is_verified:
            raise ModelError(f"{status.path.name}: {status.note}.", "Delete it and download or copy it again.")
    else:
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            known = ", ".join(weights.registry())
            raise ModelError(f"There is no model {name_or_path!r}.", f"Give a file, or one of: {known}.")
        return None, path
    if status.path is None:
        raise ModelError(f"The model {status.name} is not on this computer.")
    return status, status.path


def _to_device(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        return model.to(device)
    except torch.OutOfMemoryError:
        return model.to("cpu")
