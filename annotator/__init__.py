"""Annotator: click an object, get its mask, export COCO that trains. Importing the package imports nothing heavy."""

TYPE_CHECKING = False  # for type checkers; nothing is imported before __main__ has shut out the current folder
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"
__all__ = ["Segmenter", "__version__"]


def __getattr__(name: str) -> "Any":
    """``annotator.Segmenter``, imported (with torch) when it is first asked for."""
    if name == "Segmenter":
        from annotator.api import Segmenter

        return Segmenter
    raise AttributeError(f"module 'annotator' has no attribute {name!r}")
