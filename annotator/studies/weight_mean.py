"""The mean of the weights of several models that have one beginning: better than each, at the price of one.

Models that were trained on from the same weights, with other seeds or other data, lie in one valley, and the middle
of it generalises better than its slopes (model soups: Wortsman et al., ICML 2022):

    python -m annotator.studies.weight_mean a.safetensors b.safetensors --shares 1,2 --out mean.safetensors

Ratings and object score were fitted to one model's answers; what they say of the mean is fitted anew
(:mod:`annotator.studies.score_fit`, :mod:`annotator.studies.rating_fit`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError, UserError
from annotator.engine.sam2.nano import load_nano, save_nano
from annotator.engine.weights import sha256_of
from annotator.files.atomic import export_errors

_OF_ONE_MODEL = ("format", "config", "calibration", "rating_columns", "score_steps", "steps", "minutes", "seed")
"""What a file says of one model's shape, fits and run; a mean says it of each of its parts."""


def mean_of(states: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of every floating-point tensor, float32, summed in float64.

    Args:
        states: of models of one shape: the same names, shapes and kinds of tensors.
        shares: one for each state, positive; only their ratios count.

    Returns:
        Under the same names; tensors of whole numbers are those of the first state.

    Raises:
        ValueError: no state, another number of shares, a share that is not positive and finite, or states of other
            names or shapes.
    """
    if not states or len(states) != len(shares):
        raise ValueError(f"{len(shares)} shares for {len(states)} models")
    if not all(0 < share < float("inf") for share in shares):
        raise ValueError("shares must be positive numbers")
    whole, first = sum(shares), states[0]
    for state in states[1:]:
        if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in first.items()}:
            raise ValueError("models of another shape")
    mean = {}
    for name, tensor in first.items():
        if not tensor.is_floating_point():
            mean[name] = tensor.clone()
            continue
        total = torch.zeros(tensor.shape, dtype=torch.float64)
        for state, share in zip(states, shares, strict=True):
            total += state[name].double() * (share / whole)
        mean[name] = total.float()
    return mean


def write_mean(
    paths: Sequence[Path], shares: Sequence[float], out: Path, *, image_size: int = 0, zoom_margin: float = 0.0
) -> None:
    """Write the mean of embedded models' files; its metadata names each of them, its steps, minutes and share.

    Args:
        image_size: input side in pixels in place of the models' own, on which no weight depends; with it they may
            differ in that.
        zoom_margin: in place of the models' own (:class:`~annotator.engine.sam2.nano.NanoConfig`).

    Raises:
        ModelError: a file cannot be used, is of a model of another shape, or is ``out`` itself.
        ExportError: ``out`` cannot be written.
    """
    if out.exists() and any(path.exists() and path.samefile(out) for path in paths):
        raise ModelError(f"{brief(out)} is one of the models: it would be destroyed.", "Name another file.")
    loaded = [load_nano(path) for path in paths]
    model, config, metadata = loaded[0]
    given = {"image_size": image_size, "zoom_margin": zoom_margin}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value}
    config = replace(config, **changes)
    for path, (_, other, _) in zip(paths, loaded, strict=True):
        if replace(other, **changes) != config:
            raise ModelError(
                f"{brief(path.name)} is a model of another shape than {brief(paths[0].name)}.",
                "Only models that were trained on from the same weights have a mean.",
            )
    model.load_state_dict(mean_of([one.state_dict() for one, _, _ in loaded], shares))
    parts = [
        f"sha256={sha256_of(path)} share={share:g} steps={said.get('steps', '?')} minutes={said.get('minutes', '?')} "
        f"seed={said.get('seed', '?')}"
        for path, share, (_, _, said) in zip(paths, shares, loaded, strict=True)
    ]
    kept = {name: text for name, text in metadata.items() if name not in _OF_ONE_MODEL}
    sets = sorted({name for _, _, said in loaded for name in said.get("sets", "").split(",") if name})
    with export_errors(out):
        save_nano(model, out, config=config, metadata={**kept, "sets": ",".join(sets), "mean_of": "; ".join(parts)})


def main(argv: Sequence[str] | None = None) -> int:
    """Write the mean of some models' weights."""
    parser = argparse.ArgumentParser(description="the mean of the weights of embedded models with one beginning")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--shares", help="how much of each, with commas (default: the same of all)")
    parser.add_argument("--size", type=int, default=0, help="input side in pixels (default: the models' own)")
    parser.add_argument("--zoom-margin", type=float, default=0.0, help="how closely it looks (default: as the models)")
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args(argv)
    try:
        shares = _shares(args.shares, len(args.models))
        _check_shape(args.size, args.zoom_margin)
        write_mean(args.models, shares, args.out, image_size=args.size, zoom_margin=args.zoom_margin)
    except UserError as error:
        print(f"annotator: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.out}, the mean of {len(args.models)} models")
    return 0


def _check_shape(size: int, margin: float) -> None:
    if size and (size < 64 or size % 32):
        raise UserError(f"--size {size} is not a multiple of 32 from 64 on.", "Like 384.")
    if margin and not 1 <= margin <= 4:
        raise UserError(f"--zoom-margin {margin:g} is not from 1 to 4.", "Like 1.6.")


def _shares(text: str | None, count: int) -> list[float]:
    if text is None:
        return [1.0] * count
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != count or not all(0 < share < float("inf") for share in shares):
        raise UserError(f"--shares {brief(text)} is not a positive number for each of {count} models.", "Like 1,2.")
    return shares


if __name__ == "__main__":
    sys.exit(main())
