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


def load_named_adapter(text: str, segmenter: Sam2Segmenter | ZoomSegmenter) -> Adapter:
    """The adapter of :func:`adapter_path`, for this model.

    Raises:
        ModelError: there is none, it is damaged, or it belongs to another model.
    """
    from annotator.engine.sam2.adapter_files import load_adapter

    return load_adapter(adapter_path(text), base=segmenter.info, device=segmenter.device)
