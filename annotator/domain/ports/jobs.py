"""What long work and those who watch it agree on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

Progress = Callable[[int, int], None]
"""Called with (done, total); ``total`` 0: unknown. What it raises ends the work, which leaves nothing half-written."""


class WorkCancelled(Exception):  # noqa: N818 - asked for by the person, nothing is wrong
    """Raised inside the work, by its progress call, when the person stopped it."""


@runtime_checkable
class HasLines(Protocol):
    """A result that can be read: reports of exports and imports, what a search found. The first line says it all."""

    def lines(self) -> list[str]: ...


ProjectWork = Callable[[Path, Progress], HasLines]
"""Work on a project file that may be open in the window. Raises a UserError for what the person can mend."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Long work on the open project that asks nothing.

    Attributes:
        title: in the list of jobs, before the project's name.
        unit: what is counted, in the singular.
        work: ``module:function`` of a :data:`ProjectWork`; imported when it begins.
    """

    title: str
    unit: str
    work: str
