"""What a reader of foreign files left out or decided, counted by reason: ten million notes stay a few lines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from annotator.domain.brevity import brief
from annotator.domain.counting import counted

_SHOWN_SUBJECTS = 3
_MOST_REASONS = 200
_LONGEST_SUBJECT = 200
"""Letters; a longer path is cut in its middle."""
_NUMBERS = re.compile(r"-?\d[\d.]*")
OTHER = "other reasons"
_MOST_SUBJECT = 240
"""Characters: it may be an object and the path of its image."""


@dataclass(slots=True)
class _Reason:
    noun: str
    text: str
    many: str
    subjects: list[str]
    count: int = 0
    objects: int = 0
    """Objects that are lost by it, where it is about something else than objects."""

    @property
    def plural(self) -> str:
        return f"{self.noun[:-1]}ies" if self.noun.endswith("y") else f"{self.noun}s"

    def line(self) -> str:
        lost = f": {counted(self.objects, 'object')} skipped" if self.objects else ""
        if self.count == 1:
            return f"{brief(self.subjects[0], _MOST_SUBJECT)} {self.text}{lost}".strip()
        names = ", ".join(brief(subject.removesuffix(":"), _MOST_SUBJECT) for subject in self.subjects)
        if self.text == OTHER or self.subjects[0].endswith(":"):
            return f"{self.many}: {self.count} {self.plural}, such as {names}{lost}"
        who = f"({names})" if self.count <= len(self.subjects) else f"such as {names},"
        comma = "" if self.count <= len(self.subjects) else ","
        return f"each of {self.count} {self.plural}{comma} {who} {self.many}{lost}"


class Tally:
    """Counts by reason, in the order of their first appearance; each with its first few subjects.

    Reasons that differ in numbers only are one. At most two hundred are kept apart, whatever a file holds.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, _Reason] = {}

    def add(self, subject: str, text: str, *, noun: str = "object", kind: str = "", many: str = "") -> str:
        """One more: ``subject`` ("annotation 3") ``text`` ("has no segmentation"). A subject that ends with a colon
        is followed by a text that stands for itself.

        Args:
            many: the text when there are several; as for one when not given.
            kind: what counts as the same reason; the text without its numbers when not given.

        Returns:
            The kind, for :meth:`add_lost`.
        """
        key = f"{noun}/{kind or _NUMBERS.sub('#', text)}"
        if key not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            key = f"{noun}/{OTHER}"
        reason = self._reasons.get(key)
        if reason is None:
            text, many = (OTHER, "") if key.endswith(f"/{OTHER}") else (text, many)
            reason = self._reasons[key] = _Reason(noun, text, many or text, [])
        reason.count += 1
        if len(reason.subjects) < _SHOWN_SUBJECTS:
            is_long = len(subject) > _LONGEST_SUBJECT
            reason.subjects.append(f"{subject[:60]}…{subject[60 - _LONGEST_SUBJECT :]}" if is_long else subject)
        return key

    def add_lost(self, key: str) -> None:
        """One object more that is lost by a reason about something else: its image, its class."""
        self._reasons[key].objects += 1

    def count(self, noun: str) -> int:
        """How many of one kind of thing were reported."""
        return sum(reason.count for reason in self._reasons.values() if reason.noun == noun)

    @property
    def objects(self) -> int:
        """Objects that were left out, for whatever reason."""
        return self.count("object") + sum(reason.objects for reason in self._reasons.values())

    def lines(self) -> tuple[str, ...]:
        """One line for each reason."""
        return tuple(reason.line() for reason in self._reasons.values())
