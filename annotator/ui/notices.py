"""What the window says without asking: a quiet line that goes by itself, and a bar that stays until it is settled."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

Action = tuple[str, Callable[[], object]]
"""A button's text, and what it does."""


class Subject(StrEnum):
    """What a notice is about. It goes when that is over: a subject ends with those that it is a part of.

    Some parts of the window have subjects of their own; any text will do.
    """

    PROJECT = "project"
    FILE = "project/file"
    """The project's own file, and whether it is in its place."""
    CLASSES = "project/classes"
    IMAGE = "project/image"
    WINDOW = "project/image/window"
    """How it is shown."""
    READING = "project/image/reading"
    """Until the image is on the screen."""
    CHANGE = "project/image/change"
    """What was just changed, or could not be; until the next change."""
    SELECTION = "project/image/selection"
    WORK = "project/image/work"
    """That there is a current object."""
    PROMPTS = "project/image/prompts"
    """The current object as it is now: until a prompt comes or goes."""
    CLICK = "click"
    """What came of earlier clicks, maybe on another image: until the next one."""
    TOOL = "tool"
    MODEL = "model"
    ADAPTER = "model/adapter"


class Line(Protocol):
    """Shows one line of text; the next one replaces it."""

    def tell(self, text: str, *, stays: bool = False, topic: str = "") -> None: ...

    def withdraw(self, topic: str) -> None: ...


class Bar(Protocol):
    """Shows messages that stay, the newest on top; one per topic."""

    @property
    def text(self) -> str:
        """Of the message on top; empty when there is none."""

    @property
    def is_offer(self) -> bool:
        """Whether the message on top is an offer, neither error nor warning."""

    def show_message(
        self,
        text: str,
        *,
        is_error: bool = True,
        action: Action | None = None,
        topic: str = "",
        on_close: Callable[[], object] | None = None,
        is_offer: bool = False,
        not_now: str = "",
    ) -> None: ...

    def has(self, topic: str) -> bool: ...

    def withdraw(self, topic: str) -> None: ...


class Notices:
    """Handed to everyone who has something to say; where it is shown is the window's business."""

    def __init__(self, line: Line, bar: Bar) -> None:
        self._line, self._bar = line, bar

    @property
    def is_warning(self) -> bool:
        """Whether a message that is more than an offer is in the bar."""
        return self.is_bar_shown and not self._bar.is_offer

    @property
    def is_bar_shown(self) -> bool:
        """Whether any message is in the bar."""
        return bool(self._bar.text)

    def tell(self, text: str, *, about: str, stays: bool = False) -> None:
        """A quiet line. It fades after a while, unless it ``stays`` because it describes work under way."""
        self._line.tell(text, stays=stays, topic=about)

    def warn(
        self,
        text: str,
        *,
        about: str,
        is_error: bool = True,
        action: Action | None = None,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        """A bar with at most one action. It stays until it is withdrawn, acted on, or closed by the person
        (``on_close``)."""
        self._bar.show_message(text, is_error=is_error, action=action, topic=about, on_close=on_close)

    def offer(
        self,
        text: str,
        *,
        about: str,
        action: Action,
        on_close: Callable[[], object] | None = None,
        not_now: str = "",
    ) -> None:
        """A bar about something that can be done and need not be.

        Args:
            on_close: it was closed without being done. not_now: a button that does so; empty for none.
        """
        self._bar.show_message(
            text, is_error=False, action=action, topic=about, on_close=on_close, is_offer=True, not_now=not_now
        )

    def has(self, about: str) -> bool:
        """Whether the bar has a message about this, shown or covered."""
        return self._bar.has(about)

    def withdraw(self, about: str) -> None:
        """This is over, and all that is a part of it: nothing is said of it any more."""
        self._line.withdraw(about)
        self._bar.withdraw(about)


def is_part_of(topic: str, whole: str) -> bool:
    """Whether a notice about ``topic`` goes when ``whole`` is over."""
    return topic == whole or topic.startswith(f"{whole}/")
