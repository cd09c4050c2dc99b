"""``--adapter``: a prompt adapter by its file or by its name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.engine.adapted_decoder import Adapter
    from annotator.engine.sam2_backend import Sam2Segmenter
    from annotator.engine.zoom import ZoomSegmenter


def add_adapter_argument(parser: argparse.ArgumentParser, *, help_text: str) -> None:
    parser.add_argument("--adapter", metavar="FILE|NAME", help=help_text)


def load_named_adapter(text: str, segmenter: Sam2Segmenter | ZoomSegmenter) -> Adapter:
    """The adapter in a file, or the installed (or shipped) one of that name, for this model.

    Raises:
        ModelError: there is none, it is damaged, or it belongs to another model.
    """
    from annotator.engine.adapter_files import SUFFIX, find_adapter, load_adapter

    path = Path(text)
    is_file = path.is_file() or path.suffix == SUFFIX or len(path.parts) > 1
    return load_adapter(path if is_file else find_adapter(text)[0], base=segmenter.info, device=segmenter.device)
