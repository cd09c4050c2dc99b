"""Files of models whose mask decoder was trained further: complete checkpoints in their base's own format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.engine.load import WeightsFile
from annotator.engine.sam2.files import load_sam2
from annotator.engine.sam2.nano import load_nano, save_nano
from annotator.files.atomic import atomic_file


def check_tuned_path(base: WeightsFile, out: Path) -> None:
    """See that a tuned model can be written there.

    Raises:
        ModelError: it is the base's own file, or of another format.
    """
    if out.exists() and out.samefile(base.path):
        raise ModelError(f"{out} is the base itself.", "Name another file: the base is never changed.")
    if out.suffix != base.path.suffix:
        raise ModelError(
            f"{brief(out.name)} is not named like a file of this base.", f"Name a file that ends in {base.path.suffix}."
        )


def save_tuned(
    decoder: Mapping[str, Tensor], out: Path, *, base: WeightsFile, metadata: Mapping[str, str] | None = None
) -> None:
    """Write the base with another mask decoder, whole or not at all; ``load_segmenter`` loads it.

    Args:
        decoder: weights of ``sam_mask_decoder``.
        metadata: more strings for formats that have room for them.

    Raises:
        ModelError: the base cannot be read any more. OSError: the file cannot be written.
    """
    model: Any
    check_tuned_path(base, out)
    if base.path.suffix == ".safetensors":
        model, config, kept = load_nano(base.path)
        model.sam_mask_decoder.load_state_dict(decoder)
        own = {name: value for name, value in kept.items() if name not in ("format", "config")}
        save_nano(model, out, config=config, metadata={**own, **(metadata or {})})
        return
    model = load_sam2(base.path, config=base.config)
    model.sam_mask_decoder.load_state_dict(decoder)
    with atomic_file(out) as (file, _):
        _save({"model": model.state_dict()}, file)


def _save(state: Mapping[str, Any], file: BinaryIO) -> None:
    """torch.save with the system's own error: torch reports the end of a file that it could not write to."""
    try:
        torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise
