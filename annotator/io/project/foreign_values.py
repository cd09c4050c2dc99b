"""Single values of a project that somebody else may have made: a text that is one, and JSON that can be read."""

from __future__ import annotations

import json
from typing import Any

UNNAMED = "a change"
"""What an edit is called whose name is no text."""


def text_of(value: object) -> str | None:
    """A text as it is stored; None for what is none: a number, bytes, or text that is not UTF-8 (it comes with lone
    surrogates in it)."""
    if not isinstance(value, str) or any("\ud800" <= sign <= "\udfff" for sign in value):
        return None
    return value


def json_of(value: object) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is no text, no JSON, or nested deeper than any work.
    """
    text = text_of(value)
    if text is None:
        raise ValueError("it is no text")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
