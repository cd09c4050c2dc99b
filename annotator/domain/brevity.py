"""Names from files in the sentences of the program: short enough to be read, and without signs that steer a terminal.

Whatever quotes a name of a file, class or attribute, a path or a note goes through :func:`brief`; a sentence as a whole
through :func:`brief_message`, for what was not written here, such as another library's complaint.
"""

from __future__ import annotations

import os
import unicodedata

MOST_NAME = 80
"""Characters of a name."""
MOST_PATH = 240
"""Characters of a path."""
MOST_MESSAGE = 1000
"""Characters of a sentence, or of several."""
_STEERING = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Signs that let a text run the other way: ``gnp.exe`` is shown as ``exe.png``."""


def brief(name: object, most: int | None = None) -> str:
    """A name or path as a message quotes it: cut in the middle, signs that cannot be seen written out.

    Args:
        name: its text counts; a path may be longer than a name.
        most: characters of the answer; by default 80, and 240 for what has a folder in it.
    """
    text = str(name)
    if most is None:
        most = MOST_PATH if os.sep in text or "/" in text else MOST_NAME
    text = _middle_out(text, most)
    return text if text.isprintable() else _middle_out("".join(map(_shown, text)), most)


def brief_message(text: str, most: int = MOST_MESSAGE) -> str:
    """A sentence cut in the middle when it is longer than anybody reads; lines stay lines."""
    return _middle_out(text, most)


def _middle_out(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    before = (most - 1) * 2 // 3
    return f"{text[:before]}…{text[len(text) - (most - 1 - before) :]}"


def _shown(letter: str) -> str:
    if letter in _TURNING or unicodedata.category(letter) in _STEERING:
        return letter.encode("unicode_escape").decode("ascii")
    return letter
