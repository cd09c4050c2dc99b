"""The bar of a job in the terminal: one more listener beside the window's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tqdm import tqdm

from annotator.domain.brevity import brief
from annotator.jobs.job import Job
from annotator.jobs.runner import run

_Result = TypeVar("_Result")


class JobBar:
    """Appears with the first progress: what is refused has nothing to show.

    Args:
        stays: leave the full bar in view; else it goes.
        everywhere: also where nobody looks, such as in a file; None: when it stays.
        is_named: the job's title stands before the bar.
        tells: lines of the job's log are printed above the bar.
    """

    def __init__(
        self,
        job: Job,
        *,
        stays: bool = False,
        everywhere: bool | None = None,
        is_named: bool = False,
        tells: bool = False,
    ) -> None:
        self._stays, self._is_named, self._tells = stays, is_named, tells
        self._is_everywhere = stays if everywhere is None else everywhere
        self._bar: tqdm[Any] | None = None
        self._line = ""
        job.subscribe(self._on_change)

    def _on_change(self, job: Job) -> None:
        now = job.standing
        if self._bar is None and (now.done or now.total):
            # What is gone on with does not begin at nothing; its speed counts from here.
            self._bar = tqdm(
                desc=job.title if self._is_named else None,
                unit=job.unit,
                unit_scale=job.unit == "B",
                total=now.total or None,
                initial=now.done,
                leave=self._stays,
                disable=False if self._is_everywhere else None,
            )
        elif self._bar is not None:
            self._bar.total = now.total or None
            self._bar.update(now.done - self._bar.n)
        if self._bar is not None:
            if now.note:
                self._bar.set_postfix_str(brief(now.note), refresh=False)
            if now.is_over:
                self._bar.close()
        if self._tells and not now.is_over and job.lines and job.lines[-1] is not self._line:
            self._line = job.lines[-1]
            tqdm.write(self._line)


def run_with_bar(job: Job, work: Callable[[Job], _Result], **look: Any) -> _Result:
    """Run ``work(job)`` here and show a :class:`JobBar` meanwhile; ``look`` is how.

    Raises:
        BaseException: what the work raised.
    """
    JobBar(job, **look)
    return run(job, work)
