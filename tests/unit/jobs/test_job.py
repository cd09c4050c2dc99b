"""A job tells what long work does, and stops it."""

from __future__ import annotations

import ast
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.errors import ExportError
from annotator.domain.ports.jobs import WorkCancelled
from annotator.jobs.job import REPORT_EVERY_S, Job, JobState, Standing
from annotator.jobs.runner import run
from tests.sources import sources


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Report:
    def lines(self) -> list[str]:
        return ["3 objects", "left out: one"]


def test_a_job_goes_from_waiting_to_done_and_keeps_its_report() -> None:
    job, seen = Job("Export", unit="object"), []
    job.subscribe(lambda told: seen.append(told.standing.state))
    assert job.standing.state is JobState.WAITING
    result = run(job, lambda _job: Report())
    assert seen == [JobState.RUNNING, JobState.DONE]
    assert job.result is result
    assert job.lines == ("3 objects", "left out: one")


def test_an_error_is_one_sentence_and_what_to_do() -> None:
    job = Job("Export")

    def full(_job: Job) -> None:
        raise ExportError("The disk is full.", "Make room.")

    with pytest.raises(ExportError):
        run(job, full)
    assert job.standing.state is JobState.FAILED
    assert job.standing.error == "The disk is full. Make room."


def test_a_fault_of_the_program_is_raised_and_named() -> None:
    job = Job("Export")
    with pytest.raises(ZeroDivisionError):
        run(job, lambda _job: 1 // 0)
    assert job.standing.state is JobState.FAILED
    assert "ZeroDivisionError" in job.standing.error


def test_a_job_is_stopped_at_its_next_progress() -> None:
    job, steps, began = Job("Search"), [], threading.Event()

    def endless(own: Job) -> None:
        while True:
            own.progress(len(steps), 10**9)
            steps.append(1)
            began.set()

    def work() -> None:
        with pytest.raises(WorkCancelled):
            run(job, endless)

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(10)
    job.cancel()
    thread.join(10)
    assert not thread.is_alive()
    assert job.is_cancelled
    assert job.standing.state is JobState.CANCELLED


def test_a_job_stopped_before_its_turn_does_nothing() -> None:
    job, did = Job("Search"), []
    job.cancel()
    with pytest.raises(WorkCancelled):
        run(job, did.append)
    assert did == []


def test_ctrl_c_is_a_stop_and_no_failure() -> None:
    job = Job("Download")

    def interrupted(_job: Job) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, interrupted)
    assert job.standing.state is JobState.CANCELLED


def test_work_elsewhere_is_stopped_once_and_never_after_its_end() -> None:
    asked = []
    job = Job("Training", on_cancel=lambda: asked.append(1))
    job.begin()
    job.cancel()
    job.cancel()
    assert asked == [1]
    over = Job("Training", on_cancel=lambda: asked.append(2))
    over.succeed(None)
    over.cancel()
    assert asked == [1]
    assert not over.is_cancelled


def test_the_time_left_counts_from_what_was_there() -> None:
    clock = Clock()
    job = Job("Download", unit="B", clock=clock)
    job.progress(600, 1000)  # goes on from a part
    assert job.standing.left_s is None
    clock.now += 10
    job.progress(700, 1000)
    assert job.standing.left_s == pytest.approx(30)
    assert job.standing.share == pytest.approx(0.7)
    job.progress(0, 50)
    clock.now += 10
    job.progress(25, 50)
    assert job.standing.left_s == pytest.approx(10), "the next part counts anew"
    job.progress(800, 0)
    assert job.standing.left_s is None
    assert job.standing.share is None


@given(st.lists(st.floats(0.0, 0.2), max_size=60), st.integers(1, 60))
def test_listeners_hear_seldom_and_always_of_the_end(pauses_s: list[float], total: int) -> None:
    clock, heard = Clock(), []
    job = Job("Export", clock=clock)
    job.subscribe(lambda told: heard.append((clock.now, told.standing.done)))
    for done, pause_s in enumerate(pauses_s):
        clock.now += pause_s
        job.progress(min(done, total - 1), total)
    job.progress(total, total)
    assert heard[-1][1] == total
    times = [now for now, _ in heard[:-1]]
    assert all(later - earlier >= REPORT_EVERY_S - 1e-9 for earlier, later in pairwise(times))


def test_the_log_keeps_the_newest_lines() -> None:
    job = Job("Import")
    for number in range(3000):
        job.log(str(number))
    assert job.lines[-1] == "2999"
    assert len(job.lines) == 1000


def test_a_note_is_there_while_the_job_runs() -> None:
    job, heard = Job("Import"), []
    job.begin()
    job.subscribe(lambda told: heard.append(told.standing.note))
    job.note("reading")
    job.note("reading")
    assert heard == ["reading"]
    job.succeed(None)
    assert job.standing == Standing(JobState.DONE)


def test_progress_is_declared_once() -> None:
    """One signature for exports, imports, searches, opening and downloads; a measurement's carries its object too."""
    plain = "Callable[[int, int], None]"
    found = [
        source.path.name
        for source in sources()
        for node in source.tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == plain
    ]
    assert found == ["jobs.py"]
