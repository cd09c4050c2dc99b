"""Adapter files: safetensors with a card in the metadata, never pickle; a folder of installed ones, with a way back."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from annotator.domain.adapter import AdapterInfo
from annotator.domain.errors import ModelError
from annotator.domain.ports import ModelInfo
from annotator.engine import weights
from annotator.engine.adapted_decoder import Adapter, check_base
from annotator.engine.prompt_adapter import AdapterConfig, PromptAdapter

SUFFIX = ".safetensors"
PREVIOUS = ".previous"
"""Ending of the version before, beside the installed one (not ``.safetensors``: it is not listed)."""


def save_adapter(network: PromptAdapter, info: AdapterInfo, path: Path) -> None:
    """Write an adapter as float32 safetensors, whole or not at all."""
    tensors = {name: tensor.detach().cpu().float().contiguous() for name, tensor in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, metadata=info.to_metadata())
    part.chmod(0o644)  # safetensors writes for the owner alone; adapters are shared
    os.replace(part, path)


def read_adapter_info(path: Path) -> AdapterInfo:
    """The card of an adapter's file; reads the header only.

    Raises:
        ModelError: the file is missing, damaged or no adapter.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return AdapterInfo.from_metadata(dict(file.metadata() or {}))
    except FileNotFoundError as error:
        raise ModelError(f"There is no adapter file {path}.", "Check the path.") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path.name} is not a readable safetensors file.", "Copy it again.") from error
    except ValueError as error:
        raise ModelError(f"{path.name} is not a prompt adapter: {error}.", "Name another file.") from error


def load_adapter(path: Path, *, base: ModelInfo | None = None, device: torch.device | None = None) -> Adapter:
    """An adapter in eval mode.

    Args:
        base: when given, an adapter of another model is refused before its weights are read.

    Raises:
        ModelError: the file is missing, damaged, no adapter, or of another base.
    """
    info = read_adapter_info(path)
    if base is not None:
        check_base(info, base)
    try:
        network = PromptAdapter(AdapterConfig(**info.config))  # type: ignore[arg-type]
        with safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        network.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError, SafetensorError, OSError, ZeroDivisionError, AssertionError) as error:
        raise ModelError(f"{path.name} does not hold the adapter it names.", "Copy it again.") from error
    return Adapter(network.to(device or torch.device("cpu")).eval().requires_grad_(False), info)


# --- the installed ones -----------------------------------------------------------------------------------------------


def adapters_dir() -> Path:
    """Where adapters are installed: a folder beside the user's checkpoints."""
    return weights.user_dir() / "adapters"


def list_adapters(folders: Sequence[Path] | None = None) -> list[tuple[Path, AdapterInfo]]:
    """Installed and shipped adapters by name; of two with one name the installed one. Unreadable files are left out."""
    found: dict[str, tuple[Path, AdapterInfo]] = {}
    for folder in folders if folders is not None else (adapters_dir(), weights.shipped_dir() / "adapters"):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                found.setdefault(path.stem, (path, read_adapter_info(path)))
            except ModelError:
                continue  # somebody else's file in this folder; it is refused by name when it is asked for
    return [found[name] for name in sorted(found)]


def installed_path(name: str, folder: Path | None = None) -> Path:
    """Where an adapter of that name is installed.

    Raises:
        ModelError: the name is no plain file name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) or name.endswith((SUFFIX, PREVIOUS, ".part")):
        raise ModelError(f"{name!r} is no name for an adapter.", "Use letters, digits, '-' and '_'.")
    return (folder or adapters_dir()) / f"{name}{SUFFIX}"


def install(candidate: Path, name: str, folder: Path | None = None) -> Path:
    """Put an adapter into place; the version that was there is kept for :func:`roll_back`."""
    read_adapter_info(candidate)
    target = installed_path(name, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    shutil.copyfile(candidate, part)
    if target.exists():
        os.replace(target, _previous(target))
    os.replace(part, target)
    return target


def roll_back(name: str, folder: Path | None = None) -> Path | None:
    """Bring the version before back, or remove the adapter when there was none; returns the file now in place."""
    target = installed_path(name, folder)
    previous = _previous(target)
    if previous.exists():
        os.replace(previous, target)
        return target
    target.unlink(missing_ok=True)
    return None


def _previous(target: Path) -> Path:
    return target.with_name(target.name + PREVIOUS)


def config_of(network: PromptAdapter) -> dict[str, int | bool]:
    return asdict(network.config)
