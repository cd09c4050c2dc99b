"""Long work on the open project that begins with an action, with real rows, threads and files."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from annotator.domain.errors import ProjectError
from annotator.domain.ports.jobs import JobSpec
from annotator.jobs.job import JobState

HELD = JobSpec("Count stars", "star", f"{__name__}:held")
BROKEN = JobSpec("Count holes", "hole", f"{__name__}:broken")
go = threading.Event()


@dataclass(frozen=True)
class Stars:
    text: str

    def lines(self) -> list[str]:
        return [self.text, "and a line more"]


def held(project, progress) -> Stars:
    progress(1, 2)
    while not go.wait(0.01):
        progress(1, 2)
    return Stars(f"Stars of {project.name}.")


def broken(_project, _progress) -> Stars:
    raise ProjectError("It has no holes.", "Look elsewhere.")


@pytest.fixture
def at_work(desk):
    desk.open()
    go.clear()
    yield desk
    go.set()


def test_it_is_one_of_the_jobs_and_runs_once(at_work) -> None:
    desk, run = at_work, at_work.program.project_jobs.run
    run(HELD)
    run(HELD)
    (job,) = desk.window.jobs.jobs
    assert "running already" in desk.window.status.message.text()
    assert desk.window.docks["jobs"].isVisible()
    go.set()
    desk.until(lambda: job.standing.state is JobState.DONE)
    desk.until(lambda: desk.window.status.message.text() == f"Stars of {desk.session.store.path.name}.")
    assert job.lines[1] == "and a line more"
    desk.until(lambda: not desk.window.jobs.ending)
    run(HELD)
    assert len(desk.window.jobs.jobs) == 2, "it can be begun again"


def test_another_project_stops_it_and_an_error_is_said(at_work) -> None:
    desk = at_work
    desk.program.project_jobs.run(HELD)
    (job,) = desk.window.jobs.jobs
    desk.session.opened.emit()
    desk.until(lambda: job.standing.state is JobState.CANCELLED)
    desk.program.project_jobs.run(BROKEN)
    desk.until(lambda: desk.window.jobs.jobs[0].standing.state is JobState.FAILED)
    desk.until(lambda: desk.window.notices.is_warning)
    assert "It has no holes." in desk.window.area.error_bar.text


def test_reading_all_images_lists_those_that_cannot_be_read(desk) -> None:
    desk.open(images=4)
    (desk.folder / "1.png").write_bytes((desk.folder / "1.png").read_bytes()[:60])
    (desk.folder / "3.png").unlink()
    desk.window.actions_by_id["read_all"].trigger()
    (job,) = desk.window.jobs.jobs
    desk.until(lambda: job.standing.is_over)
    assert job.lines[0] == "2 of 4 images cannot be read."
    assert [line.partition(":")[0] for line in job.lines[1:]] == ["1.png", "3.png"]
    desk.until(lambda: desk.window.status.message.text() == job.lines[0])
