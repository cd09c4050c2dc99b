"""The only door into the engine: from a model's name or file to a ``Segmenter``."""

from __future__ import annotations

import os

from annotator.domain.brevity import brief

# Before torch starts its threads: waiting threads must not burn the cores that a labeler's other programs need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A moment of waiting awake all the same (tens of microseconds): a small model's decode is many short steps, and threads
# that fell asleep after each made two threads slower than one (docs/benchmarks.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import Engine, Segmenter
from annotator.engine import bundles, terms, weights
from annotator.engine.cache import EmbeddingCodec, TieredCache
from annotator.engine.registry import ModelSource, family_of
from annotator.engine.remote.address import is_address
from annotator.engine.remote.segmenter import load_remote
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from annotator.files.places import cache_dir

DISK_BYTES = 20 << 30


def load_segmenter(
    name_or_path: str | None = None,
    *,
    device: str | None = None,
    config: str | None = None,
    dtype: torch.dtype | None = None,
    progress: Callable[[str], None] | None = None,
    zoom: bool | None = None,
) -> Segmenter:
    """A ready model.

    Args:
        name_or_path: registry name, a weights file, or the address of a server (``http://host:8765``); None for the
            best verified model present.
        device: "cpu", "cuda", "mps"; None picks the best there is.
        config: sam2 configuration name, needed for a ``.pt`` file that the registry does not know.
        dtype: None picks bfloat16 where the device has it and its masks agree with float32.
        progress: called with a line that says what is going on.
        zoom: whether small objects are looked at more closely; None for models that were trained for it.

    Raises:
        ModelError: unknown name, missing or damaged file, no such device.
    """
    if name_or_path and is_address(name_or_path):
        (progress or (lambda _line: None))(f"Asking {name_or_path} …")
        return load_remote(name_or_path)
    status, path = _resolve(name_or_path)
    source = ModelSource(
        path=path,
        entry=status.entry if status else None,
        is_verified=bool(status and status.is_verified),
        config=config or "",
        device=device or "",
        dtype=dtype,
        zoom=zoom,
        say=progress or (lambda _line: None),
    )
    source.say(f"Loading {source.name if status or path is None else path.name} …")
    family = family_of(source)
    family.check_installed()
    if path is not None:
        bundles.check_room(source.name, path)
    return family.load(source)


def load_sam2_segmenter(
    name_or_path: str | None = None,
    *,
    device: str | None = None,
    config: str | None = None,
    dtype: torch.dtype | None = None,
    progress: Callable[[str], None] | None = None,
    zoom: bool | None = None,
) -> Sam2Segmenter | ZoomSegmenter:
    """:func:`load_segmenter`, for what works on SAM 2's own modules: prompt adapters, training.

    Raises:
        ModelError: as there; or the model is of another family.
    """
    found = load_segmenter(name_or_path, device=device, config=config, dtype=dtype, progress=progress, zoom=zoom)
    if not isinstance(found, Sam2Segmenter | ZoomSegmenter):
        raise ModelError(
            f"{brief(found.info.name)} is not a SAM 2 model, so it cannot use an adapter.", "Name a SAM 2 model."
        )
    return found


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
    codec = segmenter if isinstance(segmenter, EmbeddingCodec) else None
    folder = None
    if disk_bytes:
        folder = disk_dir or cache_dir() / "embeddings"
    cache = TieredCache(ram_bytes=ram_bytes, disk_dir=folder, disk_bytes=disk_bytes or 0, codec=codec)
    return Engine(segmenter, cache)


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
    if path is None:
        raise ModelError(f"The model {name_or_path or 'in use'} has no weights file.", "Name another model.")
    return WeightsFile(path, config or (status.entry.config if status else ""))


def _resolve(name_or_path: str | None) -> tuple[weights.ModelStatus | None, Path | None]:
    if name_or_path and is_address(name_or_path):
        raise ModelError("This needs a model's weights on this computer, not a server's.", "Name a model of yours.")
    if not name_or_path:
        status = weights.default_model()
    elif name_or_path in weights.registry():
        status = weights.status_of(weights.registry()[name_or_path])
        if not status.is_present:
            raise ModelError(
                f"The model {brief(name_or_path)} is not on this computer.",
                f"Run: annotator models download {brief(name_or_path)}",
            )
        if not status.is_usable:
            raise ModelError(f"{brief(status.entry.file)}: {status.note}.", "Delete it and download or copy it again.")
        terms.check_accepted(status.entry)
    else:
        path = Path(name_or_path).expanduser()
        if not path.exists():
            known = ", ".join(weights.registry())
            raise ModelError(f"There is no model {brief(name_or_path)!r}.", f"Give a file, or one of: {known}.")
        return None, path
    return status, status.path
