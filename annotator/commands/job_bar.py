"""The bar of a job in the terminal: one more listener beside the window's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tqdm import tqdm

from annotator.jobs.job import Job
from annotator.jobs.runner import run

_Result = TypeVar("_Result")


class JobBar:
    """Appears with the first progress: what is refused has nothing to show.

    Args:
        stays: leave the full bar in view; else it goes, and only shows where a person looks.
    """

    def __init__(self, job: Job, *, stays: bool = False) -> None:
        self._stays = stays
        self._bar: tqdm[Any] | None = None
        job.subscribe(self._on_change)

    def _on_change(self, job: Job) -> None:
        now = job.standing
        if self._bar is None and (now.done or now.total):
            # What is gone on with does not begin at nothing; its speed counts from here.
            self._bar = tqdm(
                unit=job.unit,
                unit_scale=job.unit == "B",
                total=now.total or None,
                initial=now.done,
                leave=self._stays,
                disable=False if self._stays else None,
            )
        elif self._bar is not None:
            self._bar.total = now.total or None
            self._bar.update(now.done - self._bar.n)
        if self._bar is not None and now.is_over:
            self._bar.close()


def run_with_bar(job: Job, work: Callable[[Job], _Result], *, stays: bool = False) -> _Result:
    """Run ``work(job)`` here and show a bar meanwhile.

    Raises:
        BaseException: what the work raised.
    """
    JobBar(job, stays=stays)
    return run(job, work)
