"""Adapter files: safetensors with a card in the metadata, never pickle; a folder of installed ones, with a way back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from annotator.domain.adapter import AdapterInfo
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.engine import weights
from annotator.engine.sam2.adapted_decoder import Adapter, check_base
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.weight_claims import check_network
from annotator.files.atomic import put_in_place

SUFFIX = ".safetensors"
CARD_SUFFIX = ".md"
PREVIOUS = ".previous"
"""Ending of the version before and of its card, beside the installed ones (it is not listed)."""
_CARD_BEGIN = "# Adapter: "


def save_adapter(network: PromptAdapter, info: AdapterInfo, path: Path) -> None:
    """Write an adapter as float32 safetensors, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    tensors = {name: tensor.detach().cpu().float().contiguous() for name, tensor in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    weights.write_weights(path, save(tensors, metadata=info.to_metadata()))


def read_adapter_info(path: Path) -> AdapterInfo:
    """The card of an adapter's file; reads the header only.

    Raises:
        ModelError: the file is missing, damaged or no adapter.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return AdapterInfo.from_metadata(dict(file.metadata() or {}))
    except FileNotFoundError as error:
        raise ModelError(f"There is no adapter file {brief(path)}.", "Check the path.") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{brief(path.name)} is not a readable safetensors file.", "Copy it again.") from error
    except ValueError as error:
        raise ModelError(f"{brief(path.name)} is not a prompt adapter: {error}.", "Name another file.") from error


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
        config = AdapterConfig(**info.config)  # type: ignore[arg-type]
        check_network(path, config.channels**2)
        network = PromptAdapter(config)
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        network.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError, SafetensorError, OSError, ZeroDivisionError, AssertionError) as error:
        raise ModelError(f"{brief(path.name)} does not hold the adapter it names.", "Copy it again.") from error
    return Adapter(network.to(device or torch.device("cpu")).eval().requires_grad_(False), info)


# --- cards ------------------------------------------------------------------------------------------------------------


def card_text(info: AdapterInfo, tables: Sequence[str] = ()) -> str:
    """An adapter's card, Markdown: facts, then the gate's tables, or what the file itself knows of them."""
    facts = [
        ("For", info.domain),
        ("Base", f"{info.base_name} (SHA-256 {info.base_sha256})"),
        ("Data", info.data),
        ("Epochs", f"{info.epochs:g}"),
        ("Date", info.date),
        ("Licence", info.licence or "not stated"),
    ]
    parts = tables or ([_figures_table(info)] if info.figures else ["It was not measured."])
    return (
        f"{_CARD_BEGIN}{info.name}\n\n" + "".join(f"- {n}: {v}\n" for n, v in facts) + "\n" + "\n\n".join(parts) + "\n"
    )


def read_card(path: Path) -> str:
    """The card beside an adapter's file, else one made of what the file says about itself.

    Raises:
        ModelError: it is no adapter.
    """
    info = read_adapter_info(path)
    beside = path.with_suffix(CARD_SUFFIX)
    return beside.read_text(encoding="utf-8", errors="replace") if _is_card(beside) else card_text(info)


def _figures_table(info: AdapterInfo) -> str:
    pairs = [(name, pair) for name, pair in info.figures.items() if isinstance(pair, list) and len(pair) == 2]
    counts = [f"{name}: {value}" for name, value in info.figures.items() if isinstance(value, int | float)]
    lines = ["| held-back images | base | adapter |", "|---|---|---|", *(f"| {n} | {b} | {a} |" for n, (b, a) in pairs)]
    return "\n".join([*lines, *(["", ", ".join(counts)] if counts else [])])


def _is_card(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_CARD_BEGIN)) == _CARD_BEGIN.encode()


# --- the installed ones -----------------------------------------------------------------------------------------------


def adapters_dir() -> Path:
    """Where adapters are installed: a folder beside the user's checkpoints."""
    return weights.user_dir() / "adapters"


def list_adapters(folders: Sequence[Path] | None = None) -> list[tuple[Path, AdapterInfo]]:
    """Installed adapters by name, then shipped ones; of two with one name the installed one.

    Unreadable files are left out.
    """
    found: dict[str, tuple[Path, AdapterInfo]] = {}
    for folder in folders if folders is not None else (adapters_dir(), weights.shipped_dir() / "adapters"):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                found.setdefault(path.stem, (path, read_adapter_info(path)))
            except ModelError:
                continue  # somebody else's file in this folder; it is refused by name when it is asked for
    return list(found.values())


def installed_path(name: str, folder: Path | None = None) -> Path:
    """Where an adapter of that name is installed.

    Raises:
        ModelError: the name is no plain file name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) or name.endswith((SUFFIX, PREVIOUS, ".part")):
        raise ModelError(f"{brief(name)!r} is not a valid name for an adapter.", "Use letters, digits, '-' and '_'.")
    return (folder or adapters_dir()) / f"{name}{SUFFIX}"


def find_adapter(name: str, folders: Sequence[Path] | None = None) -> tuple[Path, AdapterInfo]:
    """An installed or shipped adapter.

    Raises:
        ModelError: there is none of that name.
    """
    known = {path.stem: (path, info) for path, info in list_adapters(folders)}
    if name not in known:
        raise ModelError(f"There is no adapter {brief(name)!r}.", f"Known: {', '.join(known) or 'none'}.")
    return known[name]


def install(candidate: Path, name: str, folder: Path | None = None, *, card: str | None = None) -> Path:
    """Put an adapter and its card into place; the version that was there is kept for :func:`roll_back`.

    Args:
        card: Markdown; None for :func:`read_card` of the candidate.

    Raises:
        ModelError: it is no adapter, the name is none, or the folder cannot be written.
    """
    target = installed_path(name, folder)
    part, card_part = _part(target), _part(_card_of(target))
    with _disk_errors(target), _gone_after(part, card_part):
        read_adapter_info(candidate)
        text = read_card(candidate) if card is None else card
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(candidate, part)
        card_part.write_text(text, encoding="utf-8")
        if target.exists():
            _move(target, _previous(target))
            _move(_card_of(target), _previous(_card_of(target)))
        put_in_place(part, target)
        put_in_place(card_part, _card_of(target))
    return target


def roll_back(name: str, folder: Path | None = None) -> Path:
    """The version before takes the place of the installed one, which becomes the version before: doing it again goes
    forward. Returns the installed file.

    Raises:
        ModelError: there is no version before, or the folder cannot be written.
    """
    target = installed_path(name, folder)
    if not _previous(target).exists():
        if not target.exists():
            find_adapter(name)
        raise ModelError(f"There is no version of {brief(name)} before this one.", "It can be removed.")
    with _disk_errors(target):
        for one in (target, _card_of(target)):
            kept = _part(one)
            # At no moment is there no adapter of that name.
            if one.exists():
                _copy(one, kept)
            _move(_previous(one), one)
            if kept.exists():
                put_in_place(kept, _previous(one))
    return target


def remove(name: str, folder: Path | None = None) -> None:
    """Delete an installed adapter, its card and the version before.

    Raises:
        ModelError: it is not installed here (those of the program cannot be removed), or cannot be deleted.
    """
    target = installed_path(name, folder)
    if not target.exists():
        find_adapter(name)
        raise ModelError(f"{brief(name)} came with the program.", "It can be left unused.")
    with _disk_errors(target):
        for path in (target, _card_of(target)):
            path.unlink(missing_ok=True)
            _previous(path).unlink(missing_ok=True)


def export(source: Path, target: Path) -> Path:
    """Copy an adapter and its card, whole or not at all; returns the file (``.safetensors`` is added when missing).

    Args:
        target: a file, or a folder that keeps the name.

    Raises:
        ModelError: it is no adapter, it cannot be written, or something else has the card's name there.
    """
    card = read_card(source)
    file = target / source.name if target.is_dir() else target
    file = file if file.suffix == SUFFIX else file.with_name(file.name + SUFFIX)
    beside = _card_of(file)
    if beside.exists() and not _is_card(beside):
        raise ModelError(f"{brief(beside.name)} exists and is not an adapter's card.", "Choose another name.")
    part, card_part = _part(file), _part(beside)
    with _disk_errors(file), _gone_after(part, card_part):
        shutil.copyfile(source, part)
        card_part.write_text(card, encoding="utf-8")
        put_in_place(part, file)
        put_in_place(card_part, beside)
    return file


def _move(source: Path, target: Path) -> None:
    """What was at ``target`` is gone in any case: a card never stays beside another version."""
    if source.exists():
        put_in_place(source, target, is_durable=False)
    else:
        target.unlink(missing_ok=True)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{brief(path)} cannot be written: {error.strerror}.", "Check the folder and the disk."
        ) from error


@contextmanager
def _gone_after(*parts: Path) -> Iterator[None]:
    """What is left of copies that have not taken their places does not stay."""
    try:
        yield
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a file; half a copy does not stay."""
    try:
        shutil.copyfile(source, target)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _card_of(path: Path) -> Path:
    return path.with_suffix(CARD_SUFFIX)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _previous(target: Path) -> Path:
    return target.with_name(target.name + PREVIOUS)


def config_of(network: PromptAdapter) -> dict[str, int | bool]:
    return asdict(network.config)
