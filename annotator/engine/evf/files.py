"""EVF-SAM 2's folder: the weights of both networks in one file, a line about their size, and the words' pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.engine import bundles
from annotator.engine.devices import pick_device
from annotator.engine.evf.beit3 import Beit3, Beit3Size
from annotator.engine.evf.finder import EvfFinder, EvfNetwork
from annotator.engine.sam2.files import build_config
from annotator.engine.specs import ModelSource

SCALES = {"large": "configs/sam2/sam2_hiera_l.yaml", "tiny": "configs/sam2/sam2_hiera_t.yaml"}
"""Of ``sam_scale``: SAM 2.0's configurations."""
PIECES_NAME = "sentencepiece.bpe.model"
_COPY_AGAIN = "Copy the whole folder again from its source."
_FEWEST, _MOST = 1, 8192


def load(source: ModelSource) -> EvfFinder:
    """As a family of the registry, for words.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    if source.path is None:
        raise ModelError(f"The model {source.name} is not on this computer.")
    place = source.path
    network = _network(place).eval().requires_grad_(False)
    device = pick_device(source.device)
    try:
        network.to(device)
    except torch.OutOfMemoryError:
        device = torch.device("cpu")
        network.to(device)
    visual: Any = network.visual_model
    info = ModelInfo(
        name=source.name,
        sha256=bundles.digest_of(place),
        device=device.type,
        dtype="float32",
        image_size=int(visual.image_size),
        is_verified=source.is_verified,
        note="" if source.is_verified else f"{place.name} is not verified",
        path="" if source.entry else str(place.absolute()),
    )
    return EvfFinder(network, _pieces(place), info, is_for_kinds=source.name.endswith("multitask"))


def build_visual(scale: str) -> nn.Module:
    """The SAM 2 of a checkpoint, with random weights.

    Raises:
        ModelError: no such scale.
    """
    if scale not in SCALES:
        raise ModelError(f"EVF-SAM 2 of the scale {scale[:40]!r} is not known.", f"Known: {', '.join(SCALES)}.")
    return build_config(SCALES[scale])


def _network(place: Path) -> EvfNetwork:
    try:
        config = json.loads((place / "config.json").read_text("utf-8"))
        state = {name: values.float() for name, values in load_file(place / "model.safetensors").items()}
        size = Beit3Size.of(state, "mm_extractor.beit3.")
        out_width = len(state["text_hidden_fcs.0.2.weight"])
        scale = str(config.get("sam_scale", "large"))
    except (OSError, ValueError, KeyError, IndexError, AttributeError, SafetensorError, RecursionError) as error:
        raise ModelError(f"{place.name} is damaged, or it is no EVF-SAM 2.", _COPY_AGAIN) from error
    if not all(_FEWEST <= number <= _MOST for number in (size.width, size.layers, size.side, out_width)):
        raise ModelError(f"{place.name} describes a network of no sensible size.", _COPY_AGAIN)
    network = EvfNetwork(build_visual(scale), Beit3(size), out_width)
    _fill(network, state, place.name)
    return network


def _fill(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    try:
        missing = network.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:  # other shapes
        raise ModelError(f"{name} is damaged, or it is no EVF-SAM 2.", _COPY_AGAIN) from error
    if missing:
        raise ModelError(f"{name} lacks weights ({len(missing)}, such as {missing[0]}).", _COPY_AGAIN)
    bad = next((key for key, values in network.state_dict().items() if not bool(torch.isfinite(values).all())), None)
    if bad is not None:
        raise ModelError(f"{name} holds weights that are no numbers ({bad}).", _COPY_AGAIN)


def _pieces(place: Path) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(place / PIECES_NAME)).encode
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{place.name} lacks {PIECES_NAME}, or it is damaged.", _COPY_AGAIN) from error
