"""The terminal shows the same job as the window."""

from __future__ import annotations

import pytest

from annotator.commands.job_bar import run_with_bar
from annotator.domain.errors import ModelError
from annotator.jobs.job import Job


def test_a_bar_goes_on_from_what_was_there(capsys: pytest.CaptureFixture[str]) -> None:
    def fetch(job: Job) -> str:
        job.progress(50_000, 100_000)
        job.progress(100_000, 100_000)
        return "here"

    assert run_with_bar(Job("Download", unit="B"), fetch, stays=True) == "here"
    shown = capsys.readouterr().err
    assert "100k/100k" in shown
    assert "50%" in shown


def test_what_is_refused_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_job: Job) -> None:
        raise ModelError("There is no network.", "Try later.")

    with pytest.raises(ModelError):
        run_with_bar(Job("Download", unit="B"), refuse, stays=True)
    assert capsys.readouterr().err == ""


def test_a_bar_ends_with_its_job_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(job: Job) -> None:
        job.progress(1, 4)
        raise ModelError("The disk is full.", "Make room.")

    with pytest.raises(ModelError):
        run_with_bar(Job("Download", unit="file"), fails, stays=True)
    shown = capsys.readouterr().err
    assert "1/4" in shown
    assert shown.endswith("\n"), "what is printed next begins a line of its own"
