"""Names from files where Qt reads signs of its own. That labels and tooltips read none is said in style.qss."""

from __future__ import annotations

from annotator.domain.brevity import brief


def menu_text(name: str) -> str:
    """For an action, a button or a check box, where ``&`` underlines a letter and a tab parts the key."""
    return brief(name.replace("\t", " ")).replace("&", "&&")


def title_text(name: str) -> str:
    """For the title of a window, where ``[*]`` stands for a mark of changes."""
    return brief(name).replace("[*]", "[*][*]")
