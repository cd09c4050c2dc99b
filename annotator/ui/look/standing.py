"""Where long work stands, in words: for the list of jobs and for the dialogs that start it."""

from __future__ import annotations

from annotator.jobs.job import Job, JobState
from annotator.ui.look.numbers import grouped

_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))


def amount(number: int, unit: str) -> str:
    """``number`` things of this unit, in words; bytes in the unit that fits."""
    if unit == "B":
        name, size = next((row for row in _BYTES if number >= row[1]), _BYTES[-1])
        return f"{number / size:.1f} {name}" if size > 1 else f"{number} B"
    plural = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}es" if unit.endswith("x") else f"{unit}s"
    return f"{grouped(number)} {unit if number == 1 else plural}"


def time_text(seconds: float) -> str:
    """How long something will still take, as exactly as it can be known."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s left"
    if seconds < 3600:
        return f"{round(seconds / 60)} min left"
    return f"{seconds / 3600:.1f} h left"


def standing_text(job: Job) -> str:
    """Where a job stands, in one line."""
    now = job.standing
    if now.state is JobState.FAILED:
        return now.error
    if now.state is JobState.CANCELLED:
        return "Stopped"
    if now.state is JobState.DONE:
        return next(iter(job.lines), "Done")
    if job.is_cancelled:
        return "Stopping…"
    parts = [now.note]
    if job.unit and now.done and not now.total:
        parts.append(amount(now.done, job.unit))
    elif job.unit and now.total:
        done = amount(now.done, "B") if job.unit == "B" else grouped(now.done)
        parts.append(f"{done} of {amount(now.total, job.unit)}")
    if now.left_s is not None:
        parts.append(time_text(now.left_s))
    return " · ".join(part for part in parts if part) or ("Waiting" if now.state is JobState.WAITING else "Running…")
