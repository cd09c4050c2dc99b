"""The only door to the library ``transformers``: models out of folders, checked before and after, without a network."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError

_LARGEST = {"hidden_size": 8192, "embed_dim": 8192, "num_hidden_layers": 128, "image_size": 4096, "num_queries": 4096}
"""What a description of a network may ask for at most: the library builds it before it looks at the weights."""
_CONFIG_BYTES = 1 << 20
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
COPY_AGAIN = "Copy the whole folder again from its source."


def library() -> Any:
    """The library, which takes seconds to import: for the engine thread, when it is needed."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    found = importlib.import_module("transformers")
    found.utils.logging.set_verbosity_error()
    found.utils.logging.disable_progress_bar()
    return found


def open_model(folder: Path, class_name: str, *, model_types: tuple[str, ...]) -> Any:
    """A model in evaluation mode on the processor, in single precision.

    Args:
        class_name: of the library.
        model_types: what ``config.json`` may call it.

    Raises:
        ModelError: files are missing or damaged, it is another model, weights are missing or not finite.
    """
    config = _config_of(folder, model_types)
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise ModelError(f"{brief(folder.name)} holds no weights (model.safetensors).", COPY_AGAIN)
    _check_size(folder, config)
    kind = getattr(library(), class_name)
    try:
        model, report = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except Exception as error:  # a stranger's files make the library raise anything
        raise ModelError(f"{brief(folder.name)} is damaged, or it is no {brief(class_name)}.", COPY_AGAIN) from error
    _check_complete(folder.name, model, report)
    return model.eval().requires_grad_(False)


def build_model(config: Any, class_name: str) -> Any:
    """A network of the library with random weights, evaluation mode, to load other checkpoints into."""
    return getattr(library(), class_name)(config).eval().requires_grad_(False)


def load_state(model: nn.Module, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Put weights into a network, all of them.

    Raises:
        ModelError: some are missing, left over, of another shape, or not finite.
    """
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise ModelError(
            f"{brief(name)} does not hold the weights of this model.", "Copy it again from its source."
        ) from error
    _check_finite(name, model)


def open_processor(folder: Path, class_name: str) -> Any:
    """A tokenizer or processor out of a folder.

    Raises:
        ModelError: its files are missing or damaged.
    """
    kind = getattr(library(), class_name)
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as above
        raise ModelError(
            f"{brief(folder.name)} lacks the files of its tokenizer, or they are damaged.", COPY_AGAIN
        ) from error


def _config_of(folder: Path, model_types: tuple[str, ...]) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        with path.open("rb") as file:
            text = file.read(_CONFIG_BYTES + 1)
        config = json.loads(text) if len(text) <= _CONFIG_BYTES else None
    except FileNotFoundError as error:
        raise ModelError(f"{brief(folder.name)} has no config.json.", COPY_AGAIN) from error
    except OSError as error:
        raise ModelError(f"{brief(path)} cannot be read: {error.strerror}.", "Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"The config.json of {brief(folder.name)} is damaged.", COPY_AGAIN) from error
    if not isinstance(config, dict) or config.get("model_type") not in model_types:
        found = config.get("model_type") if isinstance(config, dict) else None
        raise ModelError(
            f"{brief(folder.name)} holds a model of the type {str(found)[:60]!r}, not {' or '.join(model_types)}.",
            "Choose another folder.",
        )
    return config


def _check_size(folder: Path, config: object) -> None:
    """Before a network is built as a file describes it."""
    if isinstance(config, dict):
        for name, value in config.items():
            numbers = value if isinstance(value, list) else [value]
            most = _LARGEST.get(name)
            if most is not None and any(isinstance(number, int | float) and number > most for number in numbers):
                raise ModelError(
                    f"{brief(folder.name)} describes a network that is too large ({brief(name)} {brief(value)}).",
                    COPY_AGAIN,
                )
            _check_size(folder, value)
    elif isinstance(config, list):
        for value in config:
            _check_size(folder, value)


def _check_complete(name: str, model: nn.Module, report: Mapping[str, Any]) -> None:
    """The library fills what is missing with random numbers, and says so in a report."""
    missing = [*report.get("missing_keys", ()), *report.get("mismatched_keys", ())]
    if missing:
        raise ModelError(f"{brief(name)} lacks weights ({len(missing)}, such as {brief(missing[0])}).", COPY_AGAIN)
    _check_finite(name, model)


def _check_finite(name: str, model: nn.Module) -> None:
    for key, values in model.state_dict().items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise ModelError(f"{brief(name)} holds weights that are no numbers ({key}).", COPY_AGAIN)
