"""Which arithmetic a model runs in: bfloat16 where it is faster and gives the same masks, else float32.

On a processor this cannot be known beforehand: bfloat16 multiplication is two to four times faster on some and emulated
on others, and a model's masks bear its rounding or do not. So both are tried once on a drawn picture, and what came of
it is remembered for these weights, this torch and this processor.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidates, RgbArray, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.files.atomic import write_atomic
from annotator.files.places import cache_dir
from annotator.files.private import make_private_folder

MIN_IOU = 0.99
MIN_SPEEDUP = 1.1
"""Below this the difference is noise, and float32 is the safer of two equals."""
ENOUGH_MS = 1000.0
"""Small models are timed in several rounds, large ones in one."""
MOST_ROUNDS = 5
_KEPT = 200
_VERSION = 1
_log = logging.getLogger(__name__)

_Model = TypeVar("_Model", bound=Segmenter)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the two arithmetics did on the drawn picture.

    Attributes:
        iou: the worst IoU of a bfloat16 mask with the float32 one of the same prompts.
        float32_ms, bfloat16_ms: the fastest encode and decodes of each.
    """

    iou: float
    float32_ms: float
    bfloat16_ms: float

    @property
    def speedup(self) -> float:
        return self.float32_ms / max(self.bfloat16_ms, 1e-6)

    @property
    def takes_bfloat16(self) -> bool:
        return self.iou >= MIN_IOU and self.speedup >= MIN_SPEEDUP


def in_best_precision(
    build: Callable[[torch.dtype], _Model],
    device: torch.device,
    wanted: torch.dtype | None = None,
    *,
    weights_sha256: str,
    say: Callable[[str], None] = lambda _line: None,
    memory: Path | None = None,
) -> _Model:
    """The wanted precision; else bfloat16 on CUDA, and on a processor the faster one that gives the same masks.

    Args:
        build: makes the segmenter for a type; called for both only where they have to be tried.
        weights_sha256: of the model's file, under which the outcome is remembered.
        memory: the file of remembered outcomes; None for the one in the user's cache.
    """
    if wanted is not None:
        return build(wanted)
    if not has_bfloat16(device):
        return build(torch.float32)
    if device.type == "cuda":
        return build(torch.bfloat16)
    path = memory or cache_dir() / "precision.json"
    key = "|".join((weights_sha256, torch.__version__, cpu_name(), f"trial{_VERSION}"))
    trial = _recall(path, key)
    if trial is not None:
        return build(torch.bfloat16 if trial.takes_bfloat16 else torch.float32)
    say("Trying the fast arithmetic of this processor (once for each model) …")
    half, full = build(torch.bfloat16), build(torch.float32)
    trial = try_both(half, full)
    _log.info("bfloat16 on %s: %.2fx, worst IoU %.4f", cpu_name(), trial.speedup, trial.iou)
    _remember(path, key, trial)
    return half if trial.takes_bfloat16 else full


def dtype_named(name: str) -> torch.dtype | None:
    """Of "float32" or "bfloat16"; None for no name: as it suits the model."""
    return {"": None, "float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 itself: elsewhere (cards before Ampere, older processors) it is emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself (elsewhere it is emulated, and slower)."""
    able = _capabilities()
    return any(bool(able.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def cpu_name() -> str:
    """The processor's model, with what it can do (a virtual machine may hide either)."""
    able = _capabilities()
    name = str(able.get("cpu_name") or platform.processor() or platform.machine())
    return " ".join([name, *(n for n in ("avx512_f", "avx512_bf16", "amx_bf16", "bf16") if able.get(n))])


def _capabilities() -> Mapping[str, Any]:
    """What torch knows of the processor; of older versions one fact only."""
    full = getattr(torch.cpu, "get_capabilities", None)
    if full is not None:
        found: Mapping[str, Any] = full()
        return found
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return {"avx512_bf16": bool(probe and probe())}


def try_both(half: Segmenter, full: Segmenter) -> Trial:
    """Encode and decode the drawn picture with both, in turns (bfloat16 first, so that it pays what a first run costs).

    Small models get several rounds, and each its fastest, because a busy machine only ever makes them slower.
    """
    image, all_prompts = picture(), prompts_of_picture()
    best_ms = [float("inf")] * 2
    answers: list[list[Candidates]] = [[], []]
    started = time.perf_counter()
    for _ in range(MOST_ROUNDS):
        for side, segmenter in enumerate((half, full)):
            began = time.perf_counter()
            embedding = segmenter.encode(image, "precision trial")
            answers[side] = [segmenter.decode(embedding, prompts) for prompts in all_prompts]
            best_ms[side] = min(best_ms[side], (time.perf_counter() - began) * 1e3)
        if (time.perf_counter() - started) * 1e3 > ENOUGH_MS:
            break
    iou = min(_same(a, b) for a, b in zip(answers[1], answers[0], strict=True))
    return Trial(round(iou, 5), round(best_ms[1], 3), round(best_ms[0], 3))


def picture() -> RgbArray:
    """A disc, a square and a bar on a noisy ground: 384 x 512 x 3."""
    ground = np.random.default_rng(0).integers(90, 110, (384, 512, 3)).astype(np.uint8)
    y, x = np.mgrid[:384, :512]
    ground[(x - 130) ** 2 + (y - 140) ** 2 < 80**2] = (200, 80, 60)
    ground[210:330, 260:430] = (40, 90, 200)
    ground[60:100, 280:470] = (230, 220, 120)
    return ground


def prompts_of_picture() -> tuple[Prompts, ...]:
    """First clicks, a box, and a box with clicks."""
    return (
        Prompts((PointPrompt(130.5, 140.5),)),
        Prompts((PointPrompt(345.5, 270.5),)),
        Prompts(box=Box(280, 60, 470, 100)),
        Prompts((PointPrompt(345.5, 270.5), PointPrompt(500.5, 370.5, is_positive=False)), Box(255, 205, 435, 335)),
    )


def _same(full: Candidates, half: Candidates) -> float:
    """IoU of the mask that float32 shows with the one of bfloat16 that is meant (a near tie may change their order)."""
    return max(candidate.mask.iou(full.chosen.mask) for candidate in half.items)


def _recall(path: Path, key: str) -> Trial | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))[key]
        return Trial(float(kept["iou"]), float(kept["float32_ms"]), float(kept["bfloat16_ms"]))
    except (FileNotFoundError, KeyError):
        return None
    except (OSError, ValueError, TypeError) as error:
        _log.warning("%s is not usable, so the arithmetic is tried again: %s", path, error)
        return None


def _remember(path: Path, key: str, trial: Trial) -> None:
    """Add an outcome; a cache that cannot be written costs the next start a trial, and nothing else."""
    try:
        kept: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    entries = {**(kept if isinstance(kept, dict) else {}), key: asdict(trial)}
    newest = dict(list(entries.items())[-_KEPT:])
    try:
        make_private_folder(path.parent)
        write_atomic(path, json.dumps(newest, indent=1).encode(), is_private=True)
    except OSError as error:
        _log.warning("%s cannot be written: %s", path, error)
