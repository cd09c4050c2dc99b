"""Runs the work of a job, on a thread of the caller's choice, and says in the job how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from annotator.domain.errors import UserError
from annotator.domain.ports.jobs import WorkCancelled
from annotator.jobs.job import Job

_Result = TypeVar("_Result")


def run(job: Job, work: Callable[[Job], _Result]) -> _Result:
    """Run ``work(job)`` on this thread.

    Raises:
        WorkCancelled: the job was stopped.
        BaseException: what the work raised; the job has failed then.
    """
    job.begin()
    try:
        job.check()
        result = work(job)
    except (WorkCancelled, KeyboardInterrupt):
        job.stopped()
        raise
    except UserError as error:
        job.fail(str(error))
        raise
    except BaseException as error:
        job.fail(f"An error in the program stopped this ({type(error).__name__}).")
        raise
    job.succeed(result)
    return result
