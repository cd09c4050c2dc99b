"""``--adapter``: a prompt adapter by its file or by its name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.engine.sam2.adapted_decoder import Adapter
    from annotator.engine.sam2.segmenter import Sam2Segmenter
    from annotator.engine.zoom.segmenter import ZoomSegmenter


def add_adapter_argument(parser: argparse.ArgumentParser, *, help_text: str) -> None:
    parser.add_argument("--adapter", metavar="FILE|NAME", help=help_text)


def adapter_path(text: str) -> Path:
    """The file that was named, or that of the installed (or shipped) adapter of that name.

    Raises:
        ModelError: no adapter has that name.
    """
    from annotator.engine.sam2.adapter_files import SUFFIX, find_adapter

    path = Path(text)
    is_file = path.is_file() or path.suffix == SUFFIX or len(path.parts) > 1
    return path if is_file else find_adapter(text)[0]


def model_for(model: str | None, adapter: str | None) -> str | None:
    """The model to load: the named one; without a name the one that the adapter belongs to, if that is here and of
    the registry; else None, for the best that is here.

    Raises:
        ModelError: no adapter has that name, or its file is none.
    """
    from annotator.engine import weights
    from annotator.engine.sam2.adapter_files import read_adapter_info

    if model or adapter is None:
        return model
    wanted = read_adapter_info(adapter_path(adapter)).base_sha256
    for entry in weights.registry().values():
        place = weights.find_file(entry) if entry.is_shipped or entry.sha256 == wanted else None
        if place is not None and weights.sha256_of(place) == wanted:
            return entry.name
    return None


def load_named_adapter(text: str, segmenter: Sam2Segmenter | ZoomSegmenter) -> Adapter:
    """The adapter of :func:`adapter_path`, for this model.

    Raises:
        ModelError: there is none, it is damaged, or it belongs to another model.
    """
    from annotator.engine.sam2.adapter_files import load_adapter

    return load_adapter(adapter_path(text), base=segmenter.info, device=segmenter.device)
