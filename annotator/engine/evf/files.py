"""EVF-SAM 2's folder: the weights of both networks in one file, a line about their size, and the words' pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.engine import bundles
from annotator.engine.devices import pick_device
from annotator.engine.evf.beit3 import Beit3, Beit3Size
from annotator.engine.evf.finder import EvfFinder, EvfNetwork
from annotator.engine.sam2.files import build_config
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.specs import ModelSource

SCALES = {"large": "configs/sam2/sam2_hiera_l.yaml", "tiny": "configs/sam2/sam2_hiera_t.yaml"}
"""Of ``sam_scale``: SAM 2.0's configurations."""
PIECES_NAME = "sentencepiece.bpe.model"
_COPY_AGAIN = "Copy the whole folder again from its source."
_VISUAL = "visual_model."
_FEWEST, _MOST = 1, 8192


def load(source: ModelSource) -> EvfFinder:
    """As a family of the registry, for words.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = _place(source)
    network = _network(place).eval().requires_grad_(False)
    device = on_device(network, source.device)
    visual: Any = network.visual_model
    info = _info(source, place, device, int(visual.image_size))
    return EvfFinder(network, _pieces(place), info, is_for_kinds=source.name.endswith("multitask"))


def load_clicks(source: ModelSource) -> Sam2Segmenter:
    """As a family of the registry, for clicks: the SAM 2 inside, whose embedding of an image the words read, too.

    Raises:
        ModelError: damaged files, another model, no such device.
    """
    place = _place(source)
    config, state = _read(place)
    visual = build_visual(str(config.get("sam_scale", "large")))
    own = {name.removeprefix(_VISUAL): values for name, values in state.items() if name.startswith(_VISUAL)}
    _fill(visual, own, place.name)
    device = on_device(visual.eval().requires_grad_(False), source.device)
    side: Any = visual.image_size
    return Sam2Segmenter(visual, _info(source, place, device, int(side)))


def on_device(model: nn.Module, wanted: str) -> torch.device:
    """Where it lies now: where it was wanted, or on the processor where the graphics card has no room.

    Raises:
        ModelError: no such device.
    """
    device = pick_device(wanted)
    try:
        model.to(device)
    except torch.OutOfMemoryError:
        device = torch.device("cpu")
        model.to(device)
    return device


def build_visual(scale: str) -> nn.Module:
    """The SAM 2 of a checkpoint, with random weights.

    Raises:
        ModelError: no such scale.
    """
    if scale not in SCALES:
        raise ModelError(f"EVF-SAM 2 of the scale {scale[:40]!r} is not known.", f"Known: {', '.join(SCALES)}.")
    return build_config(SCALES[scale])


def _place(source: ModelSource) -> Path:
    if source.path is None:
        raise ModelError(f"The model {brief(source.name)} is not on this computer.")
    return source.path


def _info(source: ModelSource, place: Path, device: torch.device, side: int) -> ModelInfo:
    return ModelInfo(
        name=source.name,
        sha256=bundles.digest_of(place),
        device=device.type,
        dtype="float32",
        image_size=side,
        is_verified=source.is_verified,
        note="" if source.is_verified else f"{brief(place.name)} is not verified",
        path="" if source.entry else str(place.absolute()),
    )


def _read(place: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        config = json.loads((place / "config.json").read_text("utf-8"))
        state = {name: values.float() for name, values in load_file(place / "model.safetensors").items()}
        return dict(config), state
    except (OSError, ValueError, TypeError, SafetensorError, RecursionError) as error:
        raise ModelError(f"{brief(place.name)} is damaged, or it is no EVF-SAM 2.", _COPY_AGAIN) from error


def _network(place: Path) -> EvfNetwork:
    config, state = _read(place)
    try:
        size = Beit3Size.of(state, "mm_extractor.beit3.")
        out_width = len(state["text_hidden_fcs.0.2.weight"])
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise ModelError(f"{brief(place.name)} is damaged, or it is no EVF-SAM 2.", _COPY_AGAIN) from error
    scale = str(config.get("sam_scale", "large"))
    if not all(_FEWEST <= number <= _MOST for number in (size.width, size.layers, size.side, out_width)):
        raise ModelError(f"{brief(place.name)} describes a network of no sensible size.", _COPY_AGAIN)
    network = EvfNetwork(build_visual(scale), Beit3(size), out_width)
    _fill(network, state, place.name)
    return network


def _fill(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    try:
        missing = network.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:  # other shapes
        raise ModelError(f"{brief(name)} is damaged, or it is no EVF-SAM 2.", _COPY_AGAIN) from error
    if missing:
        raise ModelError(f"{brief(name)} lacks weights ({len(missing)}, such as {brief(missing[0])}).", _COPY_AGAIN)
    bad = next((key for key, values in network.state_dict().items() if not bool(torch.isfinite(values).all())), None)
    if bad is not None:
        raise ModelError(f"{brief(name)} holds weights that are no numbers ({bad}).", _COPY_AGAIN)


def _pieces(place: Path) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(place / PIECES_NAME)).encode
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{brief(place.name)} lacks {PIECES_NAME}, or it is damaged.", _COPY_AGAIN) from error
