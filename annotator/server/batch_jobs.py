"""Work on many open images that nobody waits for: it is begun, asked about, fetched and called off by its id.

Jobs are in memory, as open images are. An id says of which run of the server it is, so that after a new start the
answer is that the job is gone, not that it never was.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotator.domain.ports.jobs import WorkCancelled
from annotator.jobs.job import Job
from annotator.server.problems import Problem, busy, of_error

MOST_JOBS = 256
MOST_RUNNING_PER_CLIENT = 4
MOST_RESULT_BYTES = 256 << 20
"""Of all finished jobs; those that ended longest ago go first, the newest one stays."""
_RETRY_S = 5

AskImage = Callable[[str], Awaitable[dict[str, Any]]]
"""What is asked of an image by its id; JSON data."""


@dataclass(eq=False, slots=True)
class BatchJob:
    """``rows``: JSON of the images that are finished, in their order."""

    id: str
    kind: str
    client: str
    job: Job
    rows: list[bytes] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    @property
    def nbytes(self) -> int:
        return sum(map(len, self.rows))

    def result(self) -> bytes:
        """A JSON document of all that is finished.

        Raises:
            Problem: it is not over yet (409).
        """
        standing = self.job.standing
        if not standing.is_over:
            detail = f"The job is at image {standing.done} of {standing.total}. Ask for its state, or again later."
            raise Problem(409, "not-done", detail, headers={"Retry-After": str(_RETRY_S)})
        head = json.dumps({"id": self.id, "kind": self.kind, "state": str(standing.state)})
        return head[:-1].encode() + b', "images": [' + b",".join(self.rows) + b"]}"


class BatchJobs:
    """All methods are called on the event loop."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._jobs: dict[str, BatchJob] = {}

    def begin(self, kind: str, client: str, images: Sequence[str], ask: AskImage) -> BatchJob:
        """Raises:
        Problem: too many of this client are running, or too many are kept (429).
        """
        running = sum(not one.job.standing.is_over for one in self._jobs.values() if one.client == client)
        if running >= MOST_RUNNING_PER_CLIENT:
            raise busy("too-many-jobs", f"{running} jobs of yours are running. Wait for one, or call it off.", _RETRY_S)
        self._trim()
        if len(self._jobs) >= MOST_JOBS:
            raise busy("busy", f"{len(self._jobs)} jobs are running. Ask again later.", _RETRY_S)
        made = BatchJob(f"{self._run}-{secrets.token_hex(12)}", kind, client, Job(kind, unit="image"))
        self._jobs[made.id] = made
        made.task = asyncio.get_running_loop().create_task(self._work(made, list(images), ask))
        return made

    def get(self, job_id: str) -> BatchJob:
        """Raises:
        Problem: 410 of an earlier run of the server, or deleted meanwhile for want of room; 404 never here.
        """
        found = self._jobs.get(job_id)
        if found is not None:
            return found
        if job_id.split("-", 1)[0] != self._run:
            detail = "The server was started anew since; jobs are not kept over that. Begin it again."
            raise Problem(410, "gone", detail)
        raise Problem(404, "unknown-job", "There is no such job here, or not any more.")

    def of(self, client: str) -> list[BatchJob]:
        """The newest last."""
        return [one for one in self._jobs.values() if one.client == client]

    def end(self, job_id: str) -> BatchJob:
        """Call a job off, with what it has done kept; one that is over is forgotten.

        Raises:
            Problem: as :meth:`get`.
        """
        found = self.get(job_id)
        if found.job.standing.is_over:
            del self._jobs[job_id]
        elif found.task is not None:
            found.job.cancel()
            found.task.cancel()
        return found

    async def stop(self) -> None:
        """Call all off, for the end of the server."""
        tasks = [one.task for one in self._jobs.values() if one.task is not None and not one.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, made: BatchJob, images: list[str], ask: AskImage) -> None:
        job = made.job
        job.begin()
        try:
            for done, image in enumerate(images):
                job.progress(done, len(images))
                made.rows.append(json.dumps(await _row(image, ask), separators=(",", ":")).encode())
            job.progress(len(images), len(images))
        except (WorkCancelled, asyncio.CancelledError):
            job.stopped()
        except Exception as error:
            job.fail(of_error(error).detail)
        else:
            job.succeed(None)
        self._trim()

    def _trim(self) -> None:
        over = [one for one in self._jobs.values() if one.job.standing.is_over]
        held = sum(one.nbytes for one in over)
        for one in over[:-1]:
            if held <= MOST_RESULT_BYTES and len(self._jobs) < MOST_JOBS:
                return
            held -= one.nbytes
            del self._jobs[one.id]


async def _row(image: str, ask: AskImage) -> dict[str, Any]:
    """One image that fails is not worth the others."""
    try:
        return {"embedding": image, "error": None, **await ask(image)}
    except Exception as error:
        problem = of_error(error)
        if problem.kind == "stopping":
            raise
        return {"embedding": image, "error": problem.detail, "objects": []}
